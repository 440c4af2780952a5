/* libFuzzer target: any bytes as a checkpoint. Whatever the reader accepts, all of its values must
 * be readable. */
#include <checkpoint.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    enum { CHUNK = 256 };
    struct checkpoint checkpoint;
    struct sn_error error;
    float values[CHUNK];
    if (checkpoint_parse("fuzz", NULL, data, size, &checkpoint, &error)) {
        if (!error.message[0]) abort(); /* Every refusal has a reason. */
        return 0;
    }
    for (int i = 0; i < checkpoint.n_tensors; i++) {
        const struct tensor *tensor = &checkpoint.tensors[i];
        for (size_t at = 0; at < tensor->n_elements; at += CHUNK)
            tensor_floats(tensor, at,
                          tensor->n_elements - at < CHUNK ? tensor->n_elements - at : CHUNK,
                          values);
    }
    checkpoint_close(&checkpoint);
    return 0;
}
