#!/bin/sh
# MLPerf Tiny's anomaly detection, ten connected layers, in integers: dense, and with every layer approximated by a share of its
# float bytes, each fitted to what the layers before it give. The first and the last layer, of 640 inputs and outputs, are nearer to
# low rank than those of 128 x 128, so that there is also SSS in the former beside PSM in the latter. Usage: bench/mcu/anomaly.sh
# BUILD DIRECTORY, which holds fcK.weights.npy and fcK.bias.npy, K = 0 .. 9, and windows of spectra x.npy. The table goes to
# bench/results/anomaly.tsv: bytes, instructions on a Cortex-M4 and a Cortex-M0 where the net fits, and the anomaly score, the mean
# squared error of the reconstruction, over that of floats.
set -eu

[ $# = 2 ] && [ -f "$2/fc9.weights.npy" ] && [ -f "$2/x.npy" ] || {
    echo 'usage: anomaly.sh BUILD DIRECTORY with fcK.weights.npy, fcK.bias.npy and x.npy' >&2
    exit 2
}
build=$1 data=$2
work=$build/mcu/anomaly
results=bench/results/anomaly.tsv
mkdir -p "$work"
export OPENBLAS_NUM_THREADS=1

# The numbers of an array, one a line.
numbers() { tail -c +129 "$1" | od -An -v -w4 -t f4; }
# The mean squared difference of two lists of numbers.
score() { paste "$1" "$2" | awk '{ s += ($1 - $2) ^ 2 } END { printf "%.6g\n", s / NR }'; }
value() { sed -n "s/.*\"$1\":[[:space:]]*\([-+.0-9e]*\).*/\1/p" "$2"; }

# join NAME: the layers of NAME.0 .. NAME.k as one net, rectified but for the tenth.
join() {
    first=$1.0
    { sed -n '/^\[net\]/,/^$/p' "$first.cfg"; } > "$1.cfg"
    head -c 20 "$first.weights" > "$1.weights"
    for k in 0 1 2 3 4 5 6 7 8 9; do
        [ -f "$1.$k.cfg" ] || break
        activation=relu
        [ $k = 9 ] && activation=linear
        sed -n '/^\[\(sss\|psm\)\]/,$p' "$1.$k.cfg" | sed "s/^activation=.*/activation=$activation/" >> "$1.cfg"
        echo >> "$1.cfg"
        tail -c +21 "$1.$k.weights" >> "$1.weights"
    done
}

# Layer k of the net under way.
fit() {
    "$build/structnet" approx --matrix "$data/fc$k.weights.npy" --bias "$data/fc$k.bias.npy" --features "$name.x.npy" \
        --holdout 0.1 -o "$name.$k" "$@" > /dev/null
}

# build_net NAME 'OPTION...' ['OPTION...']: of the first and the last layer, and of the others where they have others.
build_net() {
    name=$work/$1
    rm -f "$name".[0-9].*
    cp "$data/x.npy" "$name.x.npy"
    for k in 0 1 2 3 4 5 6 7 8 9; do
        case $k in # The two of 8 x 128 have little to save.
        4 | 5) fit $2 --type dense --share 1 ;;
        0 | 9) fit $2 ;;
        *) fit ${3:-$2} ;;
        esac
        join "$name"
        "$build/structnet" run "$name.cfg" "$name.weights" --input "$data/x.npy" -o "$name.x.npy" > /dev/null
    done
}

# measure NAME TYPE SHARE
measure() {
    net=$work/$1
    mkdir -p "$net"
    "$build/structnet" export "$net.cfg" "$net.weights" --features "$data/x.npy" --vectors --json -o "$net/net" > "$net/export.json"
    scale=$(sed -n 's/^#define net_OUTPUT_SCALE \([-+.0-9e]*\)f/\1/p' "$net/net.h")
    od -An -v -w2 -t d2 "$net/net.outputs" | awk -v s="$scale" '{ print $1 * s }' > "$net/y"
    numbers "$data/x.npy" > "$net/x"
    change=$(awk -v a="$(score "$net/x" "$net/y")" -v b="$dense_score" 'BEGIN { printf "%.3f", a / b }')
    row=$(sh bench/mcu/run.sh "$work/build" m4 "$net" "$net/net.inputs" "$net/m4.outputs")
    cmp -s "$net/m4.outputs" "$net/net.outputs" || { echo "anomaly.sh: $1: the Cortex-M4 differs from the host" >&2; exit 1; }
    small=$(sh bench/mcu/run.sh "$work/build" m0 "$net" "$net/net.inputs" "$net/m0.outputs" 2> /dev/null | cut -f 2) || small=
    echo "$row" | awk -F '\t' -v OFS='\t' -v type="$2" -v share="$3" -v madds="$(value multiply_adds "$net/export.json")" \
        -v small="$small" -v change="$change" '{ print type, share, madds, $3, $4, $2, small, change }' >> "$results.new"
    tail -n 1 "$results.new" >&2
}

{
    sh bench/environment.sh
    echo "# command: bench/mcu/anomaly.sh BUILD DIRECTORY"
    printf 'type\tshare of float bytes\tmultiply-adds\tflash\tRAM\tinstructions, M4\tinstructions, M0\tscore over that of floats\n'
} > "$results.new"
# The score of floats: dense layers of 32 bits.
build_net floats '--type dense --bits 32'
numbers "$work/floats.x.npy" > "$work/y"
numbers "$data/x.npy" > "$work/x"
dense_score=$(score "$work/x" "$work/y")
build_net dense '--type dense --bits 8'
measure dense dense .25
for share in .5 .3 .2 .12 .08 .05; do
    sss="--type sss --share $share --bits 8" psm="--type psm --factors 1 --block 4 --share $share --bits 8"
    build_net "sss$share" "$sss"
    measure "sss$share" sss $share
    build_net "psm$share" "$psm"
    measure "psm$share" 'psm, blocks of 4' $share
    build_net "both$share" "$sss" "$psm"
    measure "both$share" 'wide sss, square psm' $share
done
mv "$results.new" "$results"
