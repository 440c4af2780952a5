#include "plug_layer_shapes.h"

#include "family.h"
#include "plug_keys.h"
#include "plug_tree.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- What checks share */

long long plug_whole(const struct cfg_section *section, const char *key, long long without)
{
    const struct cfg_key *found = cfg_find(section, key);
    return found ? strtoll(found->value, NULL, 10) : without;
}

static long long key(const struct step *s, const char *name, long long without)
{
    return plug_whole(s->section, name, without);
}

/* An array of numbers, of which Darknet makes the size with ints. */
static enum sn_status fits(const struct step *s, const char *name, const char *what, double n)
{
    if (n <= INT_MAX) return SN_OK;
    return cfg_fail(s->section, name, s->error, "expected at most %d %s, found %.0f", INT_MAX, what,
                    n);
}

/* Counts one that stays as long as the net, outputs apart, which plug_shapes.c counts for a batch.
 */
static enum sn_status take(const struct step *s, const char *name, const char *what, double n)
{
    s->net->n_bytes += n * sizeof(float);
    return fits(s, name, what, n);
}

/* What the layers share while they multiply, of which Darknet ends with more than 2e9 bytes. */
static enum sn_status take_workspace(const struct step *s, const char *name, double n)
{
    enum { MOST = 2000000000 / sizeof(float) };
    s->net->n_workspace_bytes = fmax(s->net->n_workspace_bytes, n * sizeof(float));
    if (n <= MOST) return SN_OK;
    return cfg_fail(s->section, name, s->error,
                    "expected at most %d numbers under all positions of the filters, found %.0f",
                    (int)MOST, n);
}

static enum sn_status fail(const struct step *s, const char *what)
{
    return sn_fail(s->error, SN_BAD_INPUT,
                   "%s:%d: [%s]: expected %s, found %lld x %lld x %lld, %lld "
                   "numbers",
                   s->section->path, s->section->line, s->section->name, what, s->in.w, s->in.h,
                   s->in.c, s->in.n);
}

static int is_image(struct shape shape)
{
    return shape.w && shape.h && shape.c
        && (double)shape.w * (double)shape.h * (double)shape.c == (double)shape.n;
}

static enum sn_status need_image(const struct step *s)
{
    return is_image(s->in) ? SN_OK : fail(s, "an image from the layer before");
}

/* Sets the shape of an image; name is the key to blame when it is too large. */
static enum sn_status give_image(const struct step *s, const char *name, long long w, long long h,
                                 long long c)
{
    double n = (double)w * (double)h * (double)c;
    if (w < 1 || h < 1 || c < 1)
        return cfg_fail(s->section, name, s->error,
                        "expected an output of a pixel at least, found %lld x %lld x %lld", w, h,
                        c);
    if (fits(s, name, "outputs", n)) return s->error->code;
    *s->out = (struct shape){ w, h, c, (long long)n };
    return SN_OK;
}

static enum sn_status give_numbers(const struct step *s, long long n)
{
    *s->out = (struct shape){ .n = n };
    return SN_OK;
}

/* Positions of a window, 0 when it does not fit. */
static long long positions(long long length, long long size, long long stride)
{
    return length < size ? 0 : (length - size) / stride + 1;
}

/* ---- Layers with windows */

static enum sn_status shape_convolution(const struct step *s)
{
    long long n = key(s, "filters", 1), size = key(s, "size", 1), stride = key(s, "stride", 1),
              groups = key(s, "groups", 1),
              pad = key(s, "pad", 0) ? size / 2 : key(s, "padding", 0);
    if (need_image(s)) return SN_BAD_INPUT;
    if (s->in.c % groups || n % groups)
        return cfg_fail(s->section, "groups", s->error,
                        "expected a divisor of %lld channels and %lld filters, found %lld", s->in.c,
                        n, groups);
    long long w = positions(s->in.w + 2 * pad, size, stride),
              h = positions(s->in.h + 2 * pad, size, stride);
    if (size == 1 && pad)
        return cfg_fail(s->section, "padding", s->error,
                        "expected none with size=1, whose inputs Darknet does not pad, found %lld",
                        pad);
    long long channels = s->in.c / groups;
    double window = (double)size * (double)size * (double)channels;
    if (give_image(s, "size", w, h, n) || take(s, "size", "weights", window * (double)n)
        || take_workspace(s, "size", window * (double)w * (double)h))
        return SN_BAD_INPUT;
    return SN_OK;
}

