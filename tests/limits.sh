#!/bin/sh
# What an approximation of 1000 x 1280 may take with --effort normal: a minute on one core and 12 times the memory of the
# matrix, at any share; 14 times with features. Usage: tests/limits.sh BUILD, from the repository's root. Takes about eight
# minutes.
set -eu

structnet=$1/structnet
out=$1/limits
rows=1000 columns=1280 samples=500
most_seconds=60
rm -rf "$out"
mkdir -p "$out"

# array ROWS: sums of two uniform values.
array() {
    printf '\223NUMPY\1\0v\0%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': ($1, $columns), }"
    perl -e 'srand 1; for (1 .. $ARGV[0]) { print pack "f<*", map { (rand) + (rand) - 1 } 1 .. $ARGV[1] }' $1 $columns
}
array $rows > "$out/w.npy"
array $samples > "$out/x.npy"

# measure TYPE SHARE COPIES [FEATURES]: fails where that many copies of the matrix are exceeded.
measure() {
    most_kilobytes=$(($3 * rows * columns * 4 / 1024))
    start=$(date +%s) peak=0
    "$structnet" approx --matrix "$out/w.npy" ${4:+--features "$4"} --type $1 --share $2 > "$out/report" 2> "$out/errors" &
    while kill -0 $! 2> "$out/gone"; do
        now=$(awk '/^VmHWM/ { print $2 }' /proc/$!/status 2> "$out/gone" || true)
        [ -z "$now" ] || peak=$now
        sleep 0.02
    done
    wait $! || { cat "$out/errors" >&2; exit 1; }
    seconds=$(($(date +%s) - start))
    printf '%s\t%s\t%s\t%s\t%s\n' $1 $2 "${4:+$samples}" $seconds "$(awk "BEGIN { printf \"%.1f\", $3 * $peak / $most_kilobytes }")"
    [ $seconds -le $most_seconds ] || { echo "FAILED: more than $most_seconds s" >&2; exit 1; }
    [ "$peak" -gt 0 ] && [ "$peak" -le $most_kilobytes ] || { echo "FAILED: more than $most_kilobytes kB" >&2; exit 1; }
}

printf 'type\tshare\tfeatures\tseconds\tcopies\n'
export OPENBLAS_NUM_THREADS=1
for type in sss psm lowrank pruned; do
    for share in 0.02 0.2 0.5 0.9; do measure $type $share 12; done
    for share in 0.2 0.9; do measure $type $share 14 "$out/x.npy"; done
done
