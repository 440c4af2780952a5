#!/bin/sh
# Few bits at few bytes: heads of trained nets, each over four random halves of the features that fit while the other half
# judges. Usage: bench/splits.sh DIRECTORY, which holds NAME.weights.npy, NAME.bias.npy, NAME.x.npy (features) and NAME.y.npy
# (their classes). The table of means goes to bench/results/splits.tsv; drop is that of top-1, in points, from the dense head's.
set -eu

[ $# = 1 ] && ls "$1"/*.x.npy > /dev/null 2>&1 || {
    echo "usage: bench/splits.sh DIRECTORY with NAME.weights.npy, NAME.bias.npy, NAME.x.npy, NAME.y.npy" >&2
    exit 2
}
export OPENBLAS_NUM_THREADS=1
table=bench/results/splits.tsv
report=build/splits.json
mkdir -p bench/results

# mean HEAD TYPE BITS [SHARE]: prints one row; the dense matrix has no share.
mean() {
    for seed in 0 1 2 3; do
        build/structnet approx --matrix "$directory/$1.weights.npy" --bias "$directory/$1.bias.npy" \
            --features "$directory/$1.x.npy" --labels "$directory/$1.y.npy" --holdout 0.5 --seed $seed \
            --type $2 --bits $3 ${4:+--share $4} --json > $report
        tr -d '\n\t' < $report
        echo
    done | awk -v OFS='\t' -v head="$1" -v type="$2" -v bits="$3" '
        function value(name,   text) {
            if (!match($0, "\"" name "\":[-+.e0-9]+")) { print name " is missing: " $0 > "/dev/stderr"; exit 1 }
            text = substr($0, RSTART, RLENGTH)
            sub(/.*:/, "", text)
            return text
        }
        { share += value("share"); error += value("output_error"); drop += 100 * (value("dense_top1") - value("top1")); madds += value("multiply_adds") }
        END {
            print head, type, bits, sprintf("%.3f", share / NR), sprintf("%.0f", madds / NR), sprintf("%.3f", error / NR),
                sprintf("%.1f", drop / NR)
        }'
}

directory=$1
{
    sh bench/environment.sh
    echo "# command: bench/splits.sh DIRECTORY; means over 4 random halves"
    printf 'head\ttype\tbits\tshare of bytes\tmultiply-adds\toutput error\tdrop\n'
    for features in "$directory"/*.x.npy; do
        head=$(basename "$features" .x.npy)
        for share in 0.03 0.05 0.1; do
            for bits in 1 2 4; do mean "$head" pruned $bits $share; done
            [ $share = 0.1 ] || mean "$head" psm 4 $share
        done
        for bits in 2 3 4; do mean "$head" dense $bits; done
    done
} > $table.new
mv $table.new $table
cat $table