static enum sn_status shape_deconvolution(const struct step *s)
{
    long long n = key(s, "filters", 1), size = key(s, "size", 1), stride = key(s, "stride", 1),
              pad = key(s, "pad", 0) ? size / 2 : key(s, "padding", 0);
    if (need_image(s)) return SN_BAD_INPUT;
    double window = (double)size * (double)size * (double)n;
    if (stride > INT_MAX / s->in.w || stride > INT_MAX / s->in.h)
        return cfg_fail(s->section, "stride", s->error, "expected a smaller number, found %lld",
                        stride);
    if (give_image(s, "size", (s->in.w - 1) * stride + size - 2 * pad,
                   (s->in.h - 1) * stride + size - 2 * pad, n)
        || take(s, "size", "weights", window * (double)s->in.c)
        || take_workspace(s, "size", window * (double)s->in.w * (double)s->in.h))
        return SN_BAD_INPUT;
    return SN_OK;
}

/* With pad it counts positions as of a filter of 1, but pads by 1, which is the same with 3. */
static enum sn_status shape_local(const struct step *s)
{
    long long n = key(s, "filters", 1), size = key(s, "size", 1), stride = key(s, "stride", 1),
              pad = key(s, "pad", 0);
    if (need_image(s)) return SN_BAD_INPUT;
    if (pad && size != 3)
        return cfg_fail(s->section, "pad", s->error, "expected size=3 with it, found size=%lld",
                        size);
    long long w = positions(s->in.w + 2 * pad, size, stride),
              h = positions(s->in.h + 2 * pad, size, stride);
    double window = (double)size * (double)size * (double)s->in.c;
    if (give_image(s, "size", w, h, n)
        || take(s, "size", "weights", window * (double)n * (double)w * (double)h)
        || take_workspace(s, "size", window * (double)w * (double)h))
        return SN_BAD_INPUT;
    return SN_OK;
}

/* No window may lie beside the image, where there is no largest pixel. */
static enum sn_status shape_maxpool(const struct step *s)
{
    long long stride = key(s, "stride", 1), size = key(s, "size", stride),
              padding = key(s, "padding", size - 1);
    if (need_image(s)) return SN_BAD_INPUT;
    if (padding > 2 * (size - 1))
        return cfg_fail(s->section, "padding", s->error, "expected at most %lld, found %lld",
                        2 * (size - 1), padding);
    return give_image(s, "size", positions(s->in.w + padding, size, stride),
                      positions(s->in.h + padding, size, stride), s->in.c);
}

static enum sn_status shape_avgpool(const struct step *s)
{
    return need_image(s) ? SN_BAD_INPUT : give_image(s, "", 1, 1, s->in.c);
}

static enum sn_status shape_crop(const struct step *s)
{
    long long w = key(s, "crop_width", 1), h = key(s, "crop_height", 1);
    if (need_image(s)) return SN_BAD_INPUT;
    if (w > s->in.w || h > s->in.h)
        return cfg_fail(s->section, w > s->in.w ? "crop_width" : "crop_height", s->error,
                        "expected at most %lld x %lld, found %lld x %lld", s->in.w, s->in.h, w, h);
    return give_image(s, "crop_width", w, h, s->in.c);
}

/* The stride of a reorg whose pixels go into channels and, but for flatten, come from channels as
 * well. */
