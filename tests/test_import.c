/* structnet import, check, info and run on whole nets, from the file of a state dict to the logits.
 *
 * A state dict of random values is written as .safetensors or as the archive that torch.save
 * writes. What run gives for one picture is compared with the net's definition in torchvision,
 * evaluated here in loops over the same values, in double precision and without BatchNorm folded:
 *
 *   convolution  y[o,i,j] = b[o] + sum over c, k, l of w[o,c,k,l] x[c, i s + k - p, j s + l - p]
 *   BatchNorm    y = gamma (x - mean) / sqrt(variance + 1e-5) + beta
 *
 * Between them the two nets have every kind of node but the average over 3 x 3. */
#include "support.h"

#include <architecture.h>
#include <arena.h>
#include <command.h>
#include <npy.h>

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <math.h>
#include <minizip/zip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_CLASSES = 5, SIZE = 224 };

/* ---- a state dict */

struct state {
    struct architecture architecture; /* for the names and shapes of its parameters */
    float **values;                   /* of each parameter */
    struct arena arena;               /* for everything that a test makes */
    double multiply_adds;             /* of the evaluation */
};

static size_t count(const struct architecture_parameter *parameter)
{
    size_t n = 1;
    for (int k = 0; k < parameter->n_dimensions; k++) n *= (size_t)parameter->shape[k];
    return n;
}

static int ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), length = strlen(suffix);
    return n >= length && !strcmp(name + n - length, suffix);
}

/* Matrices have He's variance, 2 / inputs, so that activations keep their size through the layers;
 * all else takes part, too. */
static void draw(const struct architecture_parameter *parameter, uint64_t *seed, float *values)
{
    size_t n = count(parameter);
    double reach = 0.2, middle = 0;
    if (parameter->n_dimensions > 1) reach = sqrt(6. * (double)parameter->shape[0] / (double)n);
    else if (!ends_with(parameter->name, "bias") && !ends_with(parameter->name, "mean")) middle = 1;
    for (size_t i = 0; i < n; i++)
        values[i] = (float)random_uniform(seed, middle - reach, middle + reach);
}

/* n_trained is the number of parameters that torchvision's documentation tells, for 1000 classes.
 */
static void begin(const char *name, double n_trained, struct state *state)
{
    struct sn_error error;
    uint64_t seed = 1;
    *state = (struct state){ 0 };
    cr_assert_eq(architecture_make(name, N_CLASSES, &state->architecture, &error), SN_OK);
    int n = state->architecture.n_parameters;
    state->values = arena_alloc(&state->arena, (size_t)n * sizeof *state->values);
    for (int i = 0; i < n; i++) {
        const struct architecture_parameter *parameter = &state->architecture.parameters[i];
        state->values[i] = arena_alloc(&state->arena, count(parameter) * sizeof(float));
        draw(parameter, &seed, state->values[i]);
        n_trained -= strstr(parameter->name, ".running_") ? 0 : (double)count(parameter);
        if (i == n - 2) n_trained -= (1000 - N_CLASSES) * (double)(parameter->shape[1] + 1);
    }
    cr_assert_eq(n_trained, 0);
}

static void end(struct state *state)
{
    architecture_free(&state->architecture);
    arena_free(&state->arena);
}

static int find(const struct state *state, const char *name, const char *suffix)
{
    char path[128];
    int i = 0;
    snprintf(path, sizeof path, "%s%s", name, suffix);
    while (i < state->architecture.n_parameters
           && strcmp(state->architecture.parameters[i].name, path))
        i++;
    return i < state->architecture.n_parameters ? i : -1;
}

/* The values of NAME.SUFFIX, or NULL when there is none. */
static const float *values_of(const struct state *state, const char *name, const char *suffix)
{
    int i = find(state, name, suffix);
    return i < 0 ? NULL : state->values[i];
}

/* ---- its files, in the directory that temporary_path names */

static void write_safetensors(const struct state *state, const char *name)
{
    cJSON *header = cJSON_CreateObject();
    double at = 0;
    for (int i = 0; i < state->architecture.n_parameters; i++) {
        const struct architecture_parameter *parameter = &state->architecture.parameters[i];
        double end = at + 4. * (double)count(parameter);
        cJSON *item = cJSON_AddObjectToObject(header, parameter->name);
        cJSON_AddStringToObject(item, "dtype", "F32");
        cJSON *shape = cJSON_AddArrayToObject(item, "shape");
        for (int k = 0; k < parameter->n_dimensions; k++)
            cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)parameter->shape[k]));
        cJSON_AddItemToObject(item, "data_offsets",
                              cJSON_CreateDoubleArray((double[]){ at, end }, 2));
        at = end;
    }
    char *text = cJSON_PrintUnformatted(header);
    uint64_t length = strlen(text);
    FILE *file = fopen(temporary_path(name), "wb");
    fwrite(&length, sizeof length, 1, file);
    fwrite(text, 1, length, file);
    for (int i = 0; i < state->architecture.n_parameters; i++)
        fwrite(state->values[i], sizeof(float), count(&state->architecture.parameters[i]), file);
    cr_assert_eq(fclose(file), 0);
    cJSON_free(text);
    cJSON_Delete(header);
}

