/* A program against the installed library: multiplies by a head, approximates its matrix again, and
 * compares. Usage: example CFG WEIGHTS. Prints the relative error of the approximation. */
#include <structnet.h>

#include <stdlib.h>

int main(int argc, char **argv)
{
    struct sn_head head;
    struct sn_fit fit;
    struct sn_error error = { 0 };
    if (argc != 3 || sn_head_read(argv[1], argv[2], &head, &error)) {
        fprintf(stderr, "example: %s\n", error.message);
        return 1;
    }
    int m = head.matrix->n_outputs, n = head.matrix->n_inputs;
    float *x = malloc(sizeof *x * (size_t)n), *w = malloc(sizeof *w * (size_t)m * (size_t)n);
    float *states = malloc(sizeof *states * (head.matrix->n_states + 1));
    for (int j = 0; j < n; j++) x[j] = (float)j;
    sn_multiply(head.matrix, head.words, 1, x, head.bias, states); /* The bias becomes y. */
    for (int i = 0; i < m; i++) printf("%g ", (double)head.bias[i]);
    const struct sn_fit_options options = { .budget_bytes = 2 * (size_t)m * (size_t)n };
    if (sn_dense(head.matrix, head.words, w, &error)
        || sn_fit(sn_fit_type_find("psm"), w, m, n, &options, &fit, &error)) {
        fprintf(stderr, "example: %s\n", error.message);
        exit(1);
    }
    printf("%s %.3f\n", sn_family_name(fit.matrix->family), fit.error);
    sn_fit_free(&fit);
    sn_head_free(&head);
    free(x), free(w), free(states);
    return 0;
}