static enum sn_status check_reorg(const struct step *s, long long stride, int is_reverse,
                                  int is_flat)
{
    long long area = stride * stride;
    if (area > INT_MAX || ((is_reverse || !is_flat) && s->in.c % area))
        return cfg_fail(s->section, "stride", s->error,
                        "expected one whose square divides %lld channels, found %lld", s->in.c,
                        stride);
    if (is_reverse || !(s->in.w % stride || s->in.h % stride)) return SN_OK;
    return cfg_fail(s->section, "stride", s->error,
                    "expected one that divides %lld x %lld, found %lld", s->in.w, s->in.h, stride);
}

static enum sn_status shape_reorg(const struct step *s)
{
    long long stride = key(s, "stride", 1), extra = key(s, "extra", 0), area = stride * stride;
    int is_reverse = key(s, "reverse", 0) != 0, is_flat = key(s, "flatten", 0) != 0;
    if (need_image(s)) return SN_BAD_INPUT;
    if (extra && (is_flat || stride > 1))
        return cfg_fail(s->section, "extra", s->error,
                        "expected no stride and no flatten beside it");
    if (extra) {
        *s->out = (struct shape){ .n = s->in.n + extra };
        return fits(s, "extra", "outputs", (double)s->in.n + (double)extra);
    }
    if (check_reorg(s, stride, is_reverse, is_flat)) return SN_BAD_INPUT;
    return is_reverse ? give_image(s, "stride", s->in.w * stride, s->in.h * stride, s->in.c / area)
                      : give_image(s, "stride", s->in.w / stride, s->in.h / stride, s->in.c * area);
}

static enum sn_status shape_upsample(const struct step *s)
{
    long long stride = key(s, "stride", 2);
    if (need_image(s)) return SN_BAD_INPUT;
    if (!stride || (stride < 0 && (s->in.w % -stride || s->in.h % -stride)))
        return cfg_fail(s->section, "stride", s->error,
                        "expected a factor, or less than 0 a divisor of %lld x %lld, found %lld",
                        s->in.w, s->in.h, stride);
    return stride > 0 ? give_image(s, "stride", s->in.w * stride, s->in.h * stride, s->in.c)
                      : give_image(s, "stride", s->in.w / -stride, s->in.h / -stride, s->in.c);
}

/* ---- Layers that keep the shape */

static enum sn_status shape_same(const struct step *s)
{
    *s->out = s->in;
    return fits(s, "", "outputs", (double)s->in.n);
}

static enum sn_status shape_same_image(const struct step *s)
{
    return need_image(s) ? SN_BAD_INPUT : shape_same(s);
}

static enum sn_status shape_dropout(const struct step *s)
{
    return s->i ? shape_same(s) : fail(s, "a layer before it");
}

static enum sn_status shape_normalization(const struct step *s)
{
    long long size = key(s, "size", 5);
    if (need_image(s)) return SN_BAD_INPUT;
    if (size / 2 > s->in.c)
        return cfg_fail(s->section, "size", s->error, "expected at most %lld, found %lld",
                        2 * s->in.c + 1, size);
    return shape_same(s);
}

static enum sn_status shape_softmax(const struct step *s)
{
    long long groups = key(s, "groups", 1);
    const struct cfg_key *tree = cfg_find(s->section, "tree");
    if (s->in.n % groups)
        return cfg_fail(s->section, "groups", s->error, "expected a divisor of %lld, found %lld",
                        s->in.n, groups);
    if (tree && plug_check_tree(tree->value, s->in.n, s->error)) return s->error->code;
    return give_numbers(s, s->in.n);
}

static enum sn_status shape_cost(const struct step *s) { return give_numbers(s, s->in.n); }

/* ---- Layers of matrices */

static enum sn_status shape_connected(const struct step *s)
{
    long long n = key(s, "output", 1);
    if (take(s, "output", "weights", (double)n * (double)s->in.n)) return SN_BAD_INPUT;
    *s->out = (struct shape){ 1, 1, n, n };
    return SN_OK;
}

static enum sn_status shape_recurrent(const struct step *s)
{
    long long n = key(s, "output", 1);
    if (take(s, "output", "weights", (double)n * (double)n)) return SN_BAD_INPUT;
    if (take(s, "output", "weights", (double)n * (double)s->in.n)) return SN_BAD_INPUT;
    return give_numbers(s, n);
}

