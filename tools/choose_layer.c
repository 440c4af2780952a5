#include "choose_layer.h"
#include "layer_costs.h"

#include "load_net.h"

#include <structured_layer.h>
#include <weights_file.h>

static int has_matrix(const layer *l) { return layer_matrix(l).n_blocks == 1; }

static int is_connected(const layer *l) { return l->type == CONNECTED; }

static int is_connected_or_structured(const layer *l)
{
    return l->type == CONNECTED || structured_matrix(l);
}

static int is_dense_matrix(const layer *l)
{
    int is_plain = l->type == CONNECTED || (!l->flipped && !l->numload && l->dot == 0);
    return is_plain && layer_matrix(l).n_blocks && !structured_matrix(l);
}

static int gives_outputs(const layer *l)
{
    return l->type != SOFTMAX && l->type != COST && l->type != DROPOUT;
}

static int is_any(const layer *l)
{
    (void)l;
    return 1;
}

const struct layer_kind choose_layer_matrix = {
    .is_preferred = is_connected_or_structured,
    .is_allowed = has_matrix,
    .none = "expected a layer with a matrix, found none",
    .expected = "a connected or structured layer, or a convolution of one group"
};

const struct layer_kind choose_layer_dense = {
    .is_preferred = is_connected,
    .is_allowed = is_dense_matrix,
    .none = "expected a [connected] or [convolutional] layer, found none",
    .expected = "[connected], or [convolutional], with size=1 of stride=1"
};

const struct layer_kind choose_layer_outputs = { .is_preferred = gives_outputs,
                                                 .is_allowed = is_any,
                                                 .none = "expected a layer, found none",
                                                 .expected = "any layer" };

int choose_layer_option(const struct command *command, const char *text)
{
    return command_whole_number(command, "--layer", text, 0, 1000000);
}

static int last_layer(const network *net, int (*is_wanted)(const layer *l))
{
    int i = net->n - 1;
    while (i >= 0 && !is_wanted(&net->layers[i])) i--;
    return i;
}

enum sn_status choose_layer(const network *net, const char *cfg, int asked,
                            const struct layer_kind *kind, int *layer, struct sn_error *error)
{
    int i = asked >= 0 ? asked : last_layer(net, kind->is_preferred);
    if (i < 0) i = last_layer(net, kind->is_allowed);
    *layer = i;
    if (i < 0) return sn_fail(error, SN_BAD_INPUT, "%s: %s", cfg, kind->none);
    if (i >= net->n)
        return sn_fail(error, SN_BAD_INPUT, "%s: --layer %d: the last layer is %d", cfg, i,
                       net->n - 1);
    if (!kind->is_allowed(&net->layers[i]))
        return sn_fail(error, SN_BAD_INPUT, "%s: layer %d is [%s], expected %s", cfg, i,
                       weights_layer_name(&net->layers[i]), kind->expected);
    return SN_OK;
}
