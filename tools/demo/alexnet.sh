#!/bin/sh
# From a checkpoint of torchvision's alexnet and a directory of images to a compressed, tuned net and its report. Usage, from the
# repository's root: tools/demo/alexnet.sh BUILD CHECKPOINT IMAGES [OPTION OF structnet compress]..., IMAGES with train/CLASS/*.jpg
# and test/CLASS/*.jpg; by default all connected layers at a tenth of their bytes. ARCH=resnet18 and so on takes another architecture;
# CLASSES=20 takes so many of the classes, drawn with SEED, of a checkpoint of ImageNet's 1000; TRAIN=40 and TEST=20 so many images
# of each class. Everything goes to BUILD/ARCH.
set -eu

[ $# -ge 3 ] && [ -f "$2" ] && [ -d "$3/train" ] && [ -d "$3/test" ] || {
    echo "usage: tools/demo/alexnet.sh BUILD CHECKPOINT IMAGES [OPTION]..." >&2
    exit 2
}
structnet=$1/structnet
arch=${ARCH:-alexnet}
out=$1/$arch
checkpoint=$2
images=$(cd "$3" && pwd)
shift 3
[ $# -gt 0 ] || set -- --share 0.1 --layers all --types sss,psm,dense --bits 4,2
mkdir -p "$out"

# chosen: the classes, in the order of their names.
chosen() {
    if [ -n "${CLASSES-}" ]; then
        ls "$images/train" | awk -v seed="${SEED:-0}" 'BEGIN { srand(seed) } { print rand() "\t" $0 }' | sort -g | head -n "$CLASSES" | cut -f 2 | sort
    else
        ls "$images/train"
    fi
}

# list SPLIT COUNT: the first COUNT images of each class.
list() {
    while read -r class; do
        find "$images/$1/$class" -name '*.jpg' | sort | head -n "$2"
    done < "$out/labels.txt" > "$out/$1.txt"
}

chosen > "$out/labels.txt"
list train "${TRAIN:-40}"
list test "${TEST:-20}"
printf 'classes=%d\nlabels=%s\ntrain=%s\nvalid=%s\n' "$(wc -l < "$out/labels.txt")" "$out/labels.txt" "$out/train.txt" "$out/test.txt" \
    > "$out/images.data"
$structnet import "$arch" "$checkpoint" -o "$out/net" ${CLASSES:+--classes "$out/labels.txt"}
$structnet compress "$out/net.cfg" "$out/net.weights" "$out/images.data" --resize 256 -o "$out/small" "$@"
