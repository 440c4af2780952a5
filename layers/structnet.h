/* libstructnet: structured matrices, which multiply vectors with fewer values and multiply-adds
 * than dense ones, and the approximation of dense matrices by them.
 *
 * A structured matrix W (n_outputs x n_inputs) is a shape, struct sn_matrix, and an array of
 * float32 words, first its trainable values, then the scales of values of few bits, then whatever
 * else its family stores (column indices, orders). In files values of few bits are packed. The
 * families are sss  sequentially semiseparable: low-rank and block diagonal matrices are special
 * cases psm  products of sparse matrices; one factor is a pruned matrix
 *
 * All matrices are row-major float32. Pointers that a function takes are borrowed and their arrays
 * do not overlap, unless it says otherwise. A function that can fail returns a status and fills in
 * *error, which may be NULL, with one line that says what, where, expected and found; what it
 * should have made is empty then. The library never prints and never ends the process.
 *
 * Threads: there is no state but the caller's. Any function may run in several threads at once as
 * long as none of them writes what another one uses. OpenBLAS has threads of its own; results
 * repeat bit for bit when it runs with one (openblas_set_num_threads). */
#ifndef STRUCTNET_H
#define STRUCTNET_H

#include <signal.h>
#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define STRUCTNET_VERSION "0.1.0"

/* The version of the library that is linked. */
const char *structnet_version(void);

/* ---- Errors */

enum sn_status { SN_OK = 0, SN_NO_MEMORY, SN_BAD_INPUT, SN_IO };

struct sn_error {
    enum sn_status code;
    char message[1024]; /* no newline; empty while code is SN_OK */
};

/* ---- Matrices */

struct sn_family;

struct sn_matrix {
    const struct sn_family *family;
    int n_outputs;   /* rows of W */
    int n_inputs;    /* columns of W */
    size_t n_values; /* trainable values = multiply-adds for one input vector */
    size_t n_words;  /* 4-byte words in memory: values, scales, indices */
    size_t n_states; /* floats of scratch that one input vector needs in forward and backward */
    size_t n_bytes;  /* stored bytes, indices and scales included, a multiple of 4 */
    size_t n_scales; /* 0 with 32 bits */
    int bits;        /* of a stored value: 32, or 1, 2, 3, 4, 8 */
    int group;       /* values that share a scale; 0: those of a row of a factor, of a stage */
};

/* "sss", "psm": the name of a family's section in a cfg. */
const char *sn_family_name(const struct sn_family *family);

/* Y += X W^T: x is batch x n_inputs, y is batch x n_outputs. states[batch * n_states] is written,
 * and is what sn_gradient needs. Cost: batch * n_values multiply-adds. */
void sn_multiply(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                 float *y, float *states);

/* With dy = dL/dY (batch x n_outputs): dvalues[n_values] += dL/dvalues and, unless dx is NULL, dx
 * += dY W (batch x n_inputs). states comes from sn_multiply on the same x; dstates[batch *
 * n_states] is scratch. Cost: twice that of sn_multiply. */
void sn_gradient(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                 const float *states, const float *dy, float *dvalues, float *dx, float *dstates);

/* Writes W (n_outputs x n_inputs) by multiplying with the unit vectors. SN_NO_MEMORY when scratch
 * cannot be had. Cost: n_inputs products. */
enum sn_status sn_dense(const struct sn_matrix *matrix, const float *words, float *dense,
                        struct sn_error *error);

/* ---- One vector at a time */

/* A matrix made ready for products with single vectors: its values as narrow as they are stored, in
 * the order in which a kernel reads them. */
struct sn_packed;

/* Packs a matrix and its words, which are borrowed until this returns, the matrix for longer: as
 * long as what is returned, which free() releases. Values of few bits are rounded. NULL and error
 * when there is no memory. Cost: a few passes over the values. */
struct sn_packed *sn_pack(const struct sn_matrix *matrix, const float *words,
                          struct sn_error *error);

/* Floats of scratch that sn_packed_multiply needs. */
size_t sn_packed_scratch(const struct sn_packed *packed);

