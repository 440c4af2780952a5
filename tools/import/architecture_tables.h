/* The tables of torchvision's nets, to be read beside torchvision/models/NAME.py. Included by
 * architecture.c alone.
 *
 * A row is one operation on the result of the row before, or of the row that from names; INPUT is
 * the module's input. Names are those of the state dict, below the module's. A .. F are the
 * arguments of the module. */
#ifndef ARCHITECTURE_TABLES_H
#define ARCHITECTURE_TABLES_H

#include "architecture.h"

#include <stddef.h>

enum { A = -1, B = -2, C = -3, D = -4, E = -5, F = -6, CLASSES = -7 };
enum { ROW_END = -1, ROW_MODULE = -2 };

struct row {
    int op; /* enum node_op, or one of the two above */
    const char *name, *norm;
    int channels, size_h, size_w, stride, pad_h, pad_w;
    int bias, depthwise, ceil_mode;
    enum node_activation activation;
    const char *from;
    const char *parts[NODE_MAX_INPUTS]; /* CONCATENATE */
    double rate;                        /* DROPOUT */
    /* MODULE: applied as NAME.first ... NAME.last, or once as NAME when last < 0 */
    const struct row *rows;
    int first, last, arguments[6];
};

/* NOLINTBEGIN(bugprone-macro-parentheses) */
/* clang-format off */
#define PREVIOUS NULL
#define INPUT "input"

/* nn.Conv2d with BatchNorm2d and activation. */
#define CONV(name_, norm_, channels_, size, stride_, pad, activation_, from_) \
    { .op = NODE_CONVOLUTION, .name = name_, .norm = norm_, .channels = channels_, \
      .size_h = size, .size_w = size, .stride = stride_, .pad_h = pad, .pad_w = pad, \
      .activation = activation_, .from = from_ }
#define DEPTHWISE(name_, norm_, channels_, size, stride_, pad, activation_) \
    { .op = NODE_CONVOLUTION, .name = name_, .norm = norm_, .channels = channels_, \
      .size_h = size, .size_w = size, .stride = stride_, .pad_h = pad, .pad_w = pad, \
      .activation = activation_, .depthwise = 1 }
/* nn.Conv2d with bias and ReLU; with bias, BatchNorm2d and ReLU. */
#define CONV_BIAS(name_, channels_, size, stride_, pad, from_) \
    { .op = NODE_CONVOLUTION, .name = name_, .norm = "", .channels = channels_, \
      .size_h = size, .size_w = size, .stride = stride_, .pad_h = pad, .pad_w = pad, \
      .bias = 1, .activation = NODE_RELU, .from = from_ }
#define CONV_BIAS_NORM(name_, norm_, channels_) \
    { .op = NODE_CONVOLUTION, .name = name_, .norm = norm_, .channels = channels_, \
      .size_h = 3, .size_w = 3, .stride = 1, .pad_h = 1, .pad_w = 1, \
      .bias = 1, .activation = NODE_RELU }
/* BasicConv2d of googlenet.py and inception.py; kernel and padding as height, width. */
#define BASIC(name_, channels_, height, width, stride_, pad_height, pad_width, from_) \
    { .op = NODE_CONVOLUTION, .name = name_ ".conv", .norm = name_ ".bn", .channels = channels_, \
      .size_h = height, .size_w = width, .stride = stride_, \
      .pad_h = pad_height, .pad_w = pad_width, .activation = NODE_RELU, .from = from_ }
#define LINEAR(name_, channels_, activation_) \
    { .op = NODE_LINEAR, .name = name_, .channels = channels_, .activation = activation_ }
#define MAX_POOL(name_, size, stride_, pad, ceil, from_) \
    { .op = NODE_MAX_POOL, .name = name_, .size_h = size, .size_w = size, .stride = stride_, \
      .pad_h = pad, .pad_w = pad, .ceil_mode = ceil, .from = from_ }
