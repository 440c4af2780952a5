/* libFuzzer target: any bytes as a NumPy array. Whatever the reader accepts, all of its values must
 * be readable. */
#include "fuzz_support.h"

#include <npy.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void read_all(const struct npy *npy, const void *values, size_t size)
{
    char text[NPY_SHAPE_TEXT];
    uint32_t sum = 0;
    npy_print_shape(npy, text);
    for (size_t i = 0; i < npy->n_values; i++) {
        uint32_t word;
        memcpy(&word, (const char *)values + i * sizeof word, sizeof word);
        sum += word;
    }
    if (npy->n_values > size && sum) abort(); /* No file holds more values than bytes. */
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static enum sn_status (*const readers[])(const char *path, struct npy *npy,
                                             struct sn_error *error) = { npy_read,
                                                                         npy_read_integers };
    const char *path = memory_file(0, data, size);
    for (int i = 0; i < 2; i++) {
        struct npy npy;
        struct sn_error error = { 0 };
        int failed = readers[i](path, &npy, &error) != SN_OK;
        void *values = i ? (void *)npy.integers : (void *)npy.values;
        if (failed) fuzz_need_reason(&error);
        else read_all(&npy, values, size);
        free(values);
    }
    return 0;
}
