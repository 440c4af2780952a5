#!/bin/sh
# Draws NAME.png and NAME.svg from a table of bench/kernels.sh: e against the share of values for 1000 x 1280 and float values, of one vector cold
# and warm and of a batch in training. Usage: bench/kernels_plot.sh TABLE NAME
set -eu

table=$1 name=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A file of "share e" for each mode and subject.
awk -F '\t' -v out="$work" '
    /^#/ || $1 != 1000 || $2 != 1280 || $4 != 32 { next }
    { print $6, $12 > (out "/" $8 "." $3) }' "$table"

draw() {
    {
        echo "$1; set output '$name.$2'; set multiplot layout 1,3; set logscale x; set yrange [0:*]; set xrange [.04:.6]; set grid"
        echo "set key below; set xlabel 'share of values'; set ylabel 'e'; set xtics (.05, .1, .2, .5)"
        for mode in cold warm training; do
            echo "set title '$mode'"
            printf 'plot '
            color=0
            for subject in 'low rank' 'sss, 2 stages' 'sss, 10 stages' 'sss, 50 stages' 'sss, 250 stages' 'psm, index 16' \
                'psm, blocks of 4' 'psm, blocks of 8'; do
                color=$((color + 1))
                printf "'%s' using 1:2 with linespoints linetype %s title '%s', " "$work/$mode.$subject" $color "$subject"
            done
            echo "1 with lines dashtype 2 linecolor 'gray' title 'dense'"
        done
    } | gnuplot
}
draw "set terminal pngcairo size 1500,620" png
draw "set terminal svg size 1500,620" svg