/* F.avg_pool2d(x, kernel_size=3, stride=1, padding=1), which counts the padding. */
#define AVERAGE_POOL_3(name_, from_) { .op = NODE_AVERAGE_POOL_3, .name = name_, .from = from_ }
#define GLOBAL_AVERAGE { .op = NODE_GLOBAL_AVERAGE }
#define DROPOUT(rate_) { .op = NODE_DROPOUT, .rate = rate_ }
#define ADD(name_, activation_) { .op = NODE_ADD, .from = name_, .activation = activation_ }
#define CONCATENATE(...) { .op = NODE_CONCATENATE, .parts = { __VA_ARGS__ } }
#define MODULES(name_, rows_, first_, last_, ...) \
    { .op = ROW_MODULE, .name = name_, .rows = rows_, .first = first_, .last = last_, \
      .arguments = { __VA_ARGS__ } }
#define MODULE(name_, rows_, ...) MODULES(name_, rows_, 0, -1, __VA_ARGS__)
#define END { .op = ROW_END }

/* ---- alexnet.py. Its adaptive pooling to 6 x 6 does nothing to images of 224 x 224. */
static const struct row alexnet[] = {
    CONV_BIAS("features.0", 64, 11, 4, 2, PREVIOUS), MAX_POOL(NULL, 3, 2, 0, 0, PREVIOUS),
    CONV_BIAS("features.3", 192, 5, 1, 2, PREVIOUS), MAX_POOL(NULL, 3, 2, 0, 0, PREVIOUS),
    CONV_BIAS("features.6", 384, 3, 1, 1, PREVIOUS),
    CONV_BIAS("features.8", 256, 3, 1, 1, PREVIOUS),
    CONV_BIAS("features.10", 256, 3, 1, 1, PREVIOUS), MAX_POOL(NULL, 3, 2, 0, 0, PREVIOUS),
    DROPOUT(0.5), LINEAR("classifier.1", 4096, NODE_RELU),
    DROPOUT(0.5), LINEAR("classifier.4", 4096, NODE_RELU),
    LINEAR("classifier.6", CLASSES, NODE_NONE), END
};

/* ---- vgg.py: configurations A, B, D, E, and the same with BatchNorm2d. Adaptive pooling to
 * 7 x 7 does nothing. */
#define VGG_POOL MAX_POOL(NULL, 2, 2, 0, 0, PREVIOUS)
#define VGG(n, channels) CONV_BIAS("features." #n, channels, 3, 1, 1, PREVIOUS)
#define VGG_NORM(n, norm, channels) CONV_BIAS_NORM("features." #n, "features." #norm, channels)
#define VGG_CLASSIFIER \
    LINEAR("classifier.0", 4096, NODE_RELU), DROPOUT(0.5), \
    LINEAR("classifier.3", 4096, NODE_RELU), DROPOUT(0.5), \
    LINEAR("classifier.6", CLASSES, NODE_NONE), END
