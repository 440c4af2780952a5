/* The integer arithmetic of exported nets (layers/micro.h) as its definition has it, in 64 bits. */
#ifndef MICRO_REFERENCE_H
#define MICRO_REFERENCE_H

#include <micro.h>

/* What step->run does to one input; out has int16 or int8 numbers as the runtime's. */
void micro_reference(const struct sn_micro_step *step, const int8_t *in, const int8_t *other,
                     void *out);

#endif
