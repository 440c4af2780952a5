/* Without memory: the blocks that a function asks for are refused, each by itself and each with all
 * that follow. The function must not crash, give back what it took, say "out of memory" in its
 * status and its message, and make nothing. It may go on only where it could not make a block
 * smaller; the result is the usual one then. */
#include "scarce_memory.h"
#include "starve.h"
#include "support.h"

#include <relu6_layer.h>
#include <stored.h>
#include <structured_layer.h>
#include <whole_file.h>

#include <cblas.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Matrices ---- */

enum { MOST_ROWS = 16, MOST_COLUMNS = 16, MOST_ENTRIES = MOST_ROWS * MOST_COLUMNS };

struct dense {
    const char *name;
    int m, n;
    float w[MOST_ENTRIES];
};

static float random_entry(uint64_t *seed, int row, int column)
{
    (void)row, (void)column;
    return (float)random_uniform(seed, -1, 1);
}

static float tiny_entry(uint64_t *seed, int row, int column)
{
    return ldexpf(random_entry(seed, row, column), -40);
}

/* Rank one above the blocks of the diagonal and below. */
static float semiseparable_entry(uint64_t *seed, int row, int column)
{
    float own = random_entry(seed, row, column);
    int block = row / 4, other = column / 4;
    return block == other ? own : block > other ? (float)(row + column * row) : (float)(column - 9);
}

/* Two blocks, once its rows and columns are put in order. */
static float shuffled_entry(uint64_t *seed, int row, int column)
{
    return row % 2 == column % 2 ? random_entry(seed, row, column) : 0;
}

static float hadamard_entry(uint64_t *seed, int row, int column)
{
    (void)seed;
    return __builtin_parity((unsigned)(row & column)) ? -1 : 1;
}

/* Two blocks, which are products with two entries in each row. */
static float parted_entry(uint64_t *seed, int row, int column)
{
    if (row / 8 != column / 8) return 0;
    int row_pair = row % 8 / 2, column_pair = column % 8 / 2;
    return (float)(row_pair + 1) * ((float)column_pair - 1.25f)
        + hadamard_entry(seed, row % 2, column % 2);
}

/* Matrices on which the searches go different ways. */
enum { UNSTRUCTURED, TINY, SEMISEPARABLE, SHUFFLED, HADAMARD, PARTS, N_MATRICES };

static int make_dense(int which, struct dense *dense)
{
    static const struct {
        const char *name;
        int m, n;
        float (*entry)(uint64_t *seed, int row, int column);
    } all[N_MATRICES] = {
        [UNSTRUCTURED] = { "unstructured", 6, 8, random_entry },
        [TINY] = { "tiny entries", 6, 8, tiny_entry },
        [SEMISEPARABLE] = { "semiseparable", 16, 16, semiseparable_entry },
        [SHUFFLED] = { "shuffled", 12, 12, shuffled_entry },
        [HADAMARD] = { "Hadamard", 8, 8, hadamard_entry },
        [PARTS] = { "parts", 16, 16, parted_entry },
    };
    uint64_t seed = 1;
    if (which >= N_MATRICES) return 0;
    *dense = (struct dense){ .name = all[which].name, .m = all[which].m, .n = all[which].n };
    for (int row = 0; row < dense->m; row++)
        for (int column = 0; column < dense->n; column++)
            dense->w[row * dense->n + column] = all[which].entry(&seed, row, column);
    return 1;
}

static size_t share_bytes(const struct dense *dense, double share)
{
    return (size_t)(share * dense->m * dense->n) * sizeof(float);
}

/* ---- Weightings ---- */

enum { N_SAMPLES = 20 };

/* What a weighting is made for. */
struct weighing {
    struct dense dense;
    const struct sn_fit_type *type;
    struct sn_fit_options options;
    float samples[N_SAMPLES * MOST_COLUMNS];
    struct sn_weighting weighting;
};