static void pickle_text(FILE *file, const char *text)
{
    uint32_t n = (uint32_t)strlen(text);
    fputc('X', file);
    fwrite(&n, sizeof n, 1, file);
    fputs(text, file);
}

static void pickle_int(FILE *file, int64_t number)
{
    int32_t integer = (int32_t)number;
    fputc('J', file);
    fwrite(&integer, sizeof integer, 1, file);
}

/* torch._utils._rebuild_tensor_v2(('storage', torch.FloatStorage, key, 'cpu', n), 0, shape, stride,
 * False, OrderedDict()), in protocol 2. */
static void pickle_tensor(FILE *file, const struct architecture_parameter *parameter, int key)
{
    int64_t stride = (int64_t)count(parameter);
    char text[16];
    snprintf(text, sizeof text, "%d", key);
    fputs("ctorch._utils\n_rebuild_tensor_v2\n((", file);
    pickle_text(file, "storage");
    fputs("ctorch\nFloatStorage\n", file);
    pickle_text(file, text);
    pickle_text(file, "cpu");
    pickle_int(file, stride);
    fputs("tQ", file);
    pickle_int(file, 0);
    fputc('(', file);
    for (int k = 0; k < parameter->n_dimensions; k++) pickle_int(file, parameter->shape[k]);
    fputs("t(", file);
    for (int k = 0; k < parameter->n_dimensions; k++)
        pickle_int(file, stride /= parameter->shape[k]);
    fputs("t\x89"
          "ccollections\nOrderedDict\n)RtR",
          file);
}

static void add_entry(zipFile zip, const char *name, const void *bytes, size_t n)
{
    cr_assert_eq(zipOpenNewFileInZip(zip, name, NULL, NULL, 0, NULL, 0, NULL, 0, 0), ZIP_OK);
    cr_assert_eq(zipWriteInFileInZip(zip, bytes, (unsigned)n), ZIP_OK);
    cr_assert_eq(zipCloseFileInZip(zip), ZIP_OK);
}

/* "module.NAME"; of every other one, as torch.compile wraps parts of a net, "A._orig_mod.B". */
static void wrap_name(const char *name, int i, char *wrapped, size_t size)
{
    const char *dot = i % 2 ? strchr(name, '.') : NULL;
    if (dot) snprintf(wrapped, size, "module.%.*s._orig_mod%s", (int)(dot - name), name, dot);
    else snprintf(wrapped, size, "module.%s", name);
}

/* As torch.save({"state_dict": {"module.NAME": tensor, ...}}) writes it. */
static void write_zip(const struct state *state, const char *archive)
{
    char *program, name[128];
    size_t n;
    FILE *file = open_memstream(&program, &n);
    fputs("\x80\x02}", file);
    pickle_text(file, "state_dict");
    fputs("}(", file);
    for (int i = 0; i < state->architecture.n_parameters; i++) {
        wrap_name(state->architecture.parameters[i].name, i, name, sizeof name);
        pickle_text(file, name);
        pickle_tensor(file, &state->architecture.parameters[i], i);
    }
    fputs("us.", file);
    cr_assert_eq(fclose(file), 0);
    zipFile zip = zipOpen(temporary_path(archive), APPEND_STATUS_CREATE);
    cr_assert_not_null(zip);
    add_entry(zip, "archive/data.pkl", program, n);
    for (int i = 0; i < state->architecture.n_parameters; i++) {
        snprintf(name, sizeof name, "archive/data/%d", i);
        add_entry(zip, name, state->values[i],
                  count(&state->architecture.parameters[i]) * sizeof(float));
    }
    cr_assert_eq(zipClose(zip, NULL), ZIP_OK);
    free(program);
}

/* ---- evaluation */

struct image {
    int c, h, w;
    double *pixels;
};

static struct image new_image(struct state *state, int c, int h, int w)
{
    size_t n = (size_t)c * (size_t)h * (size_t)w;
    return (struct image){ c, h, w, arena_alloc(&state->arena, n * sizeof(double)) };
}

