#!/bin/sh
# How far floats are from others: the largest |a - b| / |b|, Euclidean, of vectors of N numbers. Usage: bench/mcu/difference.sh N A
# B.npy: A has nothing but float32, and of B as many vectors count as A has.
set -eu

floats() { od -An -v -w4 -t f4 "$@"; }
length=$(od -An -j 8 -N 2 -t u2 "$3" | tr -d ' ')
floats "$2" > "$2.txt"
[ -s "$2.txt" ] || { echo "bench/mcu/difference.sh: $2: no numbers" >&2; exit 1; }
tail -c +$((length + 11)) "$3" | floats | head -n "$(wc -l < "$2.txt")" | paste "$2.txt" - | awk -v n="$1" '
    NF != 2 || $1 != $1 + 0 { print "inf"; done = 1; exit }
    { d += ($1 - $2) ^ 2; b += $2 ^ 2 }
    NR % n == 0 { e = b > 0 ? sqrt(d / b) : d > 0; if (e > most) most = e; d = b = 0 }
    END { if (!done) printf "%.3g\n", most }'
