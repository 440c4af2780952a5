#include "report.h"

#include <stored.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- JSON */

/* A number that may not exist. */
static void add_number(cJSON *root, const char *key, double value)
{
    if (!isnan(value)) cJSON_AddNumberToObject(root, key, value);
}

static cJSON *to_json(const struct problem *problem, const struct report *report,
                      const struct approximation *a, int is_choice_known)
{
    cJSON *root = cJSON_CreateObject();
    if (problem->net) cJSON_AddNumberToObject(root, "layer", problem->layer);
    cJSON_AddStringToObject(root, "type", a->type->name);
    cJSON_AddNumberToObject(root, "outputs", problem->n_outputs);
    cJSON_AddNumberToObject(root, "inputs", problem->n_inputs);
    cJSON_AddNumberToObject(root, "bits", a->bits);
    if (a->index[0]) cJSON_AddStringToObject(root, "index", a->index);
    cJSON_AddNumberToObject(root, "params", (double)a->n_values);
    cJSON_AddNumberToObject(root, "multiply_adds", (double)a->n_values);
    cJSON_AddNumberToObject(root, "bytes", (double)a->bytes);
    cJSON_AddNumberToObject(root, "dense_bytes", problem_dense_bytes(problem));
    cJSON_AddNumberToObject(root, "share", (double)a->bytes / problem_dense_bytes(problem));
    cJSON_AddNumberToObject(root, "error", a->error);
    if (is_choice_known) cJSON_AddNumberToObject(root, "choice_error", a->choice);
    add_number(root, "output_error", a->judged.error);
    add_number(root, "output_error_uncorrected", a->judged.uncorrected);
    add_number(root, "top1", a->judged.top1);
    add_number(root, "dense_top1", report->dense_top1);
    cJSON_AddNumberToObject(root, "seconds", a->seconds);
    if (a->shrinkage > 0) {
        cJSON_AddNumberToObject(root, "shrinkage", a->shrinkage);
        cJSON_AddNumberToObject(root, "alignment", a->alignment);
    }
    if (problem->judge.n) cJSON_AddNumberToObject(root, "holdout_rows", problem->judge.n);
    return root;
}

void report_print_json(const struct report *report, const struct problem *problem)
{
    cJSON *root = to_json(problem, report, &report->rows[report->chosen], report->is_choice);
    if (report->is_choice) {
        cJSON *candidates = cJSON_AddArrayToObject(root, "candidates");
        for (int i = 0; i < report->n; i++)
            cJSON_AddItemToArray(candidates, to_json(problem, report, &report->rows[i], 1));
    }
    command_print_json(root);
}

/* ---- The table */

/* A cell of a table, "-" for a number that does not exist. */
static void print_cell(double value, double scale, int width, int decimals)
{
    if (isnan(value)) printf(" %*s", width, "-");
    else printf(" %*.*f", width, decimals, scale * value);
}

/* Whether no other row has both at most its error and at most its size, and less of one. */
static int is_on_front(const struct report *report, int row, int by_bytes)
{
    const struct approximation *a = &report->rows[row];
    size_t size = by_bytes ? a->bytes : a->n_values;
    for (int i = 0; i < report->n; i++) {
        const struct approximation *b = &report->rows[i];
        size_t other = by_bytes ? b->bytes : b->n_values;
        if (b->choice <= a->choice && other <= size && (b->choice < a->choice || other < size))
            return 0;
    }
    return 1;
}

static void print_row(const struct problem *problem, const struct report *report, int row)
{
    const struct approximation *a = &report->rows[row];
    printf("%c%c%c %-8s %4d %9zu %7.4f %9zu %9.6f", row == report->chosen ? '*' : ' ',
           is_on_front(report, row, 1) ? 'b' : ' ', is_on_front(report, row, 0) ? 'm' : ' ',
           a->type->name, a->bits, a->bytes, (double)a->bytes / problem_dense_bytes(problem),
           a->n_values, a->error);
    print_cell(a->choice, 1, 9, 6);
    print_cell(a->judged.error, 1, 9, 6);
    print_cell(a->judged.top1, 100, 7, 2);
    printf(" %8.2f\n", a->seconds);
}

static void print_candidates(const struct problem *problem, const struct report *report)
{
    static const char *const targets[] = {
        [TARGET_ERROR] = "",
        [TARGET_BYTES] = "fewest bytes within 1.1 times the ",
        [TARGET_MADDS] = "fewest multiply-adds within 1.1 times the "
    };
    printf("    %-8s %4s %9s %7s %9s %9s %9s %9s %7s %8s\n", "type", "bits", "bytes", "share",
           "madds", "error", "choice", "output", "top-1", "seconds");
    for (int i = 0; i < report->n; i++) print_row(problem, report, i);
    printf("*    chosen: %sleast error of %s", targets[report->target],
           problem->choose.n   ? "outputs on the rows that choose"
               : problem->mean ? "outputs on what fitted"
                               : "the matrix");
    if (problem->judge.n) printf("; output error and top-1 on %d other rows", problem->judge.n);
    printf("\nb, m best front: no other has both less error and fewer bytes, multiply-adds\n\n");
}

static void print_judged(const struct problem *problem, const struct report *report,
                         const struct approximation *a)
{
    if (!isnan(a->judged.error))
        printf("output     %.6f relative, on %zu %s; %.6f with the old bias\n", a->judged.error,
               problem->judging.n ? problem->judging.count : (size_t)problem->judge.n,
               problem->judging.n ? "vectors of other images" : "rows held out",
               a->judged.uncorrected);
    if (!isnan(a->judged.top1))
        printf("top-1      %.2f %% of %d rows held out, dense %.2f %%\n", 100 * a->judged.top1,
               problem->judge.n, 100 * report->dense_top1);
    if (a->shrinkage > 0) printf("shrinkage  %.3g, alignment %.3g\n", a->shrinkage, a->alignment);
}

void report_print_table(const struct report *report, const struct problem *problem,
                        const char *name)
{
    const struct approximation *a = &report->rows[report->chosen];
    if (report->is_choice) print_candidates(problem, report);
    if (problem->net)
        printf("layer      %d, %d x %d\n", problem->layer, problem->n_outputs, problem->n_inputs);
    else printf("matrix     %d x %d\n", problem->n_outputs, problem->n_inputs);
    printf("type       %s\n", a->type->name);
    if (a->fit.matrix) sn_matrix_print(a->fit.matrix, stdout);
    printf("parameters %zu of %.0f\n", a->n_values, problem_dense_bytes(problem) / sizeof(float));
    printf("bytes      %zu of %.0f, share %.4f\n", a->bytes, problem_dense_bytes(problem),
           (double)a->bytes / problem_dense_bytes(problem));
    printf("error      %.6f relative, Frobenius\n", a->error);
    print_judged(problem, report, a);
    printf("seconds    %.2f\n", a->seconds);
    if (name) printf("files      %s.cfg %s.weights\n", name, name);
}

void report_free(struct report *report)
{
    for (int i = 0; i < report->n; i++) approximation_free(&report->rows[i]);
    free(report->rows);
    *report = (struct report){ 0 };
}