static double *row_of(struct image image, int c, int y)
{
    return image.pixels + ((size_t)c * (size_t)image.h + (size_t)y) * (size_t)image.w;
}

/* Adds w times the channel of x, shifted and strided, to the channel of y; x is 0 outside. */
static void add_shifted(struct image y, int y_c, struct image x, int x_c, int stride, int dy,
                        int dx, double w)
{
    for (int i = 0; i < y.h; i++) {
        if (i * stride + dy < 0 || i * stride + dy >= x.h) continue;
        const double *from = row_of(x, x_c, i * stride + dy);
        double *to = row_of(y, y_c, i);
        for (int j = 0; j < y.w; j++)
            if (j * stride + dx >= 0 && j * stride + dx < x.w) to[j] += w * from[j * stride + dx];
    }
}

/* Biases, BatchNorm and clipping to 0 .. ceiling, when that is not 0. */
static void finish(const struct state *state, struct image y, const char *name, const char *norm,
                   double ceiling)
{
    const float *bias = values_of(state, name, ".bias");
    const float *gamma = values_of(state, norm, ".weight"), *beta = values_of(state, norm, ".bias");
    const float *mean = values_of(state, norm, ".running_mean");
    const float *variance = values_of(state, norm, ".running_var");
    cr_assert(bias || (gamma && beta && mean && variance), "%s", name);
    for (int o = 0; o < y.c; o++)
        for (int i = 0; i < y.h * y.w; i++) {
            double *at = row_of(y, o, 0) + i;
            if (bias) *at += (double)bias[o];
            if (gamma)
                *at = (double)gamma[o] * (*at - (double)mean[o]) / sqrt((double)variance[o] + 1e-5)
                    + (double)beta[o];
            if (ceiling > 0) *at = fmin(fmax(*at, 0), ceiling);
        }
}

static struct image convolve(struct state *state, struct image x, const char *name,
                             const char *norm, int stride, int pad, double ceiling)
{
    int index = find(state, name, ".weight");
    cr_assert_geq(index, 0, "%s", name);
    const struct architecture_parameter *parameter = &state->architecture.parameters[index];
    const float *weight = state->values[index];
    int n_in = (int)parameter->shape[1], n_out = (int)parameter->shape[0];
    int size = parameter->n_dimensions == 4 ? (int)parameter->shape[2] : 1;
    int n_groups = x.c / n_in;
    cr_assert_eq(n_in * n_groups, x.c, "%s", name);
    struct image y = new_image(state, n_out, (x.h + 2 * pad - size) / stride + 1,
                               (x.w + 2 * pad - size) / stride + 1);
    for (int o = 0; o < n_out; o++)
        for (int c = 0; c < n_in; c++)
            for (int k = 0; k < size * size; k++)
                add_shifted(y, o, x, o / (n_out / n_groups) * n_in + c, stride, k / size - pad,
                            k % size - pad, (double)*weight++);
    state->multiply_adds += (double)(n_out * n_in * size * size) * y.h * y.w;
    finish(state, y, name, norm, ceiling);
    return y;
}

/* Windows of 3 x 3 with stride 2; the last of them may reach beyond the picture. */
static struct image max_pool(struct state *state, struct image x)
{
    struct image y = new_image(state, x.c, (x.h - 2) / 2 + 1, (x.w - 2) / 2 + 1);
    for (int c = 0; c < y.c; c++)
        for (int i = 0; i < y.h; i++)
            for (int j = 0; j < y.w; j++) {
                double most = -INFINITY;
                for (int k = 2 * i; k < 2 * i + 3 && k < x.h; k++)
                    for (int l = 2 * j; l < 2 * j + 3 && l < x.w; l++)
                        most = fmax(most, row_of(x, c, k)[l]);
                row_of(y, c, i)[j] = most;
            }
    return y;
}

static struct image average(struct state *state, struct image x)
{
    struct image y = new_image(state, x.c, 1, 1);
    for (int c = 0; c < x.c; c++)
        for (int i = 0; i < x.h * x.w; i++) y.pixels[c] += row_of(x, c, 0)[i] / (x.h * x.w);
    return y;
}

static struct image concatenate(struct state *state, struct image a, struct image b)
{
    struct image y = new_image(state, a.c + b.c, a.h, a.w);
    size_t area = (size_t)a.h * (size_t)a.w * sizeof(double);
    memcpy(row_of(y, 0, 0), a.pixels, (size_t)a.c * area);
    memcpy(row_of(y, a.c, 0), b.pixels, (size_t)b.c * area);
    return y;
}