static const struct row vgg11[] = {
    VGG(0, 64), VGG_POOL, VGG(3, 128), VGG_POOL, VGG(6, 256), VGG(8, 256), VGG_POOL, VGG(11, 512),
    VGG(13, 512),
    VGG_POOL, VGG(16, 512), VGG(18, 512), VGG_POOL, VGG_CLASSIFIER
};
static const struct row vgg13[] = {
    VGG(0, 64), VGG(2, 64), VGG_POOL, VGG(5, 128), VGG(7, 128), VGG_POOL, VGG(10, 256),
    VGG(12, 256), VGG_POOL,
    VGG(15, 512), VGG(17, 512), VGG_POOL, VGG(20, 512), VGG(22, 512), VGG_POOL, VGG_CLASSIFIER
};
static const struct row vgg16[] = {
    VGG(0, 64), VGG(2, 64), VGG_POOL, VGG(5, 128), VGG(7, 128), VGG_POOL, VGG(10, 256),
    VGG(12, 256), VGG(14, 256),
    VGG_POOL, VGG(17, 512), VGG(19, 512), VGG(21, 512), VGG_POOL, VGG(24, 512), VGG(26, 512),
    VGG(28, 512), VGG_POOL,
    VGG_CLASSIFIER
};
static const struct row vgg19[] = {
    VGG(0, 64), VGG(2, 64), VGG_POOL, VGG(5, 128), VGG(7, 128), VGG_POOL, VGG(10, 256),
    VGG(12, 256), VGG(14, 256),
    VGG(16, 256), VGG_POOL, VGG(19, 512), VGG(21, 512), VGG(23, 512), VGG(25, 512), VGG_POOL,
    VGG(28, 512),
    VGG(30, 512), VGG(32, 512), VGG(34, 512), VGG_POOL, VGG_CLASSIFIER
};
static const struct row vgg11_bn[] = {
    VGG_NORM(0, 1, 64), VGG_POOL, VGG_NORM(4, 5, 128), VGG_POOL, VGG_NORM(8, 9, 256),
    VGG_NORM(11, 12, 256), VGG_POOL,
    VGG_NORM(15, 16, 512), VGG_NORM(18, 19, 512), VGG_POOL, VGG_NORM(22, 23, 512),
    VGG_NORM(25, 26, 512), VGG_POOL,
    VGG_CLASSIFIER
};
static const struct row vgg13_bn[] = {
    VGG_NORM(0, 1, 64), VGG_NORM(3, 4, 64), VGG_POOL, VGG_NORM(7, 8, 128), VGG_NORM(10, 11, 128),
    VGG_POOL,
    VGG_NORM(14, 15, 256), VGG_NORM(17, 18, 256), VGG_POOL, VGG_NORM(21, 22, 512),
    VGG_NORM(24, 25, 512), VGG_POOL,
    VGG_NORM(28, 29, 512), VGG_NORM(31, 32, 512), VGG_POOL, VGG_CLASSIFIER
};
static const struct row vgg16_bn[] = {
    VGG_NORM(0, 1, 64), VGG_NORM(3, 4, 64), VGG_POOL, VGG_NORM(7, 8, 128), VGG_NORM(10, 11, 128),
    VGG_POOL,
    VGG_NORM(14, 15, 256), VGG_NORM(17, 18, 256), VGG_NORM(20, 21, 256), VGG_POOL,
    VGG_NORM(24, 25, 512),
    VGG_NORM(27, 28, 512), VGG_NORM(30, 31, 512), VGG_POOL, VGG_NORM(34, 35, 512),
    VGG_NORM(37, 38, 512),
    VGG_NORM(40, 41, 512), VGG_POOL, VGG_CLASSIFIER
};
static const struct row vgg19_bn[] = {
    VGG_NORM(0, 1, 64), VGG_NORM(3, 4, 64), VGG_POOL, VGG_NORM(7, 8, 128), VGG_NORM(10, 11, 128),
    VGG_POOL,
    VGG_NORM(14, 15, 256), VGG_NORM(17, 18, 256), VGG_NORM(20, 21, 256), VGG_NORM(23, 24, 256),
    VGG_POOL,
    VGG_NORM(27, 28, 512), VGG_NORM(30, 31, 512), VGG_NORM(33, 34, 512), VGG_NORM(36, 37, 512),
    VGG_POOL,
    VGG_NORM(40, 41, 512), VGG_NORM(43, 44, 512), VGG_NORM(46, 47, 512), VGG_NORM(49, 50, 512),
    VGG_POOL, VGG_CLASSIFIER
};

