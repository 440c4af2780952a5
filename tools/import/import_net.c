/* Which tensors of a checkpoint are those of an architecture: the prefix of their names, the number
 * of classes, and that each has the shape that it must have. */
#include "import_net.h"

#include <math.h>
#include <string.h>

const struct tensor *import_find_tensor(const struct import_net *net, const char *name,
                                        const char *suffix)
{
    char path[1024];
    const struct checkpoint *c = net->checkpoint;
    snprintf(path, sizeof path, "%s%s%s", net->prefix, name, suffix);
    if (net->is_plain) return checkpoint_find_plain(c, path);
    const struct tensor *tensor = checkpoint_find(c, path);
    return tensor && tensor - c->tensors < c->n_state_dict ? tensor : NULL;
}

int import_kernel_size(const struct architecture_node *node)
{
    int size = node->size_h > node->size_w ? node->size_h : node->size_w;
    return size > 1 ? size : 1;
}

/* The name of a tensor of the state dict, in its order or that of plain names. */
static const char *name_of(const struct import_net *net, int i)
{
    const struct checkpoint *c = net->checkpoint;
    return net->is_plain ? c->by_plain[i].name : c->tensors[i].name;
}

static int n_found(const struct import_net *net)
{
    const struct architecture *a = &net->architecture;
    int found = 0;
    for (int i = 0; i < a->n_parameters; i++)
        found += import_find_tensor(net, a->parameters[i].name, "") != NULL;
    return found;
}

/* The prefix under which most of the architecture's tensors are found: whatever stands before its
 * first or its last tensor's name somewhere in the state dict. Returns how many. */
static int find_prefix(struct import_net *net)
{
    const struct architecture *a = &net->architecture;
    const char *ends[] = { a->nodes[0].name, a->nodes[architecture_head(a)].name };
    char best[sizeof net->prefix] = "";
    net->prefix[0] = '\0';
    int most = n_found(net);
    for (int i = 0; i < net->checkpoint->n_state_dict; i++) {
        const char *name = name_of(net, i);
        for (int e = 0; e < 2; e++) {
            char suffix[NODE_NAME_BYTES + 16];
            size_t n = (size_t)snprintf(suffix, sizeof suffix, ".%s.weight", ends[e]),
                   length = strlen(name);
            if (length < n || length - n + 1 >= sizeof best || strcmp(name + length - n, suffix))
                continue;
            snprintf(net->prefix, sizeof net->prefix, "%.*s", (int)(length - n + 1), name);
            int found = n_found(net);
            if (found > most) {
                most = found;
                memcpy(best, net->prefix, sizeof best);
            }
        }
    }
    memcpy(net->prefix, best, sizeof best);
    return most;
}

/* By their own names, unless there are more of them by their plain ones. */
static void find_names(struct import_net *net)
{
    int most = find_prefix(net);
    if (most == net->architecture.n_parameters) return;
    net->is_plain = 1;
    if (find_prefix(net) > most) return;
    net->is_plain = 0;
    find_prefix(net);
}

static enum sn_status check_parameter(const struct import_net *net,
                                      const struct architecture_parameter *parameter,
                                      struct sn_error *error)
{
    char expected[TENSOR_SHAPE_TEXT], found[TENSOR_SHAPE_TEXT] = "none";
    const struct tensor *tensor = import_find_tensor(net, parameter->name, "");
    int same = tensor && tensor->n_dimensions == parameter->n_dimensions;
    for (int k = 0; same && k < parameter->n_dimensions; k++)
        same = tensor->shape[k] == parameter->shape[k];
    if (same) return SN_OK;
    tensor_print_shape(parameter->n_dimensions, parameter->shape, expected);
    if (tensor) tensor_print_shape(tensor->n_dimensions, tensor->shape, found);
    const char *others = net->checkpoint->others;
    return sn_fail(error, SN_BAD_INPUT, "%s: %s: tensor '%s%s': expected shape %s, found %s%s%.80s",
                   net->checkpoint->path, net->architecture.name, net->prefix, parameter->name,
                   expected, found, *others ? "; --key reads others: " : "", others);
}

/* A finite number, and in a tensor of variances not below 0. */
static enum sn_status check_values(const struct import_net *net,
                                   const struct architecture_parameter *parameter,
                                   struct sn_error *error)
{
    enum { BLOCK = 4096 };
    float block[BLOCK];
    const struct tensor *tensor = import_find_tensor(net, parameter->name, "");
    int is_variance = strstr(parameter->name, ".running_var") != NULL;
    for (size_t first = 0, n; first < tensor->n_elements; first += n) {
        n = tensor->n_elements - first < BLOCK ? tensor->n_elements - first : BLOCK;
        tensor_floats(tensor, first, n, block);
        for (size_t i = 0; i < n; i++)
            if (!isfinite(block[i]) || (is_variance && block[i] < 0))
                return sn_fail(error, SN_BAD_INPUT,
                               "%s: tensor '%s': value %zu is %g, expected a finite number%s",
                               net->checkpoint->path, tensor->name, first + i, (double)block[i],
                               is_variance ? " from 0 on" : "");
    }
    return SN_OK;
}

static int belongs(const struct architecture *a, const char *name)
{
    for (int i = 0; i < a->n_parameters; i++)
        if (!strcmp(a->parameters[i].name, name)) return 1;
    return 0;
}

/* Tensors that evaluation does not use: BatchNorm's counters, the auxiliary classifiers of
 * googlenet and inception_v3. */
static int is_idle(const char *name)
{
    const char *dot = strrchr(name, '.');
    return !strncmp(name, "aux1.", 5) || !strncmp(name, "aux2.", 5)
        || !strncmp(name, "AuxLogits.", 10) || (dot && !strcmp(dot, ".num_batches_tracked"));
}

/* A tensor that is left over tells another net, a deeper one for example. */
static enum sn_status check_leftovers(const struct import_net *net, struct sn_error *error)
{
    const struct checkpoint *c = net->checkpoint;
    size_t n = strlen(net->prefix);
    for (int i = 0; i < c->n_state_dict; i++) {
        const char *name = name_of(net, i);
        if (strncmp(name, net->prefix, n) || is_idle(name + n)
            || belongs(&net->architecture, name + n))
            continue;
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: %s: tensor '%s' is not one of this architecture; see 'structnet import "
                       "--list %s'",
                       c->path, net->architecture.name, name, net->architecture.name);
    }
    return SN_OK;
}

enum sn_status import_find(struct import_net *net, const char *name, struct sn_error *error)
{
    enum sn_status status = architecture_make(name, 1000, &net->architecture, error);
    if (status) return status;
    find_names(net);
    const struct architecture_node *head =
        &net->architecture.nodes[architecture_head(&net->architecture)];
    const struct tensor *weight = import_find_tensor(net, head->name, ".weight");
    int n_classes = weight && weight->n_dimensions && weight->shape[0] > 0
            && weight->shape[0] < 1000000
        ? (int)weight->shape[0]
        : 1000;
    architecture_free(&net->architecture);
    if ((status = architecture_make(name, n_classes, &net->architecture, error))) return status;
    net->n_rows = n_classes;
    for (int i = 0; i < net->architecture.n_parameters && !status; i++)
        status = check_parameter(net, &net->architecture.parameters[i], error);
    for (int i = 0; i < net->architecture.n_parameters && !status; i++)
        status = check_values(net, &net->architecture.parameters[i], error);
    return status ? status : check_leftovers(net, error);
}