/* torchvision/models/squeezenet.py, version 1_0. */
static struct image squeezenet1_0(struct state *state, struct image x)
{
    x = convolve(state, x, "features.0", "", 2, 0, INFINITY);
    for (int i = 2; i <= 12; i++) {
        char name[3][64];
        if (i == 2 || i == 6 || i == 11) {
            x = max_pool(state, x);
            continue;
        }
        snprintf(name[0], sizeof name[0], "features.%d.squeeze", i);
        snprintf(name[1], sizeof name[1], "features.%d.expand1x1", i);
        snprintf(name[2], sizeof name[2], "features.%d.expand3x3", i);
        x = convolve(state, x, name[0], "", 1, 0, INFINITY);
        x = concatenate(state, convolve(state, x, name[1], "", 1, 0, INFINITY),
                        convolve(state, x, name[2], "", 1, 1, INFINITY));
    }
    x = convolve(state, x, "classifier.1", "", 1, 0, INFINITY);
    return average(state, x);
}

/* Part first and the BatchNorm behind it of a block of mobilenet_v2. */
static struct image convolve_part(struct state *state, struct image x, int block, const char *part,
                                  const char *norm, int stride, int pad, double ceiling)
{
    char name[2][64];
    snprintf(name[0], sizeof name[0], "features.%d.%s", block, part);
    snprintf(name[1], sizeof name[1], "features.%d.%s", block, norm);
    return convolve(state, x, name[0], name[1], stride, pad, ceiling);
}

/* torchvision/models/mobilenetv2.py. Only the first block does not expand its input; the input is
 * added to the output when they have the same shape. */
static struct image mobilenet_v2(struct state *state, struct image x)
{
    static const int strides[] = { 1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1 };
    x = convolve_part(state, x, 0, "0", "1", 2, 1, 6);
    for (int i = 1; i <= 17; i++) {
        struct image y = x;
        if (i == 1) {
            y = convolve_part(state, y, i, "conv.0.0", "conv.0.1", strides[0], 1, 6);
            y = convolve_part(state, y, i, "conv.1", "conv.2", 1, 0, 0);
        } else {
            y = convolve_part(state, y, i, "conv.0.0", "conv.0.1", 1, 0, 6);
            y = convolve_part(state, y, i, "conv.1.0", "conv.1.1", strides[i - 1], 1, 6);
            y = convolve_part(state, y, i, "conv.2", "conv.3", 1, 0, 0);
        }
        for (int k = 0; strides[i - 1] == 1 && y.c == x.c && k < y.c * y.h * y.w; k++)
            y.pixels[k] += x.pixels[k];
        x = y;
    }
    x = convolve_part(state, x, 18, "0", "1", 1, 0, 6);
    return convolve(state, average(state, x), "classifier.1", "", 1, 0, 0);
}

/* Writes a random picture, values 0 to 1, and returns it as the nets want it: (x - mean) / std. */
static struct image make_input(struct state *state, const char *name)
{
    static const double mean[] = { 0.485, 0.456, 0.406 }, std[] = { 0.229, 0.224, 0.225 };
    struct image image = new_image(state, 3, SIZE, SIZE);
    uint64_t seed = 2;
    FILE *file = fopen(temporary_path(name), "wb");
    npy_write_header(file, "<f4", 4, (size_t[]){ 1, 3, SIZE, SIZE });
    for (int i = 0; i < 3 * SIZE * SIZE; i++) {
        float value = (float)random_uniform(&seed, 0, 1);
        int c = i / (SIZE * SIZE);
        fwrite(&value, sizeof value, 1, file);
        image.pixels[i] = ((double)value - mean[c]) / std[c];
    }
    cr_assert_eq(fclose(file), 0);
    return image;
}

/* ---- the commands */

enum { MAX_ARGUMENTS = 8 };
struct call {
    const struct command *command;
    const char *arguments[MAX_ARGUMENTS + 1];
};

static void make_call(const void *argument)
{
    const struct call *call = argument;
    char *argv[MAX_ARGUMENTS + 2] = { (char *)call->command->name };
    int argc = 1;
    for (; call->arguments[argc - 1]; argc++) argv[argc] = (char *)call->arguments[argc - 1];
    if (chdir(temporary_path("")) || !freopen("stdout", "w", stdout)) abort();
    optind = 0; /* getopt_long begins again. */
    int status = call->command->run(argc, argv);
    fflush(stdout);
    if (status) abort();
}

