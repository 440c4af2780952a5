/* make_matrix ROWS COLUMNS SAMPLES NAME: a matrix with the decaying singular values of trained
 * layers, NAME.w.npy, and samples that are zero or positive as behind a ReLU, NAME.x.npy. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static float uniform(void)
{
    static uint64_t state = 1; /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (float)(state >> 40) / 0x1p23f - 1;
}

static void write_array(const char *name, const char *suffix, int rows, int columns,
                        const float *values)
{
    char path[4096], header[119];
    snprintf(path, sizeof path, "%s.%s.npy", name, suffix);
    FILE *file = fopen(path, "wb");
    int n = snprintf(header, sizeof header,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows,
                     columns);
    if (!file) {
        perror(path);
        exit(1);
    }
    fprintf(file, "\x93NUMPY\x01%c%c%c%s%*s\n", 0, 118, 0, header, 117 - n, "");
    fwrite(values, sizeof *values, (size_t)rows * (size_t)columns, file);
    if (fclose(file)) {
        perror(path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: make_matrix ROWS COLUMNS SAMPLES NAME\n");
        return 2;
    }
    int m = atoi(argv[1]), n = atoi(argv[2]), samples = atoi(argv[3]), rank = m < n ? m : n;
    float *w = calloc((size_t)m * (size_t)n, sizeof *w), *u = malloc((size_t)m * sizeof *u),
          *v = malloc((size_t)n * sizeof *v), *x = malloc((size_t)samples * (size_t)n * sizeof *x);
    if (m < 1 || n < 1 || samples < 1 || !w || !u || !v || !x) {
        fprintf(stderr, "make_matrix: wrong sizes, or out of memory\n");
        return 1;
    }
    for (int k = 0; k < rank; k++) {
        float size = 1 / sqrtf((float)(1 + k));
        for (int i = 0; i < m; i++) u[i] = size * uniform();
        for (int j = 0; j < n; j++) v[j] = uniform() / sqrtf((float)n);
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) w[(size_t)i * (size_t)n + (size_t)j] += u[i] * v[j];
    }
    for (size_t i = 0; i < (size_t)samples * (size_t)n; i++) x[i] = fmaxf(0, uniform() + uniform());
    write_array(argv[4], "w", m, n, w);
    write_array(argv[4], "x", samples, n, x);
    return 0;
}
