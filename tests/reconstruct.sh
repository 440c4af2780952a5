#!/bin/sh
# structnet reconstruct as a user calls it, on a net of some thousand values. Usage: tests/reconstruct.sh BUILD, from the
# repository's root.
set -u

build=$1
out=$build/test-reconstruct
structnet=$build/structnet
darknet=$build/darknet
. tests/checks.sh

three_colours
cat "$out/images.txt" "$out/images.txt" > "$out/more.txt"
colour_net net <<'END_CFG'
[convolutional]
filters=12
size=3
stride=1
pad=1
activation=leaky

[convolutional]
filters=12
size=3
stride=1
pad=1
activation=leaky

[convolutional]
filters=12
size=3
stride=1
pad=1
activation=linear

[shortcut]
from=-3
activation=leaky

[dropout]
probability=0.5

[connected]
output=20
activation=leaky
END_CFG
net="$out/net.cfg $out/net.weights"

# replaced LAYERS OPTION...: a net of structured layers, each fitted to its own matrix alone.
replaced() {
    layers=$1
    shift
    cp "$out/net.cfg" "$out/small.cfg"
    cp "$out/net.weights" "$out/small.weights"
    for layer in $layers; do
        try "$structnet" approx "$out/small.cfg" "$out/small.weights" --layer "$layer" "$@" -o "$out/next"
        is 0 || return
        mv "$out/next.cfg" "$out/small.cfg"
        mv "$out/next.weights" "$out/small.weights"
    done
}
reconstruct() {
    try "$structnet" reconstruct "$out/small.cfg" "$out/small.weights" "$out/more.txt" --reference $net -o "$out/better.weights" "$@"
}
# error NUMBER WHICH: of a block, before (1) or after it (0).
error() { sed -n 's/^layers *\([0-9]*\) to \([0-9]*\), error \([0-9.e-]*\), before \([0-9.e-]*\)$/\1 \2 \3 \4/p' "$out/stdout" | awk -v n="$1" -v c="$2" 'NR == n { print $(3 + c) }'; }
falls() { awk "BEGIN { exit !($(error "$1" 0) < $2 * $(error "$1" 1)) }"; }

replaced '1 2 5 6' --type pruned --share 0.5
ok "a net of sparse matrices" is 0
reconstruct --epochs 20 --batch 4
ok "reconstruct" says 0 '^images   38, 4 held out$'
ok "... a residual block, a chain, and both" [ "$(grep '^layers' "$out/stdout" | cut -d , -f 1 | tr -s ' ' | tr '\n' ';')" = 'layers 1 to 3;layers 4 to 7;layers 1 to 7;' ]
ok "... lowers the error of the first" falls 1 .7
ok "... and of the second" falls 2 .9
cp "$out/better.weights" "$out/first.weights"
try "$structnet" check "$out/small.cfg" "$out/better.weights"
ok "... the net is whole" says 0 '^ok$'
ok "... the layer before stays" same_bytes "$out/net.weights" 20 "$out/better.weights" 20 $((4 * (12 + 12 * 27)))
try "$structnet" info "$out/small.cfg" "$out/better.weights"
OPENBLAS_NUM_THREADS=3 "$structnet" reconstruct "$out/small.cfg" "$out/small.weights" "$out/more.txt" --reference $net -o "$out/better.weights" \
    --epochs 20 --batch 4 > "$out/stdout"