/* ---- resnet.py. BasicBlock: A = width, B = stride. */
static const struct row basic_block[] = {
    CONV("conv1", "bn1", A, 3, 1, 1, NODE_RELU, PREVIOUS),
    CONV("conv2", "bn2", A, 3, 1, 1, NODE_NONE, PREVIOUS),
    ADD(INPUT, NODE_RELU), END
};
static const struct row basic_block_down[] = {
    CONV("conv1", "bn1", A, 3, B, 1, NODE_RELU, PREVIOUS),
    CONV("conv2", "bn2", A, 3, 1, 1, NODE_NONE, PREVIOUS),
    CONV("downsample.0", "downsample.1", A, 1, B, 0, NODE_NONE, INPUT),
    ADD("conv2", NODE_RELU), END
};
/* Bottleneck: A = width, B = 4 * width, C = stride. */
static const struct row bottleneck[] = {
    CONV("conv1", "bn1", A, 1, 1, 0, NODE_RELU, PREVIOUS),
    CONV("conv2", "bn2", A, 3, 1, 1, NODE_RELU, PREVIOUS),
    CONV("conv3", "bn3", B, 1, 1, 0, NODE_NONE, PREVIOUS),
    ADD(INPUT, NODE_RELU), END
};
static const struct row bottleneck_down[] = {
    CONV("conv1", "bn1", A, 1, 1, 0, NODE_RELU, PREVIOUS),
    CONV("conv2", "bn2", A, 3, C, 1, NODE_RELU, PREVIOUS),
    CONV("conv3", "bn3", B, 1, 1, 0, NODE_NONE, PREVIOUS),
    CONV("downsample.0", "downsample.1", B, 1, C, 0, NODE_NONE, INPUT),
    ADD("conv3", NODE_RELU), END
};
#define RESNET_STEM \
    CONV("conv1", "bn1", 64, 7, 2, 3, NODE_RELU, PREVIOUS), MAX_POOL(NULL, 3, 2, 1, 0, PREVIOUS)
#define RESNET_HEAD GLOBAL_AVERAGE, LINEAR("fc", CLASSES, NODE_NONE), END
#define BASIC_LAYER(name, width, n) \
    MODULES(name, basic_block_down, 0, 0, width, 2), MODULES(name, basic_block, 1, (n) - 1, width)
#define BOTTLENECK_LAYER(name, width, stride, n) \
    MODULES(name, bottleneck_down, 0, 0, width, 4 * (width), stride), \
    MODULES(name, bottleneck, 1, (n) - 1, width, 4 * (width))
#define RESNET_BASIC(n1, n2, n3, n4) \
    { RESNET_STEM, MODULES("layer1", basic_block, 0, (n1) - 1, 64), \
      BASIC_LAYER("layer2", 128, n2), BASIC_LAYER("layer3", 256, n3), \
      BASIC_LAYER("layer4", 512, n4), RESNET_HEAD }
#define RESNET_BOTTLENECK(n1, n2, n3, n4) \
    { RESNET_STEM, BOTTLENECK_LAYER("layer1", 64, 1, n1), BOTTLENECK_LAYER("layer2", 128, 2, n2), \
      BOTTLENECK_LAYER("layer3", 256, 2, n3), BOTTLENECK_LAYER("layer4", 512, 2, n4), RESNET_HEAD }
static const struct row resnet18[] = RESNET_BASIC(2, 2, 2, 2);
static const struct row resnet34[] = RESNET_BASIC(3, 4, 6, 3);
static const struct row resnet50[] = RESNET_BOTTLENECK(3, 4, 6, 3);
static const struct row resnet101[] = RESNET_BOTTLENECK(3, 4, 23, 3);
static const struct row resnet152[] = RESNET_BOTTLENECK(3, 8, 36, 3);

/* ---- googlenet.py. Inception: A = ch1x1, B = ch3x3red, C = ch3x3, D = ch5x5red, E = ch5x5, F =
 * pool_proj. */
