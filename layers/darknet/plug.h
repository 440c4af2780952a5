/* Forced into Darknet's src/parser.c, and into nothing else of Darknet's, by the compiler's
 * -include: what that file calls by a name below arrives in plug_parser.c or plug_weights.c.
 * Darknet's headers come first so that their declarations keep their names. */
#ifndef PLUG_H
#define PLUG_H

#include <stdio.h>

#include "activation_layer.h"
#include "batchnorm_layer.h"
#include "connected_layer.h"
#include "crnn_layer.h"
#include "darknet.h"
#include "local_layer.h"
#include "option_list.h"
#include "parser.h"
#include "rnn_layer.h"

/* What a section type that Darknet does not know is to it: CONNECTED for a family, ACTIVE for
 * [relu6], BLANK else. */
LAYER_TYPE plug_layer_type(const char *type);

/* What a layer gets from the one before it: params of parser.c, whose type is private there. */
struct plug_params {
    int index, batch, inputs, w, h, c;
};
#define PLUG_PARAMS \
    (struct plug_params) { params.index, params.batch, params.inputs, params.w, params.h, params.c }

/* The layer of a [connected] or structured section. Ends the process with one line when the section
 * is wrong. */
layer plug_make_layer(struct plug_params from, int outputs, ACTIVATION activation,
                      int batch_normalize, int adam);

/* The layer of an [activation] or [relu6] section. */
layer plug_make_activation_layer(struct plug_params from, ACTIVATION activation);

/* make_local_layer, with a workspace of as many floats as Darknet says bytes: what it uses. */
layer plug_make_local_layer(int batch, int h, int w, int c, int n, int size, int stride, int pad,
                            ACTIVATION activation);

/* make_batchnorm_layer, with the arrays that its functions use and it does not make but for a GPU.
 */
layer plug_make_batchnorm_layer(int batch, int w, int h, int c);

/* make_crnn_layer, which takes the height before the width though the parser gives the width first,
 * with the workspace of the convolutions within. */
layer plug_make_crnn_layer(int batch, int w, int h, int c, int hidden_filters, int output_filters,
                           int steps, ACTIVATION activation, int batch_normalize);

/* make_rnn_layer, with room for the states of all steps, which training keeps. */
layer plug_make_rnn_layer(int batch, int inputs, int outputs, int steps, ACTIVATION activation,
                          int batch_normalize, int adam);

/* Checked reading, and writing that leaves a whole file or the old one. */
size_t plug_fread(void *data, size_t size, size_t n, FILE *file);
FILE *plug_fopen(const char *path, const char *mode);
int plug_fclose(FILE *file);

/* The originals, which ours wrap. */
network *stock_parse_network_cfg(char *path);
void stock_load_weights_upto(network *net, char *path, int start, int cutoff);
void stock_save_weights_upto(network *net, char *path, int cutoff);

#ifndef PLUG_IMPLEMENTATION

/* string_to_layer_type ends in "return BLANK". */
#define BLANK plug_layer_type(type)

/* parse_connected has the layer's index in scope. */
#define make_connected_layer(batch, inputs, outputs, activation, batch_normalize, adam) \
    plug_make_layer(PLUG_PARAMS, outputs, activation, batch_normalize, adam)

#define make_local_layer     plug_make_local_layer
#define make_batchnorm_layer plug_make_batchnorm_layer
#define make_crnn_layer      plug_make_crnn_layer
#define make_rnn_layer       plug_make_rnn_layer

/* Darknet's remarks on keys come from plug_keys.h. */
#define option_unused(options) ((void)(options))

#define make_activation_layer(batch, inputs, activation) \
    plug_make_activation_layer(PLUG_PARAMS, activation)

#define fread  plug_fread
#define fopen  plug_fopen
#define fclose plug_fclose

#define parse_network_cfg stock_parse_network_cfg
#define load_weights_upto stock_load_weights_upto
#define load_weights      stock_load_weights
#define save_weights_upto stock_save_weights_upto
#define save_weights      stock_save_weights

#endif
#endif