static enum sn_status shape_crnn(const struct step *s)
{
    long long hidden = key(s, "hidden_filters", 1), n = key(s, "output_filters", 1);
    double area = (double)s->in.w * (double)s->in.h;
    if (need_image(s) || take(s, "hidden_filters", "weights", 9. * (double)hidden * (double)hidden)
        || take(s, "hidden_filters", "weights", 9. * (double)hidden * (double)s->in.c)
        || take(s, "output_filters", "weights", 9. * (double)hidden * (double)n)
        || take(s, "hidden_filters", "states", 2. * area * (double)hidden * (double)s->net->batch)
        || take_workspace(s, "hidden_filters", 9. * area * (double)s->in.c)
        || take_workspace(s, "hidden_filters", 9. * area * (double)hidden))
        return SN_BAD_INPUT;
    return give_image(s, "output_filters", s->in.w, s->in.h, n);
}

/* The family checks what it reads, and plug_parser.c the rest of the window. */
static enum sn_status shape_structured(const struct step *s)
{
    long long n = key(s, "filters", key(s, "output", 1)), size = key(s, "size", 0),
              stride = key(s, "stride", 1),
              pad = key(s, "pad", 0) ? size / 2 : key(s, "padding", 0);
    if (!size) {
        *s->out = (struct shape){ 1, 1, n, n };
        return SN_OK;
    }
    return need_image(s) ? SN_BAD_INPUT
                         : give_image(s, "size", positions(s->in.w + 2 * pad, size, stride),
                                      positions(s->in.h + 2 * pad, size, stride), n);
}

/* ---- Layers that refer to others */

/* The layer that a number means, counted from 0 or, below 0, back from this one; -1 when there is
 * none before this one. */
static int referred(const struct step *s, long long number)
{
    long long layer = number < 0 ? s->i + number : number;
    return layer >= 0 && layer < s->i ? (int)layer : -1;
}

static enum sn_status need_key(const struct step *s, const char *name)
{
    return cfg_find(s->section, name)
        ? SN_OK
        : cfg_fail(s->section, name, s->error, "expected a layer before this one, found none");
}

static enum sn_status fail_reference(const struct step *s, const char *name, const char *found)
{
    return cfg_fail(s->section, name, s->error,
                    "expected layers from 0 to %d, or from -1 to %d, found '%.*s'", s->i - 1, -s->i,
                    (int)strcspn(found, ","), found);
}

static enum sn_status shape_route(const struct step *s)
{
    if (need_key(s, "layers")) return SN_BAD_INPUT;
    struct shape sum = { 0 };
    for (const char *text = cfg_find(s->section, "layers")->value; text;) {
        int layer = referred(s, strtoll(text, NULL, 10));
        if (layer < 0) return fail_reference(s, "layers", text);
        struct shape one = s->net->out[layer];
        int is_first = sum.n == 0;
        if (is_first) sum = one;
        else if (one.w == sum.w && one.h == sum.h) sum.c += one.c, sum.n += one.n;
        else sum = (struct shape){ .n = sum.n + one.n };
        text = strchr(text, ',');
        if (text) text++;
        if (fits(s, "layers", "outputs", (double)sum.n)) return SN_BAD_INPUT;
    }
    *s->out = sum;
    return SN_OK;
}

/* Darknet samples the larger image of the two. */
static enum sn_status shape_shortcut(const struct step *s)
{
    if (need_key(s, "from") || need_image(s)) return SN_BAD_INPUT;
    int layer = referred(s, key(s, "from", 0));
    if (layer < 0) return fail_reference(s, "from", cfg_find(s->section, "from")->value);
    struct shape from = s->net->out[layer], in = s->in;
    if (!is_image(from) || from.w / in.w != from.h / in.h || in.w / from.w != in.h / from.h)
        return cfg_fail(s->section, "from", s->error,
                        "expected %lld x %lld pixels or a multiple or part, found %lld x %lld",
                        in.w, in.h, from.w, from.h);
    return shape_same(s);
}