ok "... the same from three threads" cmp -s "$out/first.weights" "$out/better.weights"
reconstruct --epochs 20 --batch 4 --seed 1
ok "... another seed, another order" [ "$(cmp -s "$out/first.weights" "$out/better.weights"; echo $?)" = 1 ]
mv "$out/first.weights" "$out/once.weights"
try "$structnet" reconstruct "$out/small.cfg" "$out/once.weights" "$out/more.txt" --reference $net -o "$out/better.weights" --epochs 0 --together 0 --batch 4
ok "no epoch keeps the errors that were reached" at_least 1e-5 "$(awk "BEGIN { d = $(error 1 0) - $(error 1 1); print d < 0 ? -d : d }")"
ok "... and every byte" cmp -s "$out/once.weights" "$out/better.weights"
reconstruct --epochs 3 --batch 4 --images 20 --json
ok "some images" [ "$(value images "$out/stdout") $(value held_out_images "$out/stdout")" = '18 2' ]
replaced '1 2 5 6' --type psm --bits 4 --share 0.12 --block 4
reconstruct --epochs 20 --batch 4
ok "blocks of few bits" falls 1 .9
try "$structnet" check "$out/small.cfg" "$out/better.weights"
ok "... stay what they are" says 0 '^ok$'
replaced '5' --type dense --bits 2
reconstruct --epochs 10 --batch 4
ok "dense matrices of few bits, one alone" says 0 '^layers   5 to 7, error'
replaced '1 2' --type dense --bits 8
reconstruct --epochs 3 --batch 4 --rate 500 --together 0
ok "what makes it worse is taken back" cmp -s "$out/small.weights" "$out/better.weights"

# ---- batch normalisation
awk '/^\[convolutional\]/ { print; print "batch_normalize=1"; next } 1' "$out/net.cfg" > "$out/bn.cfg"
try env STRUCTNET_SEED=1 "$darknet" classifier train "$out/task.data" "$out/bn.cfg"
mv "$out/bn.cfg" "$out/net.cfg"
mv "$out/backup/bn.weights" "$out/net.weights"
replaced '1 2 5 6' --type pruned --share 0.5
reconstruct --epochs 20 --batch 8
ok "batch normalisation" falls 1 .9
try "$structnet" calibrate "$out/small.cfg" "$out/better.weights" "$out/more.txt" -o "$out/again.weights"
ok "... is taken again afterwards" is 0

# ---- what is refused
sed 's/^activation=linear/activation=purple/' "$out/small.cfg" > "$out/purple.cfg"
try "$structnet" reconstruct "$out/purple.cfg" "$out/small.weights" "$out/more.txt" --reference $net -o "$out/bad.weights"
ok "what is wrong with a cfg, by its name" complains 1 'purple.cfg:[0-9]*: .*activation: unknown activation'
try "$structnet" reconstruct $net "$out/more.txt" --reference $net -o "$out/bad.weights"
ok "a net without a structured layer" complains 1 'net.cfg: expected a structured layer, found none'
sed 's/^output=20/output=24/' "$out/net.cfg" > "$out/other.cfg"
try env STRUCTNET_SEED=1 "$darknet" classifier train "$out/task.data" "$out/other.cfg"
try "$structnet" reconstruct "$out/small.cfg" "$out/small.weights" "$out/more.txt" --reference "$out/other.cfg" "$out/backup/other.weights" -o "$out/bad.weights"
ok "a reference of another shape" complains 1 'layer 5: expected 432 inputs and 24 outputs as in .*other.cfg, found 432 and 20'
reconstruct --images 4
ok "less than a batch" complains 1 'expected at least 8 images to train, a batch, and one to hold out, found 4 and 0'
try "$structnet" reconstruct "$out/small.cfg" "$out/small.weights" "$out/more.txt" -o "$out/bad.weights"
ok "no reference" complains 2 'expected --reference CFG WEIGHTS'
try "$structnet" reconstruct "$out/small.cfg" "$out/small.weights" "$out/more.txt" -o "$out/bad.weights" --reference a
ok "half a reference" complains 2 'expected CFG WEIGHTS'
reconstruct -o "$out/small.weights"
ok "reconstruct does not overwrite its input" complains 1 'small.weights: is an input, expected another output'
ok "... nothing is left" [ -z "$(ls "$out" | grep -e '^bad' -e tmp)" ]

summary reconstruct
