#!/bin/sh
# What the two programs know of every family, without naming one: the families are those of tests/family/families.def, one
# of which only the tests have, in programs that are built with that table. Usage: tests/family.sh BUILD.
set -u

build=$1
out=$build/test-family
structnet=$build/in_tests/structnet
darknet=$build/in_tests/darknet
. tests/checks.sh
export STRUCTNET_SEED=1 # the same nets each time
three_colours

families=$(cat layers/families.def tests/family/families.def | sed -n 's/^FAMILY(\(.*\))$/\1/p')

cat > "$out/net.cfg" <<'END'
[net]
batch=8
height=6
width=6
channels=3
learning_rate=0.01
max_batches=60

[connected]
output=24
activation=leaky

[connected]
output=3
activation=linear

[softmax]
END
try "$darknet" classifier train "$out/task.data" "$out/net.cfg"
ok "a dense net trains" is 0
cp "$out/backup/net.weights" "$out/net.weights"

# W = 4 I + 1, 8 x 8, and features of its inputs.
ones_and_diagonal() {
    for i in 0 1 2 3 4 5 6 7; do
        for j in 0 1 2 3 4 5 6 7; do f32 $((i == j ? 4 : 1)); done
    done
}
{ npy '<f4' '8, 8'; ones_and_diagonal; } > "$out/w.npy"
{ npy '<f4' '16, 8'; ones_and_diagonal; ones_and_diagonal; } > "$out/f.npy"

# Of the candidates of auto, the ones of one type.
try "$structnet" approx --matrix "$out/w.npy" --type auto --share .9 --json
ok "auto runs" is 0
cp "$out/stdout" "$out/auto"
try "$structnet" sweep --matrix "$out/w.npy" --shares .5,.9 --no-plot -o "$out/curve"
ok "sweep runs" is 0

for family in $families; do
    try "$structnet" approx --help
    ok "$family: --help lists the type" says 0 "^  *$family  "
    try "$structnet" sweep --help
    ok "$family: sweep's --help too" says 0 "^  --types .*\\b$family\\b"
    ok "$family: auto tries it" grep -q "\"type\":[[:space:]]*\"$family\"" "$out/auto"
    ok "$family: sweep has its rows" [ "$(grep -c "^$family	" "$out/curve.tsv")" = 8 ]

    try "$structnet" approx --matrix "$out/w.npy" --type "$family" --share .9 -o "$out/head"
    ok "$family: approx writes a head" says 0 "^type  *$family\$"
    ok "$family: ... with its section" grep -q "^\[$family\]\$" "$out/head.cfg"
    try "$structnet" run "$out/head.cfg" "$out/head.weights" --input "$out/f.npy" -o "$out/y.npy"
    ok "$family: ... that runs" is 0
    try "$structnet" approx --matrix "$out/w.npy" --features "$out/f.npy" --type "$family" --share .9
    ok "$family: approx weighs errors by features" says 0 '^output  *0\.'

    try "$structnet" approx "$out/net.cfg" "$out/net.weights" --layer 0 --type "$family" --share .5 -o "$out/$family"
    ok "$family: a layer of a net is replaced" is 0
    try "$structnet" check "$out/$family.cfg" "$out/$family.weights"
    ok "$family: ... the net is whole" is 0
    try "$structnet" info "$out/$family.cfg" "$out/$family.weights"
    ok "$family: ... info shows it" says 0 "\\b$family\\b"
    try "$darknet" classifier train "$out/task.data" "$out/$family.cfg" "$out/$family.weights"
    ok "$family: ... darknet trains it" is 0
    try "$structnet" eval "$out/$family.cfg" "$out/backup/$family.weights" "$out/task.data" --json
    ok "$family: ... and it knows the colours" at_least "$(value top1 "$out/stdout")" .9
    head -c 100 "$out/$family.weights" > "$out/short.weights"
    try "$structnet" check "$out/$family.cfg" "$out/short.weights"
    ok "$family: weights that are too short are refused" complains 1 'layer 0 \[.*expected [0-9]* bytes, found'
    sed "s/^\[$family\]/&\nnonsense=1/" "$out/$family.cfg" > "$out/unknown.cfg"
    try "$structnet" check "$out/unknown.cfg" "$out/$family.weights"
    ok "$family: an unknown key is named" complains 1 "\[$family\] nonsense: unknown key"
done

summary family
