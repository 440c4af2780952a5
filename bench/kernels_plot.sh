#!/bin/sh
# Draws NAME.png and NAME.svg from a table of bench/kernels.sh: e against the share of values, of float values and of 8 bits, one vector cold and
# warm, and of a batch in training. Usage: bench/kernels_plot.sh TABLE NAME
set -eu

table=$1 name=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A file of "share e" for each mode, number of bits and subject, of 1000 x 1280.
awk -F '\t' -v out="$work" '
    /^#/ || $1 != 1000 || $2 != 1280 || $3 ~ /loops|^dense/ { next }
    { print $6, $12 > (out "/" $8 "." $4 "." $3) }' "$table"

draw() {
    {
        echo "$1; set output '$name.$2'; set multiplot layout 1,3; set logscale x; set yrange [0:*]; set key below; set grid"
        echo "set xlabel 'share of values'; set ylabel 'e'; set xtics (.05, .1, .2, .5)"
        for panel in cold:32 warm:32 training:32; do
            mode=${panel%:*} bits=${panel#*:}
            echo "set title '$mode'"
            printf 'plot '
            for file in "$work/$mode.$bits."*; do
                printf "'%s' using 1:2 with linespoints title '%s', " "$file" "${file##*.}"
            done
            echo "1 with lines dashtype 2 linecolor 'gray' title 'dense'"
        done
    } | gnuplot
}
draw "set terminal pngcairo size 1500,620" png
draw "set terminal svg size 1500,620" svg
