/* ImageNet's classes (ILSVRC 2012), in torchvision's order. The table is made from Darknet's lists
 * by imagenet.sh. */
#ifndef IMAGENET_H
#define IMAGENET_H

enum { IMAGENET_CLASSES = 1000 };

struct imagenet_class {
    const char *synset; /* "n01440764" */
    const char *name;   /* "tench" */
};

extern const struct imagenet_class imagenet_classes[IMAGENET_CLASSES];

#endif
