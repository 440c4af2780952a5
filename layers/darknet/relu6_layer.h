/* The layer of a [relu6] section, MobileNet's activation: y = min(max(x, 0), 6), of the shape of
 * its input. */
#ifndef RELU6_LAYER_H
#define RELU6_LAYER_H

#include <darknet.h>

/* Without memory l.output or l.delta is NULL. */
layer make_relu6_layer(int batch, int inputs);

void forward_relu6_layer(layer l, network net);

/* net.delta += l.delta where 0 < y < 6. Darknet's own [activation] would overwrite it. */
void backward_relu6_layer(layer l, network net);

#endif
