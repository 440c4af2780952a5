#!/bin/sh
# PSM fits of two factors and double sparse factorisation (bench/double_sparse.py) at equal nonzeros, back to back on one
# core. Usage: bench/double_sparse.sh [EFFORT ROUNDS] MATRIX.npy..., EFFORT normal and ROUNDS 40 unless given. Seconds are
# those of the processor. The table goes to bench/results/double-sparse-EFFORT.tsv.
set -eu

export OPENBLAS_NUM_THREADS=1
effort=normal rounds=40
case "${1:-}" in quick | normal | thorough) effort=$1 rounds=$2; shift 2 ;; esac
[ $# -gt 0 ] || { echo "usage: bench/double_sparse.sh [EFFORT ROUNDS] MATRIX.npy..." >&2; exit 2; }
table=bench/results/double-sparse-$effort.tsv
mkdir -p bench/results
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    sh bench/environment.sh
    echo "# command: bench/double_sparse.sh $effort $rounds; double sparse factorisation by $rounds rounds"
    printf 'matrix\tdensity\terror\tseconds\ttheir error\ttheir seconds\n'
    for matrix in "$@"; do
        for density in 0.1 0.2 0.5; do
            count=$(/usr/bin/python3 -c 'import sys, numpy
print(int(numpy.load(sys.argv[1], mmap_mode="r").size * float(sys.argv[2])))' "$matrix" $density)
            sh -c '"$@" > "$0"; times' "$work/report" build/structnet approx --matrix "$matrix" --type psm --factors 2 \
                --params "$count" --effort $effort --json > "$work/times"
            error=$(grep -o '"error":[^,]*' "$work/report" | head -n 1 | sed 's/.*://')
            seconds=$(awk 'NR == 2 { split($1, t, /[ms]/); print 60 * t[1] + t[2] }' "$work/times")
            theirs=$(/usr/bin/python3 bench/double_sparse.py "$matrix" $density --rounds "$rounds")
            printf '%s\t%s\t%.4f\t%.1f\t%s\n' "$(basename "$matrix" .npy)" $density "$error" "$seconds" "$theirs"
        done
    done
} > "$work/table"
mv "$work/table" "$table"
cat "$table"