/* y += W x for one vector: that of sn_multiply with a batch of 1, to rounding. scratch is written.
 * Threads may share packed, each with a scratch of its own. Cost: n_values multiply-adds, and the
 * time in which n_bytes come from memory when they are not in a cache. */
void sn_packed_multiply(const struct sn_packed *packed, const float *x, float *y, float *scratch);

/* ---- Heads: y = W x + b as two files, a Darknet net of one layer */

struct sn_head {
    struct sn_matrix *matrix;
    float *words; /* matrix->n_words */
    float *bias;  /* matrix->n_outputs */
};

/* Reads what sn_head_write or "structnet approx --matrix" wrote: a cfg of [net] with inputs= and
 * one structured section, linear and without batch normalisation, and the .weights that belong to
 * it. The caller frees with sn_head_free. SN_IO when a file cannot be read; SN_BAD_INPUT names the
 * line of the cfg, the bytes expected and found, or the index that is out of range. */
enum sn_status sn_head_read(const char *cfg, const char *weights, struct sn_head *head,
                            struct sn_error *error);

/* Writes both files, which the caller opens and closes; a failure to write stays in ferror().
 * Values of few bits are rounded. SN_NO_MEMORY is the only other failure, and impossible with 32
 * bits. */
enum sn_status sn_head_write(const struct sn_head *head, FILE *cfg, FILE *weights,
                             struct sn_error *error);

/* Legal on a zeroed struct. */
void sn_head_free(struct sn_head *head);

/* ---- The error that counts */

/* M of ||(W - What) L||_F^2, L L^T = M: the mean squared error of outputs on inputs with the
 * covariance M, once the bias is corrected by (W - What) mean. */
struct sn_weighting {
    int n;            /* inputs */
    double shrinkage; /* s below */
    double alignment; /* t below */
    float *mean;      /* n, of the samples */
    float *moment;    /* M, n x n */
};

/* M = (1 - s) C + s ((1 - t) I + t V^T V) from samples x (n_samples x n), at least one, finite: C
 * is their covariance, V the rows of w (m x n, may be NULL when t = 0) less their mean; C, I and
 * V^T V are scaled to a trace of n. 0 < s <= 1, 0 <= t < 1. When all samples are equal M = I.
 * SN_BAD_INPUT names a sample that is not finite. The caller frees with sn_weighting_free. Cost:
 * (n_samples + m) n^2 + n^3/3 multiply-adds. Sources: Ledoit and Wolf, A well-conditioned estimator
 * for large-dimensional covariance matrices, J. Multivariate Anal. 88(2), 2004; Papyan, Han and
 * Donoho, Prevalence of neural collapse, PNAS 117(40), 2020. */
enum sn_status sn_weighting_new(const float *w, int m, const float *x, int n_samples, int n,
                                double shrinkage, double alignment, struct sn_weighting *weighting,
                                struct sn_error *error);
void sn_weighting_free(struct sn_weighting *weighting);

/* ||(W - What) L||_F / ||W L||_F, or with the plain norm when weighting is NULL; 0 when both norms
 * are zero, 1 when only the denominator is. w and what are m x n. Negative when scratch cannot be
 * had (error filled). Cost: 2 m n^2 multiply-adds. */
double sn_weighted_error(const float *w, const float *what, int m, int n,
                         const struct sn_weighting *weighting, struct sn_error *error);

/* ---- Approximation */

/* How long a search may take. Every count of steps depends on this and on the sizes alone, never on
 * the clock, so that results repeat. */
enum sn_effort { SN_NORMAL = 0, SN_QUICK, SN_THOROUGH };

/* One option of a family: "factors" = 3. */
struct sn_fit_setting {
    const char *name;
    int value;
};

struct sn_fit_options {
    size_t budget_bytes;  /* at most this many bytes, indices included: n_bytes <= budget_bytes; 0:
                           * no  limit, when there is one of values */
    size_t budget_values; /* at most this many values: n_values <= budget_values; 0: no limit */
    int bits;             /* of the values: 32, or 0 for that, 8, 4, 3, 2, 1 */
    const struct sn_weighting *weighting; /* of the error that is minimised; NULL: Frobenius norm */
    enum sn_effort effort;
    const struct sn_fit_setting
        *settings;                     /* a NULL name ends them; NULL: none. What another family
                                        * than the type's has is ignored, 0 is as if not given */
    const volatile sig_atomic_t *stop; /* set by a signal: end soon with the best so far; or NULL */
    void (*progress)(void *context, double done, double error); /* done in 0..1, weighted error; or
                                                                 * NULL */
    void *context;
};