/* Samples of inputs with different variances. */
static void make_samples(int n, float *samples)
{
    uint64_t seed = 9;
    for (int i = 0; i < N_SAMPLES * n; i++)
        samples[i] = (float)random_uniform(&seed, -1, 1 + i % n);
}

static struct sn_weighting make_weighting(const struct dense *dense)
{
    struct sn_weighting weighting;
    float samples[N_SAMPLES * MOST_COLUMNS];
    make_samples(dense->n, samples);
    cr_assert_eq(sn_weighting_new(dense->w, dense->m, samples, N_SAMPLES, dense->n, .5, .2,
                                  &weighting, NULL),
                 SN_OK);
    return weighting;
}

static struct outcome end_weighting(enum sn_status status, struct sn_weighting *weighting)
{
    struct outcome outcome = { .status = status,
                               .is_empty = !weighting->mean && !weighting->moment };
    if (status) return outcome;
    outcome.digest = digest_floats(weighting->moment, (size_t)weighting->n * (size_t)weighting->n);
    sn_weighting_free(weighting);
    return outcome;
}

static struct outcome call_new(const void *argument, struct sn_error *error)
{
    const struct weighing *w = argument;
    struct sn_weighting weighting;
    memset(&weighting, 0xff, sizeof weighting);
    return end_weighting(sn_weighting_new(w->dense.w, w->dense.m, w->samples, N_SAMPLES, w->dense.n,
                                          .5, .2, &weighting, error),
                         &weighting);
}

static struct outcome call_choose(const void *argument, struct sn_error *error)
{
    const struct weighing *w = argument;
    struct sn_weighting weighting;
    memset(&weighting, 0xff, sizeof weighting);
    return end_weighting(sn_weighting_choose(w->type, &w->options, w->dense.w, w->dense.m,
                                             w->dense.n, w->samples, N_SAMPLES, &weighting, error),
                         &weighting);
}

static struct outcome call_error(const void *argument, struct sn_error *error)
{
    const struct weighing *w = argument;
    static const float what[MOST_ENTRIES];
    double value = sn_weighted_error(w->dense.w, what, w->dense.m, w->dense.n, &w->weighting,
                                     error);
    return (struct outcome){ .status = value < 0 ? SN_NO_MEMORY : SN_OK,
                             .is_empty = 1,
                             .digest = digest(0, &value, sizeof value) };
}

Test(memory, weightings)
{
    struct weighing w = { .options.effort = SN_QUICK };
    openblas_set_num_threads(1);
    make_dense(UNSTRUCTURED, &w.dense);
    make_samples(w.dense.n, w.samples);
    starve("sn_weighting_new", call_new, &w);
    w.weighting = make_weighting(&w.dense);
    starve("sn_weighted_error", call_error, &w);
    sn_weighting_free(&w.weighting);
    w.options.budget_bytes = share_bytes(&w.dense, .5);
    for (int t = 0; (w.type = sn_fit_type_at(t)); t++) starve(w.type->name, call_choose, &w);
}

/* ---- Fits ---- */

struct fitting {
    const struct sn_fit_type *type;
    const struct dense *dense;
    struct sn_fit_options options;
};

static struct outcome call_fit(const void *argument, struct sn_error *error)
{
    const struct fitting *f = argument;
    struct outcome outcome = { 0 };
    struct sn_fit fit;
    memset(&fit, 0xff, sizeof fit);
    outcome.status = sn_fit(f->type, f->dense->w, f->dense->m, f->dense->n, &f->options, &fit,
                            error);
    outcome.is_empty = !fit.matrix && !fit.words;
    if (outcome.status) return outcome;
    outcome.digest = digest(digest_floats(fit.words, fit.matrix->n_words), &fit.error,
                            sizeof fit.error + sizeof fit.weighted_error);
    sn_fit_free(&fit);
    return outcome;
}

