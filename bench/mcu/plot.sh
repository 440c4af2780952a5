#!/bin/sh
# Draws NAME.png and NAME.svg from a table of bench/mcu/mcu.sh: instructions of one run against bytes of flash, a picture for each
# target. Usage: bench/mcu/plot.sh TABLE NAME
set -eu

table=$1 name=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A file of "flash instructions" for each target and net.
awk -F '\t' -v out="$work" '!/^#/ && $1 != "net" { print $4 / 1024, $3 > (out "/" $2 "." $1) }' "$table"
nets=$(awk -F '\t' '!/^#/ && $1 != "net" && !seen[$1]++ { print $1 }' "$table")

# Of each net one colour; of floats a ring, of integers a disk.
draw() {
    {
        echo "$1; set output '$name.$2'; set multiplot layout 2,3; set logscale xy; set xrange [16:1024]; set yrange [1e4:5e7]; set grid"
        echo "set xtics 4;  set format y '10^{%L}'; set xlabel 'flash, KB'; set ylabel 'instructions'"
        echo "set key below; set pointsize 1.2"
        for target in m0 m3 m4 m7 m55 rv32; do
            echo "set title '$target'"
            printf 'plot NaN notitle'
            color=0
            for net in $nets; do
                case $net in
                *-float) point=6 ;;
                *) point=7 color=$((color + 1)) ;;
                esac
                [ ! -f "$work/$target.$net" ] ||
                    printf ", '%s' with points pointtype %s linecolor %s title '%s'" "$work/$target.$net" $point $color "$net"
            done
            echo
        done
    } | gnuplot
}
draw "set terminal pngcairo size 1500,1000" png
draw "set terminal svg size 1500,1000" svg
