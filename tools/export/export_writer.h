/* What the files that print a net as C share. */
#ifndef EXPORT_WRITER_H
#define EXPORT_WRITER_H

#include "export_net.h"

#include <micro_float.h>

struct export_writer {
    const char *name;
    FILE *file;
    int step;
    size_t n_bytes; /* of all arrays */
};

enum export_type { EXPORT_I8, EXPORT_I16, EXPORT_U16, EXPORT_I32, EXPORT_FLOAT };

/* An array of the net, NAME_STEP_what; nothing for one that is not there. */
void export_write_array(struct export_writer *w, const char *what, enum export_type type,
                        const void *numbers, size_t n);

/* "NAME_STEP_what", or 0 for an array that is not there. */
const char *export_reference(const struct export_writer *w, const char *what, const void *numbers,
                             char text[200]);

/* The arrays of stages, and the structure that refers to them. */
void export_write_stages(struct export_writer *w, const struct sn_micro_stages *s);
void export_refer_to_stages(const struct export_writer *w, const struct sn_micro_stages *s);

/* Those of integers and of floats are one. */
void export_write_maxpool(const struct export_writer *w, const struct sn_micro_maxpool *m);

/* The layer of a step of floats; returns the name of the function that runs it. */
const char *export_write_float_step(struct export_writer *w, const struct sn_micro_step *step);

#endif
