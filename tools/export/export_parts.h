/* What the files of the exporter share. */
#ifndef EXPORT_PARTS_H
#define EXPORT_PARTS_H

#include "export_net.h"

#include <family.h>

/* n zeroed elements that the net owns. NULL when there is no memory. */
void *export_allocate(struct export_net *net, size_t n, size_t size);

/* ---- Rows of weights, in the order in which they are multiplied */

struct export_row {
    double scale;  /* of its codes */
    double of_u;   /* the sum of |codes| that inputs meet, */
    double of_x;   /* and that states meet */
    double bias;   /* of an output */
    int is_output; /* or a state */
    int n_inputs;  /* the first columns: inputs, then states */
};

struct export_rows {
    int8_t *codes; /* as sn_micro_multiply reads them, or as PSM does */
    struct export_row *rows;
    size_t n_codes, n_rows, codes_room, rows_room;
    int missing; /* memory */
};

/* Adds w[n] as a row that stands padded and exchanged as micro.h says: |w| <= 127 scale; scale 0
 * chooses the least that holds. */
void export_add_row(struct export_rows *rows, const float *w, int n, struct export_row row);

/* The codes of w[n], and the sum of their magnitudes. */
double export_codes(const float *w, int n, double scale, int8_t *codes);
double export_row_scale(const float *w, int n);

/* Room for n codes more; NULL without memory. */
int8_t *export_more_codes(struct export_rows *rows, size_t n);
void export_more_rows(struct export_rows *rows, struct export_row row);
void export_rows_free(struct export_rows *rows);

/* ---- A layer with rows, on its way into the net */

struct export_layer {
    const layer *l;
    int index;
    struct export_net *net;
    struct export_number input, output; /* output: before an activation that is looked up, */
    struct export_number behind;        /* and behind it */
    struct export_range range;
    int shift; /* of the inputs: v_scale = input.scale / 2^shift */
    double v_scale;
    struct sn_error *error;
};

/* Chooses the shift such that all sums fit, and makes the output's scale as coarse as rows ask for.
 */
enum sn_status export_scale(struct export_layer *e, const struct export_rows *rows, double state);

/* Codes, scale words and biases of rows whose v has v_scale and whose states have state_scale. */
enum sn_status export_finish(struct export_layer *e, const struct export_rows *rows, double v_scale,
                             double state_scale, struct sn_micro_rows *into);

/* SN_NO_MEMORY, which the error says. */
enum sn_status export_no_memory(const struct export_layer *e);

/* The finest scale of the outputs of rows whose sums have this one: a scale word stands for less
 * than a half. */
double export_least_scale(double scale);

/* Scale word and bias (without a bias NAN) of y = a factor + bias. */
uint16_t export_word(double factor, double bias, int32_t *integer);

/* What activations do to an output. */
enum sn_status export_output(struct export_layer *e, struct sn_micro_output *output);
struct sn_micro_input export_input(const struct export_layer *e, int pixels);

/* The factor and the bias that batch normalisation makes of output i: y = gain (W x) + bias. */
double export_gain(const layer *l, int i, double *bias);

/* u16 copies of an order or of other numbers; NULL where from is NULL. */
enum sn_status export_u16(struct export_layer *e, const uint32_t *from, size_t n,
                          const uint16_t **to);

/* ---- Families */

struct export_family {
    const char *name;
    /* The largest |state| of one vector x. */
    float (*state)(const struct sn_matrix *structured, const float *words, const float *x,
                   float *scratch);
    /* words: values rounded, and scales, of the layer l. Fills in *step, and e->output's scale. */
    enum sn_status (*build)(struct export_layer *e, const float *words, struct sn_micro_step *step,
                            size_t *scratch);
    enum sn_status (*build_float)(struct export_layer *e, const float *words,
                                  struct sn_micro_step *step, size_t *scratch);
};
extern const struct export_family export_sss, export_psm;

/* That of a structured layer's matrix, NULL where it has no integer form. */
const struct export_family *export_family(const struct sn_matrix *structured);

/* The pixels at which a structured layer takes its inputs as they lie: one where it takes patches,
 * from the band that export_patches brings to it. */
int export_pixels(const layer *l);

/* Whether it takes patches: neither pixels nor an image as they lie. */
int export_has_patches(const layer *l);

/* Where input number j of the matrix is: j, of patches that of micro.h's band. */
uint32_t export_place(const layer *l, uint32_t j);

/* Numbers of that band. */
size_t export_band(const layer *l);

/* The words that a structured layer multiplies. */
const float *export_words(const layer *l);

#endif
