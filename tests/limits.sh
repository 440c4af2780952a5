#!/bin/sh
# What an approximation may take on one core. Of 1000 x 1280 with --effort normal a minute, at any share; of 4096 x 9216, the
# first connected layer of AlexNet, at a tenth of the bytes: with --effort quick a minute for low rank and one factor,
# three for two and five for SSS, with --effort normal twenty minutes. 12 times the memory of the matrix, 14 times with features.
# Usage: tests/limits.sh BUILD [large|small], from the repository's root. Takes about eight minutes for the small ones, an hour
# for the large ones.
set -eu

structnet=$1/structnet
out=$1/limits
which=${2:-all}
rm -rf "$out"
mkdir -p "$out"

# array ROWS COLUMNS: sums of two uniform values.
array() {
    printf '\223NUMPY\1\0v\0%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': ($1, $2), }"
    perl -e 'srand 1; for (1 .. $ARGV[0]) { print pack "f<*", map { (rand) + (rand) - 1 } 1 .. $ARGV[1] }' $1 $2
}

# matrix ROWS COLUMNS SAMPLES: what is measured from now on.
matrix() {
    rows=$1 columns=$2 samples=$3
    array $rows $columns > "$out/w.npy"
    array $samples $columns > "$out/x.npy"
}

# measure TYPE SHARE EFFORT SECONDS COPIES [FEATURES]: fails where it takes longer, or that many copies of the matrix are
# exceeded.
measure() {
    most_kilobytes=$(($5 * rows * columns * 4 / 1024))
    start=$(date +%s) peak=0
    "$structnet" approx --matrix "$out/w.npy" ${6:+--features "$6"} --type $1 --share $2 --effort $3 \
        > "$out/report" 2> "$out/errors" &
    while kill -0 $! 2> "$out/gone"; do
        now=$(awk '/^VmHWM/ { print $2 }' /proc/$!/status 2> "$out/gone" || true)
        [ -z "$now" ] || peak=$now
        sleep 0.02
    done
    wait $! || { cat "$out/errors" >&2; exit 1; }
    seconds=$(($(date +%s) - start))
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' $rows $1 $2 $3 "${6:+$samples}" $seconds \
        "$(awk "BEGIN { printf \"%.1f\", $5 * $peak / $most_kilobytes }")"
    [ $seconds -le $4 ] || { echo "FAILED: more than $4 s" >&2; exit 1; }
    [ "$peak" -gt 0 ] && [ "$peak" -le $most_kilobytes ] || { echo "FAILED: more than $most_kilobytes kB" >&2; exit 1; }
}

printf 'rows\ttype\tshare\teffort\tfeatures\tseconds\tcopies\n'
export OPENBLAS_NUM_THREADS=1
if [ $which != large ]; then
    matrix 1000 1280 500
    for type in sss psm lowrank pruned; do
        for share in 0.02 0.2 0.5 0.9; do measure $type $share normal 60 12; done
        for share in 0.2 0.9; do measure $type $share normal 60 14 "$out/x.npy"; done
    done
fi
if [ $which != small ]; then
    matrix 4096 9216 1
    for type in lowrank pruned; do measure $type 0.1 quick 60 12; done
    measure psm 0.1 quick 180 12
    measure sss 0.1 quick 300 12
    for type in sss psm lowrank pruned; do measure $type 0.1 normal 1200 12; done
fi
