/* Without memory (starve.h): moments and packed matrices, and what reads files. */
#include "starve.h"
#include "support.h"

#include <checkpoint.h>
#include <moments.h>
#include <npy.h>
#include <plug_keys.h>
#include <plug_tree.h>
#include <task.h>
#include <weighting.h>

#include <cblas.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* ---- Moments: M x N matrices for inputs of a net beside those of a reference ---- */

enum { M = 5, N = 6, ROWS = 40 };

struct measured {
    float w[M * N], what[M * N], z[2 * N * ROWS];
    struct sn_covariance parts[2]; /* of z */
    struct sn_weighting weighting;
    const struct sn_fit_type *type;
};

static void make_measured(struct measured *m)
{
    uint64_t seed = 5;
    struct sn_covariance inputs;
    for (int i = 0; i < M * N; i++) {
        m->w[i] = (float)random_uniform(&seed, -1, 1);
        m->what[i] = (float)random_uniform(&seed, -1, 1);
    }
    for (int i = 0; i < 2 * N * ROWS; i++) m->z[i] = (float)random_uniform(&seed, -1, 1 + i % N);
    for (int p = 0; p < 2; p++) {
        struct sn_moments moments;
        cr_assert(!sn_moments_new(&moments, 2 * N, NULL));
        sn_moments_add(&moments, m->z, ROWS);
        sn_moments_take(&moments, &m->parts[p]);
    }
    cr_assert(!sn_covariance_inputs(&m->parts[0], N, &inputs, NULL));
    cr_assert(!sn_weighting_mix(&inputs, NULL, N, .5, 0, &m->weighting, NULL));
    sn_covariance_free(&inputs);
}

static struct outcome end_covariance(enum sn_status status, struct sn_covariance *c)
{
    struct outcome outcome = { .status = status, .is_empty = !c->mean && !c->values };
    if (!status) outcome.digest = digest_floats(c->values, c->n * c->n);
    sn_covariance_free(c);
    return outcome;
}

static struct outcome call_moments(const void *argument, struct sn_error *error)
{
    const struct measured *m = argument;
    struct sn_moments moments;
    struct sn_covariance covariance = { 0 };
    enum sn_status status = sn_moments_new(&moments, 2 * N, error);
    if (status)
        return (struct outcome){ .status = status,
                                 .is_empty = !moments.sum && !moments.mean && !moments.products };
    sn_moments_add(&moments, m->z, ROWS);
    sn_moments_take(&moments, &covariance);
    return end_covariance(SN_OK, &covariance);
}

static struct outcome call_covariance(const void *argument, struct sn_error *error)
{
    const struct measured *m = argument;
    struct sn_covariance c = { 0 };
    struct outcome outcome = end_covariance(sn_covariance_new(m->z, ROWS, 2 * N, &c, error), &c);
    outcome.is_empty = 1; /* It may be partly made, and is freed. */
    return outcome;
}

static struct outcome call_join(const void *argument, struct sn_error *error)
{
    const struct measured *m = argument;
    struct sn_covariance joined;
    memset(&joined, 0xff, sizeof joined);
    return end_covariance(sn_covariance_join(&m->parts[0], &m->parts[1], &joined, error), &joined);
}

static struct outcome call_inputs(const void *argument, struct sn_error *error)
{
    const struct measured *m = argument;
    struct sn_covariance inputs;
    memset(&inputs, 0xff, sizeof inputs);
    return end_covariance(sn_covariance_inputs(&m->parts[0], N, &inputs, error), &inputs);
}

static struct outcome call_moments_error(const void *argument, struct sn_error *error)
{
    const struct measured *m = argument;
    const struct sn_covariance *judge = &m->parts[0];
    double value = sn_moments_error(m->w, m->what, M, N, judge, judge->mean, 1, error);
    return (struct outcome){ .status = value < 0 ? SN_NO_MEMORY : SN_OK,
                             .is_empty = 1,
                             .digest = digest(0, &value, sizeof value) };
}

static struct outcome call_root(const void *argument, struct sn_error *error)
{
    const struct measured *m = argument;
    float *root = (float *)m->z;
    struct outcome outcome = { .status = sn_weighting_root(&m->weighting, &root, error) };
    outcome.is_empty = !root;
    if (!outcome.status) outcome.digest = digest_floats(root, (size_t)N * N);
    free(root);
    return outcome;
}