/* Fits of all types. */
static void starve_fits(const struct dense *dense, const struct sn_fit_options *options,
                        const char *what)
{
    for (int t = 0; sn_fit_type_at(t); t++) {
        struct fitting f = { sn_fit_type_at(t), dense, *options };
        char name[160];
        snprintf(name, sizeof name, "%s of %s, %s", f.type->name, dense->name, what);
        starve(name, call_fit, &f);
    }
}

Test(memory, fits_of_all_matrices)
{
    struct dense dense;
    openblas_set_num_threads(1);
    for (int i = 0; make_dense(i, &dense); i++)
        starve_fits(&dense, &(struct sn_fit_options){ .budget_bytes = share_bytes(&dense, .5) },
                    "half");
}

/* One that searches, and one that is put in order. */
Test(memory, fits_with_a_weighting)
{
    static const int which[] = { UNSTRUCTURED, SHUFFLED };
    openblas_set_num_threads(1);
    for (int i = 0; i < 2; i++) {
        struct dense dense;
        make_dense(which[i], &dense);
        struct sn_weighting weighting = make_weighting(&dense);
        struct sn_fit_options options = { .budget_bytes = share_bytes(&dense, .6),
                                          .weighting = &weighting };
        starve_fits(&dense, &options, "weighted");
        sn_weighting_free(&weighting);
    }
}

/* Budgets from next to nothing on, in bytes and in values. */
Test(memory, fits_within_all_budgets)
{
    struct dense dense;
    openblas_set_num_threads(1);
    make_dense(UNSTRUCTURED, &dense);
    for (int tenths = 1; tenths <= 10; tenths += 3) {
        size_t bytes = share_bytes(&dense, tenths / 10.);
        struct sn_fit_options in_bytes = { .budget_bytes = bytes, .effort = SN_QUICK },
                              in_values = { .budget_values = bytes / 4, .effort = SN_QUICK };
        starve_fits(&dense, &in_bytes, "bytes");
        starve_fits(&dense, &in_values, "values");
    }
}

/* The first values of each option. */
static void starve_settings(const struct dense *dense, double share,
                            const struct sn_weighting *weighting)
{
    enum { N_VALUES = 4 };
    const struct sn_fit_option *option;
    for (int o = 0; (option = sn_fit_option_at(o)); o++)
        for (int v = 0; v < N_VALUES && option->minimum + v <= option->maximum; v++) {
            char what[80];
            int value = option->minimum + v;
            struct sn_fit_options options = { .budget_bytes = share_bytes(dense, share),
                                              .weighting = weighting,
                                              .effort = SN_QUICK,
                                              .settings = SETTING(option->name, value) };
            snprintf(what, sizeof what, "%s=%d", option->name, value);
            starve_fits(dense, &options, what);
        }
}

/* One without structure, with and without a weighting, and one with exact factors, for which the
 * budget is too small, and too large. */
Test(memory, fits_with_all_settings)
{
    struct dense dense;
    openblas_set_num_threads(1);
    make_dense(UNSTRUCTURED, &dense);
    struct sn_weighting weighting = make_weighting(&dense);
    starve_settings(&dense, .6, NULL);
    starve_settings(&dense, .6, &weighting);
    sn_weighting_free(&weighting);
    make_dense(HADAMARD, &dense);
    starve_settings(&dense, 1, NULL);
    starve_settings(&dense, 2, NULL);
}

/* ---- Structures ---- */

/* A fit, what it is of, and its two files. */
struct structure {
    struct dense dense;
    struct sn_fit fit;
    float usual[4 * MOST_ENTRIES]; /* the fit's words */
    char cfg_path[256], weights_path[256];
    struct cfg_text *cfg;
    layer l[1];
};

static struct outcome call_dense(const void *argument, struct sn_error *error)
{
    const struct structure *s = argument;
    float dense[MOST_ENTRIES];
    enum sn_status status = sn_dense(s->fit.matrix, s->fit.words, dense, error);
    if (status) return (struct outcome){ .status = status, .is_empty = 1 };
    return (struct outcome){ .digest = digest_floats(dense, (size_t)(s->dense.m * s->dense.n)) };
}