static const struct row inception[] = {
    BASIC("branch1", A, 1, 1, 1, 0, 0, INPUT),
    BASIC("branch2.0", B, 1, 1, 1, 0, 0, INPUT), BASIC("branch2.1", C, 3, 3, 1, 1, 1, PREVIOUS),
    BASIC("branch3.0", D, 1, 1, 1, 0, 0, INPUT), BASIC("branch3.1", E, 3, 3, 1, 1, 1, PREVIOUS),
    MAX_POOL("branch4.0", 3, 1, 1, 1, INPUT), BASIC("branch4.1", F, 1, 1, 1, 0, 0, PREVIOUS),
    CONCATENATE("branch1.conv", "branch2.1.conv", "branch3.1.conv", "branch4.1.conv"), END
};
static const struct row googlenet[] = {
    BASIC("conv1", 64, 7, 7, 2, 3, 3, PREVIOUS), MAX_POOL(NULL, 3, 2, 0, 1, PREVIOUS),
    BASIC("conv2", 64, 1, 1, 1, 0, 0, PREVIOUS), BASIC("conv3", 192, 3, 3, 1, 1, 1, PREVIOUS),
    MAX_POOL(NULL, 3, 2, 0, 1, PREVIOUS),
    MODULE("inception3a", inception, 64, 96, 128, 16, 32, 32),
    MODULE("inception3b", inception, 128, 128, 192, 32, 96, 64),
    MAX_POOL(NULL, 3, 2, 0, 1, PREVIOUS),
    MODULE("inception4a", inception, 192, 96, 208, 16, 48, 64),
    MODULE("inception4b", inception, 160, 112, 224, 24, 64, 64),
    MODULE("inception4c", inception, 128, 128, 256, 24, 64, 64),
    MODULE("inception4d", inception, 112, 144, 288, 32, 64, 64),
    MODULE("inception4e", inception, 256, 160, 320, 32, 128, 128),
    MAX_POOL(NULL, 2, 2, 0, 1, PREVIOUS),
    MODULE("inception5a", inception, 256, 160, 320, 32, 128, 128),
    MODULE("inception5b", inception, 384, 192, 384, 48, 128, 128),
    GLOBAL_AVERAGE, DROPOUT(0.2), LINEAR("fc", CLASSES, NODE_NONE), END
};