static struct outcome call_target(const void *argument, struct sn_error *error)
{
    const struct measured *m = argument;
    float target[M * N];
    struct outcome outcome = { .is_empty = 1 };
    outcome.status = sn_moments_target(m->w, M, N, &m->parts[0], &m->weighting, target, error);
    if (!outcome.status) outcome.digest = digest_floats(target, (size_t)M * N);
    return outcome;
}

static struct outcome call_choose(const void *argument, struct sn_error *error)
{
    const struct measured *m = argument;
    float target[M * N];
    struct sn_weighting weighting;
    struct sn_fit_options options = { .budget_bytes = 2 * M * N, .effort = SN_QUICK };
    memset(&weighting, 0xff, sizeof weighting);
    struct outcome outcome = { .status = sn_moments_choose(m->type, &options, m->w, M, N, m->parts,
                                                           0, &weighting, target, error) };
    outcome.is_empty = !weighting.mean && !weighting.moment;
    if (outcome.status) return outcome;
    outcome.digest = digest_floats(target, (size_t)M * N);
    sn_weighting_free(&weighting);
    return outcome;
}

Test(memory_of, moments)
{
    static struct measured m;
    static const struct {
        const char *name;
        scarce_call *call;
    } calls[] = {
        { "sn_moments_new", call_moments },         { "sn_covariance_new", call_covariance },
        { "sn_covariance_join", call_join },        { "sn_covariance_inputs", call_inputs },
        { "sn_moments_error", call_moments_error }, { "sn_weighting_root", call_root },
        { "sn_moments_target", call_target }
    };
    openblas_set_num_threads(1);
    make_measured(&m);
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++)
        cr_expect_gt(starve(calls[c].name, calls[c].call, &m), 0, "%s", calls[c].name);
    for (int t = 0; (m.type = sn_fit_type_at(t)); t++)
        cr_expect_gt(starve(m.type->name, call_choose, &m), 0, "%s", m.type->name);
    sn_covariance_free(&m.parts[0]);
    sn_covariance_free(&m.parts[1]);
    sn_weighting_free(&m.weighting);
}

/* ---- Packed matrices ---- */

static struct outcome call_pack(const void *argument, struct sn_error *error)
{
    const struct sn_fit *fit = argument;
    struct sn_packed *packed = sn_pack(fit->matrix, fit->words, error);
    if (!packed)
        return (struct outcome){ .status = error ? error->code : SN_NO_MEMORY, .is_empty = 1 };
    float x[N] = { 1, 2, 3 }, y[M] = { 0 },
          *scratch = calloc(sn_packed_scratch(packed) + 1, sizeof *scratch);
    struct outcome outcome = { .status = scratch ? SN_OK : SN_NO_MEMORY, .is_empty = 1 };
    if (scratch) sn_packed_multiply(packed, x, y, scratch);
    else sn_no_memory(error, "scratch");
    outcome.digest = digest_floats(y, M);
    free(scratch);
    free(packed);
    return outcome;
}

Test(memory_of, packed_matrices)
{
    const struct sn_fit_type *type;
    uint64_t seed = 6;
    float w[M * N];
    openblas_set_num_threads(1);
    for (int i = 0; i < M * N; i++) w[i] = (float)random_uniform(&seed, -1, 1);
    for (int t = 0; (type = sn_fit_type_at(t)); t++)
        for (int bits = 4; bits <= 32; bits *= 2) {
            struct sn_fit fit;
            struct sn_error error = { 0 };
            struct sn_fit_options options = { .budget_bytes = type->has_budget ? 100 : 0,
                                              .bits = bits == 16 ? 0 : bits };
            cr_assert(!sn_fit(type, w, M, N, &options, &fit, &error), "%s", error.message);
            cr_expect_gt(starve(type->name, call_pack, &fit), 1, "%s", type->name);
            sn_fit_free(&fit);
        }
}

/* ---- Files ---- */

/* Of a reader that fills in *error always. */
static struct outcome end_reading(enum sn_status status, const struct sn_error *own,
                                  struct sn_error *error, int is_empty)
{
    if (status && error) *error = *own;
    return (struct outcome){ .status = status, .is_empty = is_empty };
}

static struct outcome call_floats(const void *path, struct sn_error *error)
{
    struct npy npy;
    struct sn_error own = { 0 };
    enum sn_status status = npy_read(path, &npy, &own);
    struct outcome outcome = end_reading(status, &own, error, !npy.values && !npy.n_values);
    if (!status) outcome.digest = digest_floats(npy.values, npy.n_values);
    free(npy.values);
    return outcome;
}