static struct outcome call_refit(const void *argument, struct sn_error *error)
{
    const struct structure *s = argument;
    struct sn_fit fit = s->fit;
    size_t bytes = fit.matrix->n_words * sizeof *fit.words;
    struct outcome outcome = { 0 };
    outcome.status = sn_refit(&fit, s->dense.w, NULL, 3, NULL, error);
    outcome.is_empty = !memcmp(fit.words, s->usual, bytes);
    outcome.digest = digest(0, fit.words, bytes);
    memcpy(fit.words, s->usual, bytes);
    return outcome;
}

static struct outcome call_cfg(const void *argument, struct sn_error *error)
{
    const struct structure *s = argument;
    struct cfg_text *cfg = cfg_read(s->cfg_path, error);
    if (!cfg)
        return (struct outcome){ .status = error ? error->code : SN_NO_MEMORY, .is_empty = 1 };
    struct outcome outcome = { .digest = (uint64_t)cfg->n_sections };
    cfg_free(cfg);
    return outcome;
}

static struct outcome call_head_read(const void *argument, struct sn_error *error)
{
    const struct structure *s = argument;
    struct sn_head head;
    struct outcome outcome = { 0 };
    memset(&head, 0xff, sizeof head);
    outcome.status = sn_head_read(s->cfg_path, s->weights_path, &head, error);
    outcome.is_empty = !head.matrix && !head.words && !head.bias;
    if (outcome.status) return outcome;
    outcome.digest = digest_floats(head.words, head.matrix->n_words);
    sn_head_free(&head);
    return outcome;
}

/* The matrix of the cfg, as Darknet's side makes it. */
static struct sn_matrix *parse(const struct structure *s, struct sn_error *error)
{
    return sn_matrix_parse(s->fit.matrix->family, &s->cfg->sections[1], s->dense.m, s->dense.n,
                           error);
}

static struct outcome call_parse(const void *argument, struct sn_error *error)
{
    struct sn_matrix *matrix = parse(argument, error);
    if (!matrix)
        return (struct outcome){ .status = error ? error->code : SN_NO_MEMORY, .is_empty = 1 };
    struct outcome outcome = { .digest = matrix->n_words };
    free(matrix);
    return outcome;
}

static struct outcome call_unpack(const void *argument, struct sn_error *error)
{
    const struct structure *s = argument;
    struct outcome outcome = { .is_empty = 1 };
    struct sn_matrix *matrix = s->fit.matrix;
    outcome.status = matrix->family->unpack(matrix, s->fit.words, error);
    return outcome;
}

static uint64_t draws;

static float draw(float from, float to) { return (float)random_uniform(&draws, from, to); }

static struct outcome call_init(const void *argument, struct sn_error *error)
{
    const struct structure *s = argument;
    float words[4 * MOST_ENTRIES];
    uint32_t map[4 * MOST_ENTRIES];
    struct outcome outcome = { .is_empty = 1 };
    draws = 1;
    outcome.status = sn_matrix_init(s->fit.matrix, map, words, draw, error);
    if (!outcome.status) outcome.digest = digest_floats(words, s->fit.matrix->n_values);
    return outcome;
}

/* A layer of 3 x 2 pixels, at each of which the matrix is applied. */
static layer make_layer(struct sn_matrix *matrix, struct sn_error *error)
{
    struct sn_window pixels = { matrix->n_inputs, 2, 3, 1, 1, 0, 2, 3 };
    return make_structured_layer(2, &pixels, matrix, LINEAR, 1, 1, error);
}

