#!/bin/sh
# Seconds of processor time that every type of approximation takes on one core, from 256 x 256 to 4096 x 9216. Usage:
# bench/sizes.sh W.npy [EFFORT [TYPE...]], a float32 matrix of at least 4096 x 9216 whose upper left parts are approximated
# at a tenth of the bytes; quick (default), normal or thorough; all types by default. The table goes to
# bench/results/sizes-EFFORT.tsv, a plot of it beside it. Finished rows are kept: remove them to measure them again.
set -eu

[ $# -ge 1 ] && [ -s "$1" ] || { echo "usage: bench/sizes.sh W.npy [quick|normal|thorough [TYPE...]]" >&2; exit 2; }
weights=$1 effort=${2:-quick}
[ $# -le 2 ] && types='pruned lowrank sss psm' || { shift 2; types=$*; }
build=build
share=0.1
table=bench/results/sizes-$effort.tsv
export OPENBLAS_NUM_THREADS=1
mkdir -p $build/sizes bench/results
part=$build/sizes/w.npy report=$build/sizes/report.json

# cut ROWS COLUMNS: the upper left part.
cut_part() {
    perl -e 'use strict;
        my ($from, $to, $rows, $columns) = @ARGV;
        open my $in, "<:raw", $from or die "$from: $!\n";
        read $in, my $start, 10;
        my $size = unpack "v", substr $start, 8;
        read $in, my $header, $size;
        my ($m, $n) = $header =~ /\x27<f4\x27.*False.*\(([0-9]+), *([0-9]+)\)/ or die "$from: expected float32 in C order\n";
        $m >= $rows && $n >= $columns or die "$from: expected at least $rows x $columns, found $m x $n\n";
        open my $out, ">:raw", $to or die "$to: $!\n";
        printf $out "\x93NUMPY\x01\x00v\x00%-117s\n",
            "{\x27descr\x27: \x27<f4\x27, \x27fortran_order\x27: False, \x27shape\x27: ($rows, $columns), }";
        for my $row (0 .. $rows - 1) {
            seek $in, 10 + $size + 4 * $n * $row, 0;
            read $in, my $values, 4 * $columns;
            print $out $values;
        }' "$weights" $part $1 $2
}

# measure COMMAND...: prints its seconds of processor time; $report gets what it prints.
measure() {
    perl -e 'my $report = shift;
        open my $out, ">&", \*STDOUT; open STDOUT, ">", $report or die "$report: $!\n";
        system(@ARGV) == 0 or exit 1;
        my @times = times;
        printf $out "%.2f\n", $times[2] + $times[3];' $report "$@"
}

value() { sed -n "s/^	\"$1\":[^0-9]*\([0-9.e+-]*\).*/\1/p" $report | head -n 1; }

if [ ! -s $table ]; then
    {
        sh bench/environment.sh
        echo "# command: bench/sizes.sh W.npy $effort; share $share; size = rows x columns x the smaller of both"
        printf 'rows\tcolumns\tsize\ttype\terror\tseconds\n'
    } > $table
fi
for size in 256x256 512x512 1024x1024 1024x2048 2048x2048 2048x4096 4096x4096 4096x9216; do
    rows=${size%x*} columns=${size#*x}
    cut_part $rows $columns
    for type in $types; do
        ! grep -q "^$rows	$columns	[0-9]*	$type	" $table || continue
        seconds=$(measure $build/structnet approx --matrix $part --type $type --share $share --effort $effort --json)
        printf '%s\t%s\t%s\t%s\t%.4f\t%.2f\n' $rows $columns $((rows * columns * rows)) $type \
            "$(value error)" $seconds >> $table
        tail -n 1 $table
    done
done

# One picture: gnuplot TERMINAL FILE.
draw() {
    gnuplot <<EOF
set terminal $1 size 640,480
set output '$2'
set datafile separator '\t'
set logscale xy
set grid
set key left top
set colorsequence podo
set format x '10^{%T}'
set xlabel 'rows x columns x the smaller of both'
set ylabel 'seconds of one core, $effort'
rows(type) = sprintf("< grep '\t%s\t' $table | sort -n -k 3", type)
plot rows('psm') using 3:6 with linespoints linewidth 1.5 title 'sparse product', \
    rows('sss') using 3:6 with linespoints linewidth 1.5 title 'SSS', \
    rows('lowrank') using 3:6 with linespoints linewidth 1.5 title 'low rank', \
    rows('pruned') using 3:6 with linespoints linewidth 1.5 title 'pruned', \
    [1e7:2e11] x / 5e9 with lines dashtype 2 linecolor 'gray' title '5 10^9 a second'
EOF
}
draw pngcairo bench/results/sizes-$effort.png
draw svg bench/results/sizes-$effort.svg
