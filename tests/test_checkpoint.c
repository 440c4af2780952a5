/* Checkpoints: golden files that torch wrote, and files that nobody should write. */
#include "support.h"

#include <checkpoint.h>

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t crc_of(const struct tensor *tensor)
{
    float *values = malloc((tensor->n_elements + 1) * sizeof *values);
    tensor_floats(tensor, 0, tensor->n_elements, values);
    uint32_t crc = libdeflate_crc32(0, values, tensor->n_elements * sizeof *values);
    free(values);
    return crc;
}

static const char *const golden[] = { "zip2.pth", "zip4.pth", "legacy2.pth", "legacy4.pth",
                                      "plain.safetensors" };
enum { N_GOLDEN = sizeof golden / sizeof *golden };

static void check_tensor(const char *file, const struct tensor *tensor, const cJSON *expected)
{
    cr_assert_not_null(tensor, "%s: %s is missing", file, expected->string);
    cr_assert_str_eq(tensor_type_name(tensor->type),
                     cJSON_GetObjectItem(expected, "type")->valuestring);
    const cJSON *shape = cJSON_GetObjectItem(expected, "shape");
    cr_assert_eq(tensor->n_dimensions, cJSON_GetArraySize(shape), "%s: %s", file, expected->string);
    for (int k = 0; k < tensor->n_dimensions; k++)
        cr_assert_eq(tensor->shape[k], cJSON_GetArrayItem(shape, k)->valueint, "%s: %s", file,
                     expected->string);
    cr_assert_eq((double)crc_of(tensor), cJSON_GetObjectItem(expected, "crc32")->valuedouble,
                 "%s: %s", file, expected->string);
}

/* Every type, stride, offset and shared storage, in every format, has the values that torch reads.
 */
Test(checkpoint, golden_values)
{
    size_t n;
    char *text = read_file_bytes("tests/checkpoints/expected.json", &n);
    cJSON *expected = cJSON_ParseWithLength(text, n);
    for (int i = 0; i < N_GOLDEN; i++) {
        char path[128];
        struct checkpoint checkpoint;
        struct sn_error error;
        snprintf(path, sizeof path, "tests/checkpoints/%s", golden[i]);
        cr_assert_eq(checkpoint_open(path, NULL, &checkpoint, &error), SN_OK, "%s", error.message);
        cr_assert_eq(checkpoint.n_state_dict, cJSON_GetArraySize(expected), "%s", path);
        const cJSON *item;
        cJSON_ArrayForEach(item, expected)
            check_tensor(path, checkpoint_find(&checkpoint, item->string), item);
        checkpoint_close(&checkpoint);
    }
    cJSON_Delete(expected);
    free(text);
}

/* Tensors outside the state dict have their whole path. */
Test(checkpoint, other_tensors)
{
    struct checkpoint checkpoint;
    struct sn_error error;
    cr_assert_eq(checkpoint_open("tests/checkpoints/zip2.pth", NULL, &checkpoint, &error), SN_OK,
                 "%s", error.message);
    const struct tensor *momentum = checkpoint_find(&checkpoint, "optimizer.state.0.momentum");
    cr_assert_not_null(momentum);
    cr_assert_eq(momentum->n_elements, 2);
    cr_assert_not_null(checkpoint_find(&checkpoint, "best"));
    checkpoint_close(&checkpoint);
}

static void check_read(const char *path, const char *key)
{
    struct checkpoint checkpoint;
    struct sn_error error = { 0 };
    cr_assert_eq(checkpoint_open(path, NULL, &checkpoint, &error), SN_OK, "%s", error.message);
    cr_expect_str_eq(checkpoint.key ? checkpoint.key : "-", key, "%s", path);
    cr_expect_eq(checkpoint.n_state_dict, 1, "%s", path);
    cr_expect_str_eq(checkpoint.tensors[0].name, "w", "%s", path);
    checkpoint_close(&checkpoint);
}

