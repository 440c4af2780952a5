#!/bin/sh
# Times of convolutions with dense and structured matrices: bench/pixels.c says how they are measured. Usage: bench/pixels.sh
# BUILD [rounds], from the repository's root; make bench-pixels calls it. All of them go to bench/results/pixels-SET.tsv for the instruction
# set of the kernels, and e of each shape to bench/results/pixels-SET-e.tsv. One thread.
set -eu

build=$1
export OPENBLAS_NUM_THREADS=1
set=$("$build/structnet" --version | sed -n 's/^kernels //p')
results=bench/results/pixels-$set.tsv
{
    sh bench/environment.sh
    echo "# command: make bench-pixels"
    echo "# forward: one image; training: 16 images forward and backward; e: share of values times the time of Darknet's layer over the time"
    printf 'filters\tchannels\tpixels\tsize\tstride\tsubject\tshare\tmode\tus\tquartile 1\tquartile 3\te\n'
    while read -r filters channels side size; do
        echo "$filters x $channels, $side^2, size $size" >&2
        "$build/pixels" "$filters" "$channels" "$side" "$size" 1 .2 "${2:-15}" 2> /dev/null
    done << 'EOF'
24 96 56 1
32 192 28 1
64 384 14 1
576 96 14 1
960 160 7 1
320 960 7 1
512 512 16 1
144 24 56 1
192 32 28 1
64 64 56 3
128 128 28 3
256 256 14 3
512 512 7 3
EOF
} > "$results.new"
mv "$results.new" "$results"

{
    grep '^#' "$results"
    awk -F '\t' -v OFS='\t' '
        BEGIN { print "filters x inputs", "pixels", "mode", "dense us", "entries", "blocks of 4", "blocks of 8", "low rank" }
        /^#/ || $1 == "filters" { next }
        { key = $1 " x " $2 * $4 * $4 OFS $3 "^2" OFS $8; if ($6 == "dense") { order[++n] = key; us[key] = $9 } else e[key] = e[key] OFS $12 }
        END { for (i = 1; i <= n; i++) print order[i], us[order[i]] e[order[i]] }' "$results"
} > "bench/results/pixels-$set-e.tsv"