static struct outcome call_integers(const void *path, struct sn_error *error)
{
    struct npy npy;
    struct sn_error own = { 0 };
    enum sn_status status = npy_read_integers(path, &npy, &own);
    struct outcome outcome = end_reading(status, &own, error, !npy.integers && !npy.n_values);
    if (!status) outcome.digest = digest(0, npy.integers, npy.n_values * sizeof *npy.integers);
    free(npy.integers);
    return outcome;
}

static struct outcome call_checkpoint(const void *path, struct sn_error *error)
{
    struct checkpoint checkpoint;
    struct sn_error own = { 0 };
    enum sn_status status = checkpoint_open(path, NULL, &checkpoint, &own);
    struct outcome outcome = end_reading(status, &own, error, 1);
    if (status) return outcome;
    outcome.digest = (uint64_t)checkpoint.n_tensors;
    checkpoint_close(&checkpoint);
    return outcome;
}

static struct outcome call_tree(const void *path, struct sn_error *error)
{
    struct sn_error own = { 0 };
    return end_reading(plug_check_tree(path, 3, &own), &own, error, 1);
}

static struct outcome call_task(const void *path, struct sn_error *error)
{
    struct task task;
    struct lines images = { 0 };
    int *class = NULL;
    struct sn_error own = { 0 };
    enum sn_status status = task_open(path, &task, &own);
    if (!status) status = task_read_labels(&task, &own);
    if (!status) status = task_images(&task, "valid", &images, &class, &own);
    struct outcome outcome = end_reading(status, &own, error, !class && !images.line);
    if (!status) outcome.digest = digest(0, class, (size_t)images.n * sizeof *class);
    lines_free(&images);
    free(class);
    task_free(&task);
    return outcome;
}

static struct outcome call_sections(const void *path, struct sn_error *error)
{
    struct sn_error own = { 0 };
    struct cfg_text *cfg = cfg_read(path, &own);
    enum sn_status status = cfg ? plug_check_sections(cfg, &own) : own.code;
    cfg_free(cfg);
    return end_reading(status, &own, error, 1);
}

static const char *array(const char *descr, const char *order, size_t n_bytes)
{
    char header[128] = "\x93NUMPY\1\0v", bytes[512] = "";
    snprintf(header + 10, sizeof header - 10,
             "{'descr': '%s', 'fortran_order': %s, 'shape': (2, 3), }", descr, order);
    memcpy(bytes, header, sizeof header);
    memcpy(bytes + 8, "v", 2);
    const char *path = temporary_path("array.npy");
    write_file(path, bytes, sizeof header + n_bytes);
    return path;
}

static const char *text_file(const char *name, const char *text)
{
    const char *path = temporary_path(name);
    write_file(path, text, strlen(text));
    return path;
}

static void starve_reader(const char *name, scarce_call *call, const char *file)
{
    char path[256];
    strcpy(path, file);
    struct sn_error error = { 0 };
    struct outcome outcome = call(path, &error);
    cr_assert_eq(outcome.status, SN_OK, "%s: %s", name, error.message);
    cr_expect_gt(starve(name, call, path), 0, "%s", name);
}

Test(memory_of, readers)
{
    char data[1024], labels[256], images[256];
    starve_reader("npy_read", call_floats, array("<f4", "False", 24));
    starve_reader("npy_read, transposed", call_floats, array("<f8", "True", 48));
    starve_reader("npy_read_integers", call_integers, array("<i8", "True", 48));
    starve_reader("plug_check_tree", call_tree, text_file("tree", "a -1\nb 0\nc 0\n"));
    strcpy(labels, text_file("labels", "a\nb/c\n"));
    strcpy(images, text_file("images", "a/1.png\nb/c/2.png\nx/a/3.png\n"));
    snprintf(data, sizeof data, "classes=2\nlabels=%s\n# images\nvalid=%s\n", labels, images);
    starve_reader("task_images", call_task, text_file("data", data));
    starve_reader("plug_check_sections", call_sections,
                  text_file("net.cfg",
                            "[net]\ninputs=6\n[sss]\noutput=4\nstages=2\nstates=1\n"
                            "[connected]\noutput=3\n[softmax]\n"));
}

Test(memory_of, checkpoints)
{
    starve_reader("safetensors", call_checkpoint, "tests/checkpoints/plain.safetensors");
    starve_reader("zip", call_checkpoint, "tests/checkpoints/zip2.pth");
    starve_reader("legacy", call_checkpoint, "tests/checkpoints/legacy2.pth");
}
