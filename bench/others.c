/* SuiteSparse:GraphBLAS (Davis, Algorithm 1037, ACM TOMS 49(3), 2023) and librsb (Martone,
 * Efficient multithreaded untransposed, transposed or symmetric sparse matrix-vector multiplication
 * with the recursive sparse blocks format, Parallel Computing 40(7), 2014), the latter with the
 * structure that its tuning finds. */
#include "others.h"

#include <GraphBLAS.h>
#include <rsb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program when a call has failed. */
static void need(int fine, const char *what)
{
    if (fine) return;
    fprintf(stderr, "kernels: %s failed\n", what);
    exit(1);
}

static void *allocate(size_t n_bytes)
{
    void *p = malloc(n_bytes);
    need(p != NULL, "malloc");
    return p;
}

/* ---- GraphBLAS */

struct graphblas {
    GrB_Matrix matrix;
    GrB_Vector x, y;
    int n_rows;
};

static void graphblas_start(void)
{
    need(!GrB_init(GrB_BLOCKING) && !GxB_Global_Option_set(GxB_NTHREADS, 1), "GrB_init");
}

/* A vector of n floats with no entry missing. */
static GrB_Vector full_vector(int n, const float *x)
{
    GrB_Vector v;
    size_t n_bytes = (size_t)n * sizeof *x;
    void *copy = allocate(n_bytes);
    memcpy(copy, x, n_bytes);
    need(!GrB_Vector_new(&v, GrB_FP32, (GrB_Index)n), "GrB_Vector_new");
    need(!GxB_Vector_pack_Full(v, &copy, n_bytes, false, NULL), "GxB_Vector_pack_Full");
    return v;
}

static void *graphblas_pack(const struct entries *e, const float *x)
{
    struct graphblas *g = allocate(sizeof *g);
    GrB_Index *places = allocate(2 * e->n * sizeof *places), *columns = places + e->n;
    float *zeros = calloc((size_t)e->n_rows, sizeof *zeros);
    need(zeros != NULL, "calloc");
    for (size_t k = 0; k < e->n; k++) {
        places[k] = (GrB_Index)e->rows[k];
        columns[k] = (GrB_Index)e->columns[k];
    }
    *g = (struct graphblas){ .n_rows = e->n_rows,
                             .x = full_vector(e->n_columns, x),
                             .y = full_vector(e->n_rows, zeros) };
    need(!GrB_Matrix_new(&g->matrix, GrB_FP32, (GrB_Index)e->n_rows, (GrB_Index)e->n_columns)
             && !GrB_Matrix_build_FP32(g->matrix, places, columns, e->values, e->n, GrB_PLUS_FP32)
             && !GrB_Matrix_wait(g->matrix, GrB_MATERIALIZE),
         "GrB_Matrix_build");
    free(places);
    free(zeros);
    return g;
}

static void graphblas_multiply(const void *packed, float *y)
{
    const struct graphblas *g = packed;
    void *sums = NULL;
    GrB_Index n_bytes = 0;
    bool iso = false;
    need(!GrB_mxv(g->y, NULL, NULL, GrB_PLUS_TIMES_SEMIRING_FP32, g->matrix, g->x, NULL),
         "GrB_mxv");
    need(!GxB_Vector_unpack_Full(g->y, &sums, &n_bytes, &iso, NULL), "GxB_Vector_unpack_Full");
    for (int i = 0; i < g->n_rows; i++) y[i] += ((const float *)sums)[i];
    need(!GxB_Vector_pack_Full(g->y, &sums, n_bytes, iso, NULL), "GxB_Vector_pack_Full");
}

static void graphblas_release(void *packed)
{
    struct graphblas *g = packed;
    GrB_Matrix_free(&g->matrix);
    GrB_Vector_free(&g->x);
    GrB_Vector_free(&g->y);
    free(g);
}

/* ---- librsb */

struct rsb {
    struct rsb_mtx_t *matrix;
    const float *x;
};

static void rsb_start(void)
{
    rsb_int_t threads = 1;
    need(!rsb_lib_init(RSB_NULL_INIT_OPTIONS)
             && !rsb_lib_set_opt(RSB_IO_WANT_EXECUTING_THREADS, &threads),
         "rsb_lib_init");
}

static void *rsb_pack(const struct entries *e, const float *x)
{
    struct rsb *r = allocate(sizeof *r);
    rsb_err_t error = 0;
    r->x = x;
    r->matrix = rsb_mtx_alloc_from_coo_const(e->values, e->rows, e->columns, (rsb_nnz_idx_t)e->n,
                                             RSB_NUMERICAL_TYPE_FLOAT, e->n_rows, e->n_columns, 1,
                                             1, RSB_FLAG_NOFLAGS, &error);
    need(r->matrix != NULL, "rsb_mtx_alloc_from_coo_const");
    return r;
}

static void rsb_multiply(const void *packed, float *y)
{
    const struct rsb *r = packed;
    const float one = 1;
    need(!rsb_spmv(RSB_TRANSPOSITION_N, &one, r->matrix, r->x, 1, &one, y, 1), "rsb_spmv");
}

static void rsb_release(void *packed)
{
    struct rsb *r = packed;
    rsb_mtx_free(r->matrix);
    free(r);
}

const struct other_library other_libraries[] = {
    { "GraphBLAS", graphblas_start, graphblas_pack, graphblas_multiply, graphblas_release },
    { "librsb", rsb_start, rsb_pack, rsb_multiply, rsb_release },
    { 0 }
};
