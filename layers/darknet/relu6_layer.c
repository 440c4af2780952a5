#include "relu6_layer.h"

#include <stdlib.h>

layer make_relu6_layer(int batch, int inputs)
{
    size_t n = (size_t)batch * (size_t)inputs;
    return (layer){ .type = ACTIVE,
                    .batch = batch,
                    .inputs = inputs,
                    .outputs = inputs,
                    .output = calloc(n, sizeof(float)),
                    .delta = calloc(n, sizeof(float)),
                    .forward = forward_relu6_layer,
                    .backward = backward_relu6_layer };
}

void forward_relu6_layer(layer l, network net)
{
    for (size_t i = 0; i < (size_t)l.batch * (size_t)l.outputs; i++) {
        float x = net.input[i];
        l.output[i] = x < 0 ? 0 : x > 6 ? 6 : x;
    }
}

void backward_relu6_layer(layer l, network net)
{
    for (size_t i = 0; net.delta && i < (size_t)l.batch * (size_t)l.outputs; i++)
        if (l.output[i] > 0 && l.output[i] < 6) net.delta[i] += l.delta[i];
}
