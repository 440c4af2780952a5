#!/bin/sh
# Writes the table of ImageNet's 1000 classes in torchvision's order, which is that of the synset
# ids, as C.
# Usage: tools/import/imagenet.sh DIRECTORY-OF-DARKNETS-LISTS
set -eu
export LC_ALL=C
echo '#include "imagenet.h"'
echo 'const struct imagenet_class imagenet_classes[IMAGENET_CLASSES] = {'
# Two names occur twice; torchvision calls these two differently.
paste "$1/imagenet.labels.list" "$1/imagenet.shortnames.list" | head -n 1000 | sort | awk -F '\t' '
    $1 == "n02012849" { $2 = "crane bird" }
    $1 == "n03710721" { $2 = "maillot tank suit" }
    { gsub(/\r/, ""); gsub(/["\\]/, "\\\\&", $2); printf "    { \"%s\", \"%s\" },\n", $1, $2 }'
echo '};'