static struct outcome call_layer(const void *argument, struct sn_error *error)
{
    struct sn_error own = { 0 };
    struct sn_matrix *matrix = parse(argument, &own);
    struct outcome outcome = { .status = own.code };
    layer l = { 0 };
    srand(1); /* NOLINT(cert-msc32-c,cert-msc51-cpp): it is to repeat. */
    if (matrix) l = make_layer(matrix, &own);
    outcome.status = own.code;
    outcome.is_empty = !l.cweights && !l.weights;
    if (!own.code) {
        outcome.digest = digest_floats(l.weights, matrix->n_values);
        free_layer(l);
    } else if (error) *error = own;
    return outcome;
}

static struct outcome call_head_write(const void *argument, struct sn_error *error)
{
    const struct structure *s = argument;
    float bias[MOST_ROWS] = { 0 };
    FILE *null = fopen("/dev/null", "w");
    struct outcome outcome = { .is_empty = 1 };
    outcome.status = sn_head_write(&(struct sn_head){ s->fit.matrix, s->fit.words, bias }, null,
                                   null, error);
    fclose(null);
    return outcome;
}

static struct outcome call_dress(const void *argument, struct sn_error *error)
{
    layer l = *((const struct structure *)argument)->l;
    struct structured_shape shape;
    struct outcome outcome = { .status = structured_dress(&l, &shape, error) };
    outcome.is_empty = !memcmp(&l, ((const struct structure *)argument)->l, sizeof l);
    if (!outcome.status) structured_undress(&l, &shape);
    return outcome;
}

/* Gives the fit values of few bits, drawn anew; of 32 it keeps its own. */
static void set_bits(struct structure *s, int bits)
{
    struct sn_matrix *matrix = s->fit.matrix;
    uint32_t map[4 * MOST_ENTRIES];
    if (bits == 32) return;
    cr_assert(!sn_matrix_set_bits(matrix, bits, 0, NULL));
    s->fit.words = realloc(s->fit.words, matrix->n_words * sizeof(float));
    draws = 1;
    cr_assert(!sn_matrix_init(matrix, map, s->fit.words, draw, NULL));
}

/* The rest of *s, for s->dense. */
static void structure_new(struct structure *s, const struct sn_fit_type *type,
                          const struct sn_fit_options *options, int bits)
{
    struct sn_error error = { 0 };
    struct sn_fit_options own = *options;
    if (!type->has_budget) own.budget_bytes = own.budget_values = 0;
    cr_assert_eq(sn_fit(type, s->dense.w, s->dense.m, s->dense.n, &own, &s->fit, &error), SN_OK,
                 "%s", error.message);
    set_bits(s, bits);
    size_t n_words = s->fit.matrix->n_words;
    cr_assert_leq(n_words, 4 * MOST_ENTRIES);
    memcpy(s->usual, s->fit.words, n_words * sizeof(float));
    strcpy(s->cfg_path, temporary_path("head.cfg"));
    strcpy(s->weights_path, temporary_path("head.weights"));
    FILE *cfg = fopen(s->cfg_path, "w"), *weights = fopen(s->weights_path, "wb");
    float bias[MOST_ROWS] = { 0 };
    sn_head_write(&(struct sn_head){ s->fit.matrix, s->fit.words, bias }, cfg, weights, NULL);
    fclose(cfg);
    fclose(weights);
    cr_assert_not_null(s->cfg = cfg_read(s->cfg_path, &error), "%s", error.message);
    *s->l = make_layer(parse(s, &error), &error);
    cr_assert(!error.code, "%s", error.message);
}

static void structure_free(struct structure *s)
{
    free_layer(*s->l);
    cfg_free(s->cfg);
    sn_fit_free(&s->fit);
}

enum { N_CALLS = 10 };