static void check_refused(const char *path, const char *reason)
{
    struct checkpoint checkpoint;
    struct sn_error error = { 0 };
    cr_expect_neq(checkpoint_open(path, NULL, &checkpoint, &error), SN_OK, "%s is read", path);
    cr_expect(strstr(error.message, reason), "%s: expected '%s', found '%s'", path, reason,
              error.message);
    cr_expect_null(strchr(error.message, '\n'));
}

/* Each file of the corpus is refused with its reason, or read in spite of all that is in it. */
Test(checkpoint, corpus)
{
    static const char reads[] = "reads ";
    char line[512];
    int n = 0;
    FILE *expected = fopen("tests/corpus/expected.txt", "r");
    cr_assert_not_null(expected);
    for (; fgets(line, sizeof line, expected); n++) {
        char path[512];
        line[strcspn(line, "\n")] = '\0';
        char *reason = strchr(line, ' ');
        *reason++ = '\0';
        snprintf(path, sizeof path, "tests/corpus/%.400s", line);
        if (strncmp(reason, reads, strlen(reads))) check_refused(path, reason);
        else check_read(path, reason + strlen(reads));
    }
    fclose(expected);
    cr_assert_geq(n, 100);
}

/* A key chooses the state dict, and the other ones are named. */
Test(checkpoint, key)
{
    static const char path[] = "tests/corpus/zip-two-models.pth";
    struct checkpoint checkpoint;
    struct sn_error error;
    cr_assert_eq(checkpoint_open(path, "model_ema", &checkpoint, &error), SN_OK);
    cr_expect_str_eq(checkpoint.key, "model_ema");
    cr_expect_str_eq(checkpoint.others, "model");
    cr_expect_not_null(checkpoint_find(&checkpoint, "model.w"));
    checkpoint_close(&checkpoint);
    cr_assert_eq(checkpoint_open(path, "ema", &checkpoint, &error), SN_BAD_INPUT);
    cr_expect(strstr(error.message,
                     "expected tensors under the key 'ema', found no such key; "
                     "others: model_ema, model"),
              "%s", error.message);
    cr_assert_eq(checkpoint_open("tests/checkpoints/plain.safetensors", "model", &checkpoint,
                                 &error),
                 SN_BAD_INPUT);
    cr_expect(strstr(error.message, "found safetensors, which have none"), "%s", error.message);
}

/* A file cut anywhere is refused. */
Test(checkpoint, truncation)
{
    for (int i = 0; i < N_GOLDEN; i++) {
        char path[128];
        size_t n;
        snprintf(path, sizeof path, "tests/checkpoints/%s", golden[i]);
        char *bytes = read_file_bytes(path, &n);
        for (size_t cut = 0; cut < n; cut++) {
            struct checkpoint checkpoint;
            struct sn_error error = { 0 };
            unsigned char *part = malloc(
                cut + 1); /* An exact block, so that AddressSanitizer sees its end. */
            memcpy(part, bytes, cut);
            enum sn_status status = checkpoint_parse(path, NULL, part, cut, &checkpoint, &error);
            cr_assert_eq(status, SN_BAD_INPUT, "%s cut to %zu bytes is read", path, cut);
            cr_assert(error.message[0]);
            free(part);
        }
        free(bytes);
    }
}

/* Reading any part of a tensor gives the same values as reading all of it. */
Test(checkpoint, parts)
{
    struct checkpoint checkpoint;
    struct sn_error error;
    cr_assert_eq(checkpoint_open("tests/checkpoints/legacy2.pth", NULL, &checkpoint, &error), SN_OK,
                 "%s", error.message);
    for (int i = 0; i < checkpoint.n_tensors; i++) {
        const struct tensor *tensor = &checkpoint.tensors[i];
        float all[64], one;
        cr_assert_leq(tensor->n_elements, 64);
        tensor_floats(tensor, 0, tensor->n_elements, all);
        for (size_t k = 0; k < tensor->n_elements; k++) {
            tensor_floats(tensor, k, 1, &one);
            cr_assert(!memcmp(&one, &all[k], sizeof one), "%s element %zu", tensor->name, k);
        }
    }
    checkpoint_close(&checkpoint);
}