/* Runs the command where the files are. It must succeed; what it printed lies in the file stdout.
 */
static void structnet(const struct call *call)
{
    char text[4096];
    int status = run_in_child(make_call, call, text, sizeof text);
    cr_assert_eq(status, 0, "structnet %s: status %d: %s", call->command->name, status, text);
}
#define STRUCTNET(command_, ...) structnet(&(struct call){ &(command_), { __VA_ARGS__ } })

static void expect_same_files(const char *a, const char *b)
{
    size_t n_a, n_b;
    char *bytes_a = read_file_bytes(temporary_path(a), &n_a);
    char *bytes_b = read_file_bytes(temporary_path(b), &n_b);
    cr_expect(n_a == n_b && !memcmp(bytes_a, bytes_b, n_a), "%s and %s differ", a, b);
    free(bytes_a);
    free(bytes_b);
}

/* info counts the multiply-adds of the evaluation, and 9 at each pixel of the normalisation. */
static void expect_multiply_adds(const struct state *state)
{
    size_t n;
    double total = 0;
    char *text = read_file_bytes(temporary_path("stdout"), &n);
    cJSON *root = cJSON_ParseWithLength(text, n);
    const cJSON *layer;
    cJSON_ArrayForEach(layer, cJSON_GetObjectItem(root, "layers"))
        total += cJSON_GetObjectItem(layer, "multiply_adds")->valuedouble;
    cr_expect_eq(total, state->multiply_adds + 9. * SIZE * SIZE);
    cJSON_Delete(root);
    free(text);
}

static void expect_logits(struct image expected)
{
    struct npy found;
    struct sn_error error;
    double most = 0, least = INFINITY;
    cr_assert_eq(npy_read(temporary_path("y.npy"), &found, &error), SN_OK, "%s", error.message);
    cr_assert_eq(found.n_values, N_CLASSES);
    for (int i = 0; i < N_CLASSES; i++) {
        most = fmax(most, expected.pixels[i]);
        least = fmin(least, expected.pixels[i]);
    }
    cr_assert_gt(most - least, 0.1, "The logits are too much alike to tell anything.");
    /* float32 through 26 and 53 layers: 1e-6 of the largest, measured. */
    for (int i = 0; i < N_CLASSES; i++)
        cr_expect_float_eq((double)found.values[i], expected.pixels[i], 1e-5 * (most - least),
                           "class %d: %.9g, expected %.9g", i, (double)found.values[i],
                           expected.pixels[i]);
    free(found.values);
}

/* check, info and run on the net that was imported as net. */
static void expect_net(struct state *state, struct image expected)
{
    size_t n;
    STRUCTNET(cmd_check, "net.cfg", "net.weights");
    char *text = read_file_bytes(temporary_path("stdout"), &n);
    cr_expect(n > 3 && !memcmp(text, "ok\n", 3));
    free(text);
    STRUCTNET(cmd_info, "net.cfg", "net.weights", "--json");
    expect_multiply_adds(state);
    STRUCTNET(cmd_run, "net.cfg", "net.weights", "--input", "x.npy", "-o", "y.npy");
    expect_logits(expected);
}

/* Convolutions with biases, pooling with a last window that reaches beyond, concatenation; and the
 * same net from both formats. */
Test(import, squeezenet)
{
    struct state state;
    begin("squeezenet1_0", 1248424, &state);
    write_safetensors(&state, "net.safetensors");
    write_zip(&state, "zip.pth");
    struct image expected = squeezenet1_0(&state, make_input(&state, "x.npy"));
    STRUCTNET(cmd_import, "squeezenet1_0", "net.safetensors", "-o", "net");
    expect_net(&state, expected);
    STRUCTNET(cmd_import, "squeezenet1_0", "zip.pth", "-o", "zip");
    expect_same_files("net.cfg", "zip.cfg");
    expect_same_files("net.weights", "zip.weights");
    end(&state);
}

/* BatchNorm, folded and kept, depthwise convolutions, ReLU6, sums, a matrix at the end. */
Test(import, mobilenet)
{
    struct state state;
    begin("mobilenet_v2", 3504872, &state);
    write_safetensors(&state, "net.safetensors");
    struct image expected = mobilenet_v2(&state, make_input(&state, "x.npy"));
    STRUCTNET(cmd_import, "mobilenet_v2", "net.safetensors", "-o", "net");
    expect_net(&state, expected);
    STRUCTNET(cmd_import, "mobilenet_v2", "net.safetensors", "-o", "net", "--keep-batchnorm");
    expect_net(&state, expected);
    end(&state);
}
