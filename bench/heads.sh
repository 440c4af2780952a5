#!/bin/sh
# Classifiers of trained nets by every type of approximation in every number of bits at every share. Usage: bench/heads.sh DIRECTORY, which holds
# NAME.weights.npy (outputs x inputs) and may hold NAME.bias.npy, NAME.x.npy (features) and NAME.y.npy (their classes). The
# tables and plots go to bench/results/head-NAME.*. bench/results/heads.tsv has, of a twentieth and a tenth of the bytes, every
# type in the number of bits of least error (of the outputs where there are features), and the dense matrix in all of them.
# Half of the features fit, the other half judges. Finished rows are kept: remove a table to measure it again.
set -eu

[ $# = 1 ] && ls "$1"/*.weights.npy > /dev/null 2>&1 || {
    echo "usage: bench/heads.sh DIRECTORY with NAME.weights.npy, and NAME.bias.npy, NAME.x.npy, NAME.y.npy" >&2
    exit 2
}
build=build
mkdir -p bench/results

for weights in "$1"/*.weights.npy; do
    name=$(basename "$weights" .weights.npy)
    set -- "$1" --matrix "$weights"
    [ -f "$1/$name.bias.npy" ] && set -- "$@" --bias "$1/$name.bias.npy"
    [ -f "$1/$name.x.npy" ] && set -- "$@" --features "$1/$name.x.npy" --holdout 0.5
    [ -f "$1/$name.x.npy" ] && [ -f "$1/$name.y.npy" ] && set -- "$@" --labels "$1/$name.y.npy"
    directory=$1
    shift
    $build/structnet sweep "$@" --shares .03,.05,.1,.2 --bits 32,8,4,2,1 -j 2 -o "bench/results/head-$name"
    set -- "$directory"
done

{
    sh bench/environment.sh
    echo "# command: bench/heads.sh DIRECTORY; of head-*.tsv the best number of bits of a type at a share, and the dense matrix"
    printf 'head\tshare\ttype\tbits\tbytes\tmultiply-adds\terror\toutput error\ttop-1\tus\tseconds\n'
    for table in bench/results/head-*.tsv; do
        name=$(basename "$table" .tsv)
        awk -F '\t' -v OFS='\t' -v head="${name#head-}" '
            function number(x, format) { return x == "" ? "" : sprintf(format, x) }
            function row() {
                return head OFS $3 OFS $1 OFS $2 OFS $4 OFS $5 OFS number($6, "%.3f") OFS number($7, "%.3f") OFS \
                    number(100 * $8, $8 == "" ? "" : "%.1f") OFS number($10, "%.1f") OFS number($9, "%.0f")
            }
            /^#/ || $1 == "type" || $4 == "" { next }
            $1 == "dense" { dense[++n_dense] = row(); next }
            $3 != .05 && $3 != .1 { next }
            {
                i = $3 OFS $1
                error = ($7 == "" ? $6 : $7) + 0
                if (!(i in best)) order[++n] = i
                if (!(i in best) || error < least[i]) { best[i] = row(); least[i] = error }
            }
            END {
                for (s = 1; s <= 2; s++)
                    for (i = 1; i <= n; i++) if (order[i] ~ (s == 1 ? "^0.05\t" : "^0.1\t")) print best[order[i]]
                for (i = 1; i <= n_dense; i++) print dense[i]
            }' "$table"
    done
} > bench/results/heads.tsv.new
mv bench/results/heads.tsv.new bench/results/heads.tsv
cat bench/results/heads.tsv
