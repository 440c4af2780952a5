/* The keys of Darknet's sections, with the values that its parser.c and its layers can work with.
 * Only plug_keys.c includes it. */
#ifndef PLUG_KEYS_TABLES_H
#define PLUG_KEYS_TABLES_H

#include <darknet.h>
#include <limits.h>
#include <math.h>

enum key_kind {
    KEY_WHOLE,  /* a whole number */
    KEY_REAL,   /* a number */
    KEY_WHOLES, /* several, between commas */
    KEY_REALS,
    KEY_WORD, /* one of words */
    KEY_PATH, /* of a file that can be read */
};

struct key_rule {
    const char *key; /* NULL ends a list */
    enum key_kind kind;
    double minimum, maximum; /* of a number, both allowed */
    const char *words;       /* a blank around each */
};

#define ANY         -INFINITY, INFINITY
#define WHOLE(name) name, KEY_WHOLE, 0, INT_MAX
#define COUNT(name) name, KEY_WHOLE, 1, INT_MAX
#define FLAG(name)  name, KEY_WHOLE, 0, 1
#define REAL(name)  name, KEY_REAL, ANY
#define SIZE(name)  name, KEY_REAL, 0, INFINITY /* not below 0 */
#define PATH(name)  name, KEY_PATH, ANY

/* Where the square of what is not 0 is a divisor. */
#define POSITIVE(name) name, KEY_REAL, 1e-18, INFINITY

static const char activations[] = " logistic loggy relu elu relie plse hardtan lhtan linear ramp "
                                  "leaky tanh stair selu ";
#define ACTIVATED                                \
    {                                            \
        "activation", KEY_WORD, ANY, activations \
    }
#define NORMALIZED                    \
    {                                 \
        FLAG("batch_normalize"), NULL \
    }

/* Of every layer. */
static const struct key_rule layer_keys[] = {
    { FLAG("truth"), NULL },          { FLAG("onlyforward"), NULL },
    { FLAG("stopbackward"), NULL },   { FLAG("dontsave"), NULL },
    { FLAG("dontload"), NULL },       { WHOLE("numload"), NULL },
    { FLAG("dontloadscales"), NULL }, { REAL("learning_rate"), NULL },
    { REAL("smooth"), NULL },         { 0 },
};

static const struct key_rule net_keys[] = {
    { COUNT("batch"), NULL },
    { COUNT("subdivisions"), NULL },
    { COUNT("time_steps"), NULL },
    { SIZE("learning_rate"), NULL },
    { "momentum", KEY_REAL, 0, 1, NULL },
    { SIZE("decay"), NULL },
    { FLAG("notruth"), NULL },
    { WHOLE("random"), NULL },
    { FLAG("adam"), NULL },
    { "B1", KEY_REAL, 0, 1, NULL },
    { "B2", KEY_REAL, 0, 1, NULL },
    { SIZE("eps"), NULL },
    { COUNT("height"), NULL },
    { COUNT("width"), NULL },
    { COUNT("channels"), NULL },
    { COUNT("inputs"), NULL },
    { COUNT("max_crop"), NULL },
    { COUNT("min_crop"), NULL },
    { POSITIVE("max_ratio"), NULL },
    { POSITIVE("min_ratio"), NULL },
    { FLAG("center"), NULL },
    { SIZE("clip"), NULL },
    { REAL("angle"), NULL },
    { POSITIVE("aspect"), NULL },
    { POSITIVE("saturation"), NULL },
    { POSITIVE("exposure"), NULL },
    { REAL("hue"), NULL },
    { "policy", KEY_WORD, ANY, " random poly constant step exp sigmoid steps " },
    { WHOLE("burn_in"), NULL },
    { REAL("power"), NULL },
    { COUNT("step"), NULL },
    { SIZE("scale"), NULL },
    { "steps", KEY_WHOLES, -1, INT_MAX, NULL },
    { "scales", KEY_REALS, 0, INFINITY, NULL },
    { REAL("gamma"), NULL },
    { WHOLE("max_batches"), NULL },
    { 0 },
};

