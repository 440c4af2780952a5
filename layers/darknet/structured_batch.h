/* The products of a structured layer with a batch, spread over threads in parts that depend on the
 * sizes alone, so that results do not depend on the number of threads. */
#ifndef STRUCTURED_BATCH_H
#define STRUCTURED_BATCH_H

#include <darknet.h>

/* What the products need: l.state and l.state_delta, and in l.concat gradients of the values for
 * each part but the first. */
struct structured_room {
    size_t n_parts;
    double n_floats, n_back_floats; /* of state, of state_delta */
};
struct structured_room structured_room(const layer *l);

/* l.output = W x for all vectors or images of the batch. */
void structured_multiply(const layer *l, int train, const float *x);

/* l.weight_updates += the gradients of the values by l.delta, dx += W^T l.delta unless it is NULL.
 * x is that of the product before it. */
void structured_back_multiply(const layer *l, const float *x, float *dx);

#endif