/* ---- Layers that say where things are */

static enum sn_status give_boxes(const struct step *s, double n)
{
    if (n == (double)s->in.n) return shape_same(s);
    return sn_fail(s->error, SN_BAD_INPUT, "%s:%d: [%s]: expected %.0f inputs, found %lld",
                   s->section->path, s->section->line, s->section->name, n, s->in.n);
}

static enum sn_status check_anchors(const struct step *s, long long n)
{
    int found = cfg_list_length(s->section, "anchors");
    if (found <= 2 * n) return SN_OK;
    return cfg_fail(s->section, "anchors", s->error, "expected at most %lld numbers, found %d",
                    2 * n, found);
}

static enum sn_status shape_region(const struct step *s)
{
    long long n = key(s, "num", 1), classes = key(s, "classes", 20);
    const struct cfg_key *tree = cfg_find(s->section, "tree");
    if (need_image(s) || check_anchors(s, n)) return SN_BAD_INPUT;
    if (tree && plug_check_tree(tree->value, classes, s->error)) return s->error->code;
    return give_boxes(s,
                      (double)(s->in.w * s->in.h) * (double)n
                          * (double)(classes + key(s, "coords", 4) + 1));
}

static enum sn_status shape_yolo(const struct step *s)
{
    long long total = key(s, "num", 1);
    const struct cfg_key *mask = cfg_find(s->section, "mask");
    int n = cfg_list_length(s->section, "mask");
    if (need_image(s) || check_anchors(s, total)) return SN_BAD_INPUT;
    for (const char *text = mask ? mask->value : NULL; text; text = strchr(text, ',')) {
        text += *text == ',';
        if (strtoll(text, NULL, 10) >= total)
            return cfg_fail(s->section, "mask", s->error, "expected numbers from 0 to %lld",
                            total - 1);
    }
    return give_boxes(s,
                      (double)(s->in.w * s->in.h) * (double)(mask ? n : total)
                          * (double)(key(s, "classes", 20) + 5));
}

static enum sn_status shape_iseg(const struct step *s)
{
    return give_boxes(s,
                      (double)(s->in.w * s->in.h)
                          * (double)(key(s, "classes", 20) + key(s, "ids", 32)));
}

static enum sn_status shape_detection(const struct step *s)
{
    double side = (double)key(s, "side", 7);
    return give_boxes(s,
                      side * side
                          * ((double)(1 + key(s, "coords", 1)) * (double)key(s, "num", 1)
                             + (double)key(s, "classes", 1)));
}

static enum sn_status (*const step_of_type[BLANK])(const struct step *) = {
    [CONVOLUTIONAL] = shape_convolution,
    [DECONVOLUTIONAL] = shape_deconvolution,
    [CONNECTED] = shape_connected,
    [MAXPOOL] = shape_maxpool,
    [SOFTMAX] = shape_softmax,
    [DETECTION] = shape_detection,
    [DROPOUT] = shape_dropout,
    [CROP] = shape_crop,
    [ROUTE] = shape_route,
    [COST] = shape_cost,
    [NORMALIZATION] = shape_normalization,
    [AVGPOOL] = shape_avgpool,
    [LOCAL] = shape_local,
    [SHORTCUT] = shape_shortcut,
    [ACTIVE] = shape_same,
    [RNN] = shape_recurrent,
    [GRU] = shape_recurrent,
    [LSTM] = shape_recurrent,
    [CRNN] = shape_crnn,
    [BATCHNORM] = shape_same_image,
    [REGION] = shape_region,
    [YOLO] = shape_yolo,
    [ISEG] = shape_iseg,
    [REORG] = shape_reorg,
    [UPSAMPLE] = shape_upsample,
    [LOGXENT] = shape_same,
    [L2NORM] = shape_same,
};

enum sn_status plug_layer_shape(const struct step *step)
{
    return sn_family_find(step->section->name)
        ? shape_structured(step)
        : step_of_type[plug_section_type(step->section)](step);
}