static const struct key_rule convolutional_keys[] = {
    { COUNT("filters"), NULL },
    { COUNT("size"), NULL },
    { COUNT("stride"), NULL },
    { WHOLE("pad"), NULL },
    { WHOLE("padding"), NULL },
    { COUNT("groups"), NULL },
    { FLAG("binary"), NULL },
    { FLAG("xnor"), NULL },
    { FLAG("flipped"), NULL },
    { REAL("dot"), NULL },
    ACTIVATED,
    NORMALIZED,
    { 0 },
};

static const struct key_rule deconvolutional_keys[] = {
    { COUNT("filters"), NULL },
    { COUNT("size"), NULL },
    { COUNT("stride"), NULL },
    { WHOLE("pad"), NULL },
    { WHOLE("padding"), NULL },
    ACTIVATED,
    NORMALIZED,
    { 0 },
};

static const struct key_rule local_keys[] = {
    { COUNT("filters"), NULL },
    { COUNT("size"), NULL },
    { COUNT("stride"), NULL },
    { FLAG("pad"), NULL },
    ACTIVATED,
    { 0 },
};

static const struct key_rule crnn_keys[] = {
    { COUNT("output_filters"), NULL },
    { COUNT("hidden_filters"), NULL },
    { FLAG("shortcut"), NULL },
    ACTIVATED,
    NORMALIZED,
    { 0 },
};

static const struct key_rule rnn_keys[] = {
    { COUNT("output"), NULL }, { FLAG("shortcut"), NULL }, ACTIVATED, NORMALIZED, { 0 },
};

static const struct key_rule gru_keys[] = {
    { COUNT("output"), NULL },
    { FLAG("tanh"), NULL },
    NORMALIZED,
    { 0 },
};

static const struct key_rule lstm_keys[] = { { COUNT("output"), NULL }, NORMALIZED, { 0 } };

static const struct key_rule connected_keys[] = {
    { COUNT("output"), NULL },
    ACTIVATED,
    NORMALIZED,
    { 0 },
};

/* [sss], [psm]; the family knows the rest. */
static const struct key_rule structured_keys[] = {
    { COUNT("output"), NULL },
    { COUNT("filters"), NULL },
    { COUNT("size"), NULL },
    { COUNT("stride"), NULL },
    { WHOLE("pad"), NULL },
    { WHOLE("padding"), NULL },
    { COUNT("groups"), NULL },
    ACTIVATED,
    NORMALIZED,
    { 0 },
};

static const struct key_rule softmax_keys[] = {
    { COUNT("groups"), NULL }, { POSITIVE("temperature"), NULL }, { PATH("tree"), NULL },
    { FLAG("spatial"), NULL }, { FLAG("noloss"), NULL },          { 0 },
};

static const struct key_rule yolo_keys[] = {
    { COUNT("classes"), NULL },
    { COUNT("num"), NULL },
    { "mask", KEY_WHOLES, 0, INT_MAX, NULL },
    { COUNT("max"), NULL },
    { REAL("jitter"), NULL },
    { REAL("ignore_thresh"), NULL },
    { REAL("truth_thresh"), NULL },
    { WHOLE("random"), NULL },
    { PATH("map"), NULL },
    { "anchors", KEY_REALS, ANY, NULL },
    { 0 },
};

static const struct key_rule iseg_keys[] = {
    { COUNT("classes"), NULL },
    { COUNT("ids"), NULL },
    { 0 },
};

static const struct key_rule region_keys[] = {
    { COUNT("coords"), NULL },
    { COUNT("classes"), NULL },
    { COUNT("num"), NULL },
    { WHOLE("log"), NULL },
    { WHOLE("sqrt"), NULL },
    { WHOLE("softmax"), NULL },
    { WHOLE("background"), NULL },
    { COUNT("max"), NULL },
    { REAL("jitter"), NULL },
    { WHOLE("rescore"), NULL },
    { REAL("thresh"), NULL },
    { WHOLE("classfix"), NULL },
    { WHOLE("absolute"), NULL },
    { WHOLE("random"), NULL },
    { REAL("coord_scale"), NULL },
    { REAL("object_scale"), NULL },
    { REAL("noobject_scale"), NULL },
    { REAL("mask_scale"), NULL },
    { REAL("class_scale"), NULL },
    { WHOLE("bias_match"), NULL },
    { PATH("tree"), NULL },
    { PATH("map"), NULL },
    { "anchors", KEY_REALS, ANY, NULL },
    { 0 },
};