/* Adds to asked how many blocks each of the calls asks for. */
static void starve_structure(const char *type, const struct structure *s, long asked[N_CALLS])
{
    static const struct {
        const char *name;
        scarce_call *call;
    } calls[N_CALLS] = { { "sn_dense", call_dense },
                         { "sn_refit", call_refit },
                         { "cfg_read", call_cfg },
                         { "sn_head_read", call_head_read },
                         { "parse", call_parse },
                         { "make_structured_layer", call_layer },
                         { "unpack", call_unpack },
                         { "init", call_init },
                         { "sn_head_write", call_head_write },
                         { "structured_dress", call_dress } };
    for (int c = 0; c < N_CALLS; c++) {
        char name[160];
        snprintf(name, sizeof name, "%s of %s for %s, %d bits", calls[c].name, type, s->dense.name,
                 s->fit.matrix->bits);
        asked[c] += starve(name, calls[c].call, s);
    }
}

Test(memory, structures_of_every_type)
{
    static struct structure s;
    const struct sn_fit_type *type;
    long asked[N_CALLS] = { 0 };
    openblas_set_num_threads(1);
    for (int t = 0; (type = sn_fit_type_at(t)); t++)
        for (int which = 0; make_dense(which / 2, &s.dense); which++) {
            struct sn_fit_options options = { .budget_bytes = share_bytes(&s.dense, .6),
                                              .settings = SETTING("block", 4) };
            structure_new(&s, type, &options, which % 2 ? 4 : 32);
            starve_structure(type->name, &s, asked);
            structure_free(&s);
        }
    for (int c = 0; c < N_CALLS; c++) cr_expect_gt(asked[c], 0);
}

/* ---- What Darknet's side has besides ---- */

Test(memory, relu6_layers)
{
    for (long k = 0; k < 2; k++) {
        scarce_begin(k, 0);
        layer l = make_relu6_layer(2, 3);
        cr_expect(!l.output != !l.delta);
        free_layer(l);
        cr_expect_eq(scarce_end().left, 0);
    }
}

/* A file that cannot be opened for want of memory: SN_IO, as for every other reason. */
static void starve_whole_file(const char *path, long n_blocks)
{
    for (long k = 0; k <= n_blocks; k++) {
        struct whole_file out;
        struct sn_error error = { 0 };
        scarce_begin(k, 0);
        enum sn_status status = whole_file_open(&out, path, &error);
        whole_file_discard(&out);
        struct scarce_count count = scarce_end();
        cr_expect_eq(count.left, 0);
        cr_expect_eq(count.failed, k < n_blocks);
        cr_expect_eq(status, k < n_blocks ? SN_IO : SN_OK, "%s", error.message);
        cr_expect(k == n_blocks || strstr(error.message, "Cannot allocate memory"), "'%s'",
                  error.message);
    }
}

Test(memory, whole_files)
{
    char path[256];
    strcpy(path, temporary_path("file"));
    starve_whole_file(path, 2);
    cr_expect_neq(access(path, F_OK), 0);
    write_file(path, "old", 3);
    starve_whole_file(path, 2);
}

/* What a program does with a net, its first block refused. */
enum deed { READ_CFG, SAVE_WEIGHTS, LOAD_WEIGHTS };

static void do_without_memory(const void *argument)
{
    const enum deed *deed = argument;
    static const char text[] = "[net]\nbatch=1\ninputs=3\n[sss]\noutput=2\nstages=1\n";
    char path[256];
    network *net = net_from_text(text, 1);
    strcpy(path, temporary_path("net.cfg"));
    if (*deed == LOAD_WEIGHTS) save_weights(net, strcpy(path, temporary_path("net.weights")));
    scarce_begin(0, 0);
    if (*deed == READ_CFG) parse_network_cfg(path);
    else if (*deed == SAVE_WEIGHTS) save_weights(net, path);
    else load_weights(net, path);
}

Test(memory, programs_end_with_a_message)
{
    for (int deed = READ_CFG; deed <= LOAD_WEIGHTS; deed++) {
        char text[1024];
        cr_expect_eq(run_in_child(do_without_memory, &(enum deed){ (enum deed)deed }, text,
                                  sizeof text),
                     1);
        cr_expect(strstr(text, "out of memory"), "'%s'", text);
    }
}
