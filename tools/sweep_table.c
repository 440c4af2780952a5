#include "sweep_table.h"

#include "outputs.h"

#include <cblas.h>
#include <errno.h>
#include <libdeflate.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint32_t checksum(uint32_t crc, const void *data, size_t n)
{
    return data ? libdeflate_crc32(crc, data, n) : crc;
}

/* What a user asked for, as text; options of families only when they are given. Its length. */
static size_t print_request(const struct problem *problem, const char *types, const char *shares,
                            char *text, size_t size)
{
    const struct request *request = problem->request;
    size_t n = (size_t)snprintf(text, size, "%d %d %d %d %d %.17g %.17g %llu %s %s",
                                problem->n_outputs, problem->n_inputs, problem->fit.n,
                                problem->judge.n, (int)request->effort, request->holdout,
                                request->shrinkage, (unsigned long long)request->seed, types,
                                shares);
    for (int i = 0; i < request->n_bits && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, " %d bits", request->bits[i]);
    for (const struct sn_fit_setting *s = request->settings; s->name && n < size; s++)
        if (s->value) n += (size_t)snprintf(text + n, size - n, " %s=%d", s->name, s->value);
    return n < size ? n : size - 1;
}

uint32_t sweep_table_fingerprint(const struct problem *problem, const char *types,
                                 const char *shares)
{
    char text[8192];
    size_t m = sizeof(float) * (size_t)problem->n_outputs, n = (size_t)problem->n_inputs;
    size_t rows = (size_t)problem->fit.n + (size_t)problem->choose.n + (size_t)problem->judge.n;
    uint32_t crc = checksum(0, text, print_request(problem, types, shares, text, sizeof text));
    crc = checksum(crc, problem->dense, m * n);
    crc = checksum(crc, problem->bias, m);
    crc = checksum(crc, problem->gain, m);
    crc = checksum(crc, problem->offset, m);
    crc = checksum(crc, problem->samples.x, sizeof(float) * rows * n);
    for (int k = 0; k < 2; k++)
        for (size_t d = problem->parts[k].n, i = 0; i < d; i++)
            crc = checksum(crc, problem->parts[k].values + i * d, sizeof(float) * (i + 1));
    return checksum(crc, problem->samples.labels, sizeof(int) * rows);
}

static void print_cpu(FILE *file)
{
    char *line = NULL;
    size_t size = 0;
    FILE *info = fopen("/proc/cpuinfo", "r");
    const char *model = "unknown\n";
    while (info && getline(&line, &size, info) >= 0)
        if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
            model = strchr(line, ':') + 2;
            break;
        }
    fprintf(file, "# cpu: %.*s, %ld cores\n", (int)strcspn(model, "\n"), model,
            sysconf(_SC_NPROCESSORS_ONLN));
    free(line);
    if (info) fclose(info);
}

static const char FINGERPRINT[] = "# fingerprint: ";
static const char COLUMNS[] =
    "type\tbits\tshare\tbytes\tmadds\terror\toutput_error\ttop1\tseconds\tus\n";

enum sn_status sweep_table_write(const struct sweep_table *table, struct sn_error *error)
{
    struct outputs outputs;
    const char *inputs[PROBLEM_MAX_FILES];
    problem_files(table->problem, inputs);
    outputs_begin(&outputs, inputs);
    FILE *file = outputs_open(&outputs, table->path, error);
    if (!file) {
        outputs_discard(&outputs);
        return error->code;
    }
    print_cpu(file);
    fprintf(file, "# openblas: %s, one thread\n# command: %s\n%s%08x\n%s", openblas_get_config(),
            table->command, FINGERPRINT, (unsigned)table->fingerprint, COLUMNS);
    for (int i = 0; i < table->n; i++)
        if (table->cells[i].row) fputs(table->cells[i].row, file);
    return outputs_publish(&outputs, error);
}

enum sn_status sweep_table_resume(struct sweep_table *table, struct sn_error *error)
{
    char *line = NULL;
    size_t size = 0;
    char found[9] = "none", expected[9];
    int is_known = 0;
    struct stat about;
    if (!stat(table->path, &about) && !S_ISREG(about.st_mode)) return SN_OK;
    FILE *file = fopen(table->path, "r");
    if (!file && errno == ENOENT) return SN_OK;
    if (!file) return sn_fail(error, SN_IO, "%s: cannot read: %s", table->path, strerror(errno));
    snprintf(expected, sizeof expected, "%08x", (unsigned)table->fingerprint);
    while (getline(&line, &size, file) >= 0) {
        if (!strncmp(line, FINGERPRINT, sizeof FINGERPRINT - 1))
            is_known = sscanf(line + sizeof FINGERPRINT - 1, "%8s", found) == 1
                && !strcmp(found, expected);
        for (int i = 0; is_known && i < table->n; i++)
            if (!strncmp(line, table->cells[i].key, strlen(table->cells[i].key))
                && strchr(line, '\n') && !table->cells[i].row)
                table->cells[i].row = strdup(line);
    }
    free(line);
    fclose(file);
    if (is_known) return SN_OK;
    return sn_fail(
        error, SN_BAD_INPUT,
        "%s: expected a table of this sweep, fingerprint %s, found %s; remove it, or use "
        "another -o",
        table->path, expected, found);
}

void sweep_table_add(struct sweep_table *table, const struct sn_fit_type *type, int bits,
                     double share)
{
    struct sweep_cell *cell = &table->cells[table->n++];
    char budget[32] = "";
    *cell = (struct sweep_cell){ .type = type, .bits = bits, .share = share };
    if (share > 0) snprintf(budget, sizeof budget, "%.9g", share);
    snprintf(cell->key, sizeof cell->key, "%s\t%d\t%s\t", type->name, bits, budget);
}

int sweep_table_n_known(const struct sweep_table *table)
{
    int n = 0;
    for (int i = 0; i < table->n; i++) n += table->cells[i].row != NULL;
    return n;
}

void sweep_table_print_row(const struct sweep_cell *cell, const struct approximation *a, double us,
                           char row[SWEEP_MAX_ROW])
{
    enum { N_COLUMNS = 7 };
    double values[N_COLUMNS];
    for (int i = 0; i < N_COLUMNS; i++) values[i] = NAN;
    if (a) {
        const double known[N_COLUMNS] = {
            (double)a->bytes, (double)a->n_values, a->error, a->judged.error,
            a->judged.top1,   a->seconds,          us
        };
        memcpy(values, known, sizeof values);
    }
    int n = sprintf(row, "%s", cell->key);
    for (int i = 0; i < N_COLUMNS; i++) {
        if (!isnan(values[i])) n += sprintf(row + n, "%.9g", values[i]);
        row[n++] = i < N_COLUMNS - 1 ? '\t' : '\n';
    }
    row[n] = '\0';
}

void sweep_table_free(struct sweep_table *table)
{
    for (int i = 0; i < table->n; i++) free(table->cells[i].row);
    table->n = 0;
}
