#!/bin/sh
# Classifiers of trained nets by every type of approximation at every share. Usage: bench/heads.sh DIRECTORY, which holds
# NAME.weights.npy (outputs x inputs) and may hold NAME.bias.npy, NAME.x.npy (features) and NAME.y.npy (their classes). The
# tables and plots go to bench/results/head-NAME.*, what they say about a fifth of the bytes to bench/results/heads.tsv.
# Half of the features fit, the other half judges. Finished rows are kept: remove a table to measure it again.
set -eu

[ $# = 1 ] && ls "$1"/*.weights.npy > /dev/null 2>&1 || {
    echo "usage: bench/heads.sh DIRECTORY with NAME.weights.npy, and NAME.bias.npy, NAME.x.npy, NAME.y.npy" >&2
    exit 2
}
build=build
share=0.2
mkdir -p bench/results

for weights in "$1"/*.weights.npy; do
    name=$(basename "$weights" .weights.npy)
    set -- "$1" --matrix "$weights"
    [ -f "$1/$name.bias.npy" ] && set -- "$@" --bias "$1/$name.bias.npy"
    [ -f "$1/$name.x.npy" ] && set -- "$@" --features "$1/$name.x.npy" --holdout 0.5
    [ -f "$1/$name.x.npy" ] && [ -f "$1/$name.y.npy" ] && set -- "$@" --labels "$1/$name.y.npy"
    directory=$1
    shift
    $build/structnet sweep "$@" -j 2 -o "bench/results/head-$name"
    set -- "$directory"
done

{
    sh bench/environment.sh
    echo "# command: bench/heads.sh DIRECTORY; rows of head-*.tsv at share $share, and those of the dense matrix"
    printf 'head\ttype\tbytes\terror\toutput error\ttop-1\tseconds\n'
    for table in bench/results/head-*.tsv; do
        name=$(basename "$table" .tsv)
        awk -F '\t' -v OFS='\t' -v head="${name#head-}" -v share=$share '
            function number(x, format) { return x == "" ? "" : sprintf(format, x) }
            /^#/ || $1 == "type" { next }
            $2 + 0 == share || $1 ~ /^dense/ {
                print head, $1, $3, number($5, "%.3f"), number($6, "%.3f"), number(100 * $7, $7 == "" ? "" : "%.1f"), number($8, "%.0f")
            }' "$table"
    done
} > bench/results/heads.tsv.new
mv bench/results/heads.tsv.new bench/results/heads.tsv
cat bench/results/heads.tsv
