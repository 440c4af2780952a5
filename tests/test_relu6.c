/* The [relu6] layer. */
#include "support.h"

#include <relu6_layer.h>
#include <weights_file.h>

#include <criterion/criterion.h>
#include <network.h>

/* y = min(max(x, 0), 6) at both ends and between. */
Test(relu6, forward)
{
    float x[] = { -3, 0, 0.5f, 6, 7, 3 };
    const float y[] = { 0, 0, 0.5f, 6, 6, 3 };
    layer l = make_relu6_layer(2, 3);
    network net = { .input = x };
    l.forward(l, net);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(l.output[i], y[i], "value %d: %g", i, (double)l.output[i]);
    free_layer(l);
}

/* The gradient passes where 0 < y < 6 and is added to what is there. */
Test(relu6, backward)
{
    float x[] = { -3, 0.5f, 7 }, delta[] = { 1, 2, 3 };
    const float expected[] = { 1, 12, 3 };
    layer l = make_relu6_layer(1, 3);
    network net = { .input = x, .delta = delta };
    l.forward(l, net);
    for (int i = 0; i < 3; i++) l.delta[i] = 10;
    l.backward(l, net);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(delta[i], expected[i], "value %d: %g", i, (double)delta[i]);
    net.delta = NULL;
    l.backward(l, net);
    free_layer(l);
}

/* In a cfg it keeps the shape of its input, as an image for the layer behind it. */
Test(relu6, in_a_net)
{
    network *net =
        net_from_text("[net]\nbatch=2\nheight=4\nwidth=5\nchannels=3\n[relu6]\n"
                      "[convolutional]\nfilters=2\nsize=3\nstride=1\npad=1\nactivation=linear\n",
                      1);
    cr_assert_str_eq(weights_layer_name(&net->layers[0]), "relu6");
    cr_assert_eq(net->layers[0].outputs, 60);
    cr_assert_eq(net->layers[1].out_w, 5);
    cr_assert_eq(net->layers[1].out_h, 4);
    free_network(net);
}