/* ---- inception.py. InceptionA: A = pool_features. */
static const struct row inception_a[] = {
    BASIC("branch1x1", 64, 1, 1, 1, 0, 0, INPUT),
    BASIC("branch5x5_1", 48, 1, 1, 1, 0, 0, INPUT),
    BASIC("branch5x5_2", 64, 5, 5, 1, 2, 2, PREVIOUS),
    BASIC("branch3x3dbl_1", 64, 1, 1, 1, 0, 0, INPUT),
    BASIC("branch3x3dbl_2", 96, 3, 3, 1, 1, 1, PREVIOUS),
    BASIC("branch3x3dbl_3", 96, 3, 3, 1, 1, 1, PREVIOUS),
    AVERAGE_POOL_3(NULL, INPUT), BASIC("branch_pool", A, 1, 1, 1, 0, 0, PREVIOUS),
    CONCATENATE("branch1x1.conv", "branch5x5_2.conv", "branch3x3dbl_3.conv", "branch_pool.conv"),
    END
};
static const struct row inception_b[] = {
    BASIC("branch3x3", 384, 3, 3, 2, 0, 0, INPUT),
    BASIC("branch3x3dbl_1", 64, 1, 1, 1, 0, 0, INPUT),
    BASIC("branch3x3dbl_2", 96, 3, 3, 1, 1, 1, PREVIOUS),
    BASIC("branch3x3dbl_3", 96, 3, 3, 2, 0, 0, PREVIOUS),
    MAX_POOL("branch_pool", 3, 2, 0, 0, INPUT),
    CONCATENATE("branch3x3.conv", "branch3x3dbl_3.conv", "branch_pool"), END
};
/* InceptionC: A = channels_7x7. */
static const struct row inception_c[] = {
    BASIC("branch1x1", 192, 1, 1, 1, 0, 0, INPUT),
    BASIC("branch7x7_1", A, 1, 1, 1, 0, 0, INPUT), BASIC("branch7x7_2", A, 1, 7, 1, 0, 3, PREVIOUS),
    BASIC("branch7x7_3", 192, 7, 1, 1, 3, 0, PREVIOUS),
    BASIC("branch7x7dbl_1", A, 1, 1, 1, 0, 0, INPUT),
    BASIC("branch7x7dbl_2", A, 7, 1, 1, 3, 0, PREVIOUS),
    BASIC("branch7x7dbl_3", A, 1, 7, 1, 0, 3, PREVIOUS),
    BASIC("branch7x7dbl_4", A, 7, 1, 1, 3, 0, PREVIOUS),
    BASIC("branch7x7dbl_5", 192, 1, 7, 1, 0, 3, PREVIOUS),
    AVERAGE_POOL_3(NULL, INPUT), BASIC("branch_pool", 192, 1, 1, 1, 0, 0, PREVIOUS),
    CONCATENATE("branch1x1.conv", "branch7x7_3.conv", "branch7x7dbl_5.conv", "branch_pool.conv"),
    END
};
static const struct row inception_d[] = {
    BASIC("branch3x3_1", 192, 1, 1, 1, 0, 0, INPUT),
    BASIC("branch3x3_2", 320, 3, 3, 2, 0, 0, PREVIOUS),
    BASIC("branch7x7x3_1", 192, 1, 1, 1, 0, 0, INPUT),
    BASIC("branch7x7x3_2", 192, 1, 7, 1, 0, 3, PREVIOUS),
    BASIC("branch7x7x3_3", 192, 7, 1, 1, 3, 0, PREVIOUS),
    BASIC("branch7x7x3_4", 192, 3, 3, 2, 0, 0, PREVIOUS),
    MAX_POOL("branch_pool", 3, 2, 0, 0, INPUT),
    CONCATENATE("branch3x3_2.conv", "branch7x7x3_4.conv", "branch_pool"), END
};
static const struct row inception_e[] = {
    BASIC("branch1x1", 320, 1, 1, 1, 0, 0, INPUT),
    BASIC("branch3x3_1", 384, 1, 1, 1, 0, 0, INPUT),
    BASIC("branch3x3_2a", 384, 1, 3, 1, 0, 1, "branch3x3_1.conv"),
    BASIC("branch3x3_2b", 384, 3, 1, 1, 1, 0, "branch3x3_1.conv"),
    BASIC("branch3x3dbl_1", 448, 1, 1, 1, 0, 0, INPUT),
    BASIC("branch3x3dbl_2", 384, 3, 3, 1, 1, 1, PREVIOUS),
    BASIC("branch3x3dbl_3a", 384, 1, 3, 1, 0, 1, "branch3x3dbl_2.conv"),
    BASIC("branch3x3dbl_3b", 384, 3, 1, 1, 1, 0, "branch3x3dbl_2.conv"),
    AVERAGE_POOL_3(NULL, INPUT), BASIC("branch_pool", 192, 1, 1, 1, 0, 0, PREVIOUS),
    CONCATENATE("branch1x1.conv", "branch3x3_2a.conv", "branch3x3_2b.conv",
                "branch3x3dbl_3a.conv", "branch3x3dbl_3b.conv", "branch_pool.conv"), END
};
static const struct row inception_v3[] = {
    BASIC("Conv2d_1a_3x3", 32, 3, 3, 2, 0, 0, PREVIOUS),
    BASIC("Conv2d_2a_3x3", 32, 3, 3, 1, 0, 0, PREVIOUS),
    BASIC("Conv2d_2b_3x3", 64, 3, 3, 1, 1, 1, PREVIOUS), MAX_POOL(NULL, 3, 2, 0, 0, PREVIOUS),
    BASIC("Conv2d_3b_1x1", 80, 1, 1, 1, 0, 0, PREVIOUS),
    BASIC("Conv2d_4a_3x3", 192, 3, 3, 1, 0, 0, PREVIOUS),
    MAX_POOL(NULL, 3, 2, 0, 0, PREVIOUS),
    MODULE("Mixed_5b", inception_a, 32), MODULE("Mixed_5c", inception_a, 64),
    MODULE("Mixed_5d", inception_a, 64),
    MODULE("Mixed_6a", inception_b, 0), MODULE("Mixed_6b", inception_c, 128),
    MODULE("Mixed_6c", inception_c, 160),
    MODULE("Mixed_6d", inception_c, 160), MODULE("Mixed_6e", inception_c, 192),
    MODULE("Mixed_7a", inception_d, 0),
    MODULE("Mixed_7b", inception_e, 0), MODULE("Mixed_7c", inception_e, 0),
    GLOBAL_AVERAGE, DROPOUT(0.5), LINEAR("fc", CLASSES, NODE_NONE), END
};