static const struct key_rule detection_keys[] = {
    { COUNT("coords"), NULL },
    { COUNT("classes"), NULL },
    { COUNT("num"), NULL },
    { COUNT("side"), NULL },
    { WHOLE("rescore"), NULL },
    { WHOLE("softmax"), NULL },
    { WHOLE("sqrt"), NULL },
    { COUNT("max"), NULL },
    { REAL("coord_scale"), NULL },
    { WHOLE("forced"), NULL },
    { REAL("object_scale"), NULL },
    { REAL("noobject_scale"), NULL },
    { REAL("class_scale"), NULL },
    { REAL("jitter"), NULL },
    { WHOLE("random"), NULL },
    { WHOLE("reorg"), NULL },
    { 0 },
};

static const struct key_rule cost_keys[] = {
    { "type", KEY_WORD, ANY, " seg sse masked smooth L1 wgan " },
    { REAL("scale"), NULL },
    { REAL("ratio"), NULL },
    { REAL("noobj"), NULL },
    { REAL("thresh"), NULL },
    { 0 },
};

static const struct key_rule crop_keys[] = {
    { COUNT("crop_height"), NULL },
    { COUNT("crop_width"), NULL },
    { FLAG("flip"), NULL },
    { REAL("angle"), NULL },
    { POSITIVE("saturation"), NULL },
    { POSITIVE("exposure"), NULL },
    { FLAG("noadjust"), NULL },
    { REAL("shift"), NULL },
    { 0 },
};

static const struct key_rule reorg_keys[] = {
    { COUNT("stride"), NULL },
    { FLAG("reverse"), NULL },
    { FLAG("flatten"), NULL },
    { WHOLE("extra"), NULL },
    { 0 },
};

static const struct key_rule maxpool_keys[] = {
    { COUNT("stride"), NULL },
    { COUNT("size"), NULL },
    { WHOLE("padding"), NULL },
    { 0 },
};

static const struct key_rule dropout_keys[] = {
    { "probability", KEY_REAL, 0, .999999, NULL },
    { 0 },
};

static const struct key_rule normalization_keys[] = {
    { REAL("alpha"), NULL },
    { REAL("beta"), NULL },
    { REAL("kappa"), NULL },
    { COUNT("size"), NULL },
    { 0 },
};

static const struct key_rule shortcut_keys[] = {
    { "from", KEY_WHOLE, INT_MIN, INT_MAX, NULL },
    { REAL("alpha"), NULL },
    { REAL("beta"), NULL },
    ACTIVATED,
    { 0 },
};

static const struct key_rule activation_keys[] = { ACTIVATED, { 0 } };

static const struct key_rule upsample_keys[] = {
    { "stride", KEY_WHOLE, -INT_MAX, INT_MAX, NULL },
    { REAL("scale"), NULL },
    { 0 },
};

static const struct key_rule route_keys[] = {
    { "layers", KEY_WHOLES, INT_MIN, INT_MAX, NULL },
    { 0 },
};

static const struct key_rule no_keys[] = { { 0 } };

static const struct key_rule *const keys_of_type[BLANK] = {
    [CONVOLUTIONAL] = convolutional_keys,
    [DECONVOLUTIONAL] = deconvolutional_keys,
    [CONNECTED] = connected_keys,
    [MAXPOOL] = maxpool_keys,
    [SOFTMAX] = softmax_keys,
    [DETECTION] = detection_keys,
    [DROPOUT] = dropout_keys,
    [CROP] = crop_keys,
    [ROUTE] = route_keys,
    [COST] = cost_keys,
    [NORMALIZATION] = normalization_keys,
    [AVGPOOL] = no_keys,
    [LOCAL] = local_keys,
    [SHORTCUT] = shortcut_keys,
    [ACTIVE] = activation_keys,
    [RNN] = rnn_keys,
    [GRU] = gru_keys,
    [LSTM] = lstm_keys,
    [CRNN] = crnn_keys,
    [BATCHNORM] = no_keys,
    [NETWORK] = net_keys,
    [REGION] = region_keys,
    [YOLO] = yolo_keys,
    [ISEG] = iseg_keys,
    [REORG] = reorg_keys,
    [UPSAMPLE] = upsample_keys,
    [LOGXENT] = no_keys,
    [L2NORM] = no_keys,
};

#endif