struct sn_fit {
    struct sn_matrix *matrix; /* free() */
    float *words;             /* matrix->n_words, free() */
    double error;             /* ||W - What||_F / ||W||_F, of the float32 words */
    double weighted_error;    /* ||(W - What) L||_F / ||W L||_F, what was minimised; error without a
                               * weighting */
};

typedef enum sn_status sn_fit_function(const float *dense, int n_outputs, int n_inputs,
                                       const struct sn_fit_options *options, struct sn_fit *fit,
                                       struct sn_error *error);

/* A way to approximate: a family, or a restricted form of it. */
struct sn_fit_type {
    const char *name;  /* "sss", "psm", "lowrank", "pruned" */
    const char *label; /* in plots */
    const char *help;  /* a line for people, without its end */
    int has_budget;    /* 0: the number of bits says how many bytes it takes */
    const struct sn_family *family;
    sn_fit_function *fit; /* trusts its caller: to be called through sn_fit */
};

/* An option that a family adds to those of sn_fit_options. */
struct sn_fit_option {
    const char *name;         /* "factors" */
    const char *argument;     /* what stands for its value in a help text: "N" */
    int minimum, maximum;     /* of its value */
    const char *const *words; /* the names of the values from minimum to maximum; NULL: a number */
    const char *help;         /* lines for people, without the end of the last one */
};

/* The types, every family's own first, and the options of all families, i from 0; NULL past the
 * last. */
const struct sn_fit_type *sn_fit_type_at(int i);
const struct sn_fit_option *sn_fit_option_at(int i);

/* The type of that name, or NULL. */
const struct sn_fit_type *sn_fit_type_find(const char *name);

/* Approximates dense (n_outputs x n_inputs) by a matrix of the type within the budget, of the least
 * weighted error that is found. On success *fit belongs to the caller (sn_fit_free). SN_BAD_INPUT
 * when there is no budget, it holds no matrix of the type, a setting is unknown or out of range, or
 * the matrix has entries that are not finite. Cost: a minute of one core at most for 1000 x 1280
 * with SN_NORMAL. Sources: the heads of approx/sss_fit.c and approx/psm_fit.c. */
enum sn_status sn_fit(const struct sn_fit_type *type, const float *dense, int n_outputs,
                      int n_inputs, const struct sn_fit_options *options, struct sn_fit *fit,
                      struct sn_error *error);

/* Legal on a zeroed struct. */
void sn_fit_free(struct sn_fit *fit);

/* A weighting from all samples x (n_samples x n), finite, whose shrinkage and alignment are chosen
 * by the error of outputs on samples that did not fit, for dense (m x n), type and options (its
 * weighting is ignored). The caller frees with sn_weighting_free. Errors: those of sn_fit and of
 * sn_weighting_new. Cost: nine quick fits of the family's simplest type, or of a type that has no
 * budget itself. */
enum sn_status sn_weighting_choose(const struct sn_fit_type *type,
                                   const struct sn_fit_options *options, const float *dense, int m,
                                   int n, const float *x, int n_samples,
                                   struct sn_weighting *weighting, struct sn_error *error);

/* Lowers ||(W - What) L||_F^2 (L = I when weighting is NULL) over fit's values by at most n_steps
 * steps of L-BFGS; the structure stays, and the end is never worse than the start. w is n_outputs x
 * n_inputs. fit's errors are left as they are. Ends early when *stop (which may be NULL) is set, or
 * when a step gains next to nothing. SN_NO_MEMORY is the only failure; the values are as before
 * then. Cost of a step: about one product and one gradient for each of the n_inputs columns of L.
 * Source: Nocedal and Wright, Numerical optimization, 2nd ed., algorithms 7.4 and 3.1. */
enum sn_status sn_refit(struct sn_fit *fit, const float *w, const struct sn_weighting *weighting,
                        int n_steps, const volatile sig_atomic_t *stop, struct sn_error *error);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