/* ---- mobilenetv2.py. InvertedResidual: A = hidden_dim, B = oup, C = stride. */
static const struct row inverted_first[] = {  /* expand_ratio 1 */
    DEPTHWISE("conv.0.0", "conv.0.1", A, 3, C, 1, NODE_RELU6),
    CONV("conv.1", "conv.2", B, 1, 1, 0, NODE_NONE, PREVIOUS), END
};
#define INVERTED \
    CONV("conv.0.0", "conv.0.1", A, 1, 1, 0, NODE_RELU6, PREVIOUS), \
    DEPTHWISE("conv.1.0", "conv.1.1", A, 3, C, 1, NODE_RELU6), \
    CONV("conv.2", "conv.3", B, 1, 1, 0, NODE_NONE, PREVIOUS)
static const struct row inverted[] = { INVERTED, END };
/* use_res_connect */
static const struct row inverted_residual[] = { INVERTED, ADD(INPUT, NODE_NONE), END };
static const struct row mobilenet_v2[] = {
    CONV("features.0.0", "features.0.1", 32, 3, 2, 1, NODE_RELU6, PREVIOUS),
    MODULES("features", inverted_first, 1, 1, 32, 16, 1),
    MODULES("features", inverted, 2, 2, 96, 24, 2),
    MODULES("features", inverted_residual, 3, 3, 144, 24, 1),
    MODULES("features", inverted, 4, 4, 144, 32, 2),
    MODULES("features", inverted_residual, 5, 6, 192, 32, 1),
    MODULES("features", inverted, 7, 7, 192, 64, 2),
    MODULES("features", inverted_residual, 8, 10, 384, 64, 1),
    MODULES("features", inverted, 11, 11, 384, 96, 1),
    MODULES("features", inverted_residual, 12, 13, 576, 96, 1),
    MODULES("features", inverted, 14, 14, 576, 160, 2),
    MODULES("features", inverted_residual, 15, 16, 960, 160, 1),
    MODULES("features", inverted, 17, 17, 960, 320, 1),
    CONV("features.18.0", "features.18.1", 1280, 1, 1, 0, NODE_RELU6, PREVIOUS),
    GLOBAL_AVERAGE, DROPOUT(0.2), LINEAR("classifier.1", CLASSES, NODE_NONE), END
};

/* ---- squeezenet.py. Fire: A = squeeze_planes, B = expand1x1_planes = expand3x3_planes. */
static const struct row fire[] = {
    CONV_BIAS("squeeze", A, 1, 1, 0, PREVIOUS),
    CONV_BIAS("expand1x1", B, 1, 1, 0, "squeeze"), CONV_BIAS("expand3x3", B, 3, 1, 1, "squeeze"),
    CONCATENATE("expand1x1", "expand3x3"), END
};
#define FIRE(n, squeeze, expand) MODULES("features", fire, n, n, squeeze, expand)
#define SQUEEZENET_POOL MAX_POOL(NULL, 3, 2, 0, 1, PREVIOUS)
#define SQUEEZENET_HEAD \
    DROPOUT(0.5), CONV_BIAS("classifier.1", CLASSES, 1, 1, 0, PREVIOUS), GLOBAL_AVERAGE, END
static const struct row squeezenet1_0[] = {
    CONV_BIAS("features.0", 96, 7, 2, 0, PREVIOUS), SQUEEZENET_POOL, FIRE(3, 16, 64),
    FIRE(4, 16, 64), FIRE(5, 32, 128),
    SQUEEZENET_POOL, FIRE(7, 32, 128), FIRE(8, 48, 192), FIRE(9, 48, 192), FIRE(10, 64, 256),
    SQUEEZENET_POOL, FIRE(12, 64, 256), SQUEEZENET_HEAD
};
static const struct row squeezenet1_1[] = {
    CONV_BIAS("features.0", 64, 3, 2, 0, PREVIOUS), SQUEEZENET_POOL, FIRE(3, 16, 64),
    FIRE(4, 16, 64), SQUEEZENET_POOL,
    FIRE(6, 32, 128), FIRE(7, 32, 128), SQUEEZENET_POOL, FIRE(9, 48, 192), FIRE(10, 48, 192),
    FIRE(11, 64, 256), FIRE(12, 64, 256), SQUEEZENET_HEAD
};

/* NOLINTEND(bugprone-macro-parentheses) */

#endif
