#!/bin/sh
# Times of products with dense and structured matrices: bench/kernels.c says how they are measured. Usage: bench/kernels.sh
# BUILD [all|quick], from the repository's root; make bench calls it. All of them go to bench/results/kernels-SET.tsv for the instruction
# set of the kernels, with plots .png and .svg; quick ones, of one shape and one share, to the terminal. One thread unless
# OPENBLAS_NUM_THREADS says more.
set -eu

build=$1
export OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
heading='rows\tcolumns\tsubject\tbits\tshare\tvalues\tbytes\tmode\tus\tquartile 1\tquartile 3\te\n'

if [ "${2:-all}" = quick ]; then
    { printf "$heading"; "$build/kernels" 1000 1280 .2 32,8 15; } |
        awk -F '\t' '{ printf "%-26s %5s %-9s %10s %7s\n", $3, $4, $8, $9, $12 }'
    exit
fi

mkdir -p bench/results
set=$("$build/structnet" --version | sed -n 's/^kernels //p')
results=bench/results/kernels-$set.tsv
{
    sh bench/environment.sh
    echo "# command: make bench"
    echo "# cold: copies take turns, more than the last cache holds; warm: one again and again; batch: 128 vectors forward; training: and back"
    echo "# e: share of values times the time of the fastest dense float product over the time"
    printf "$heading"
    for columns in 512 1280 4096; do
        echo "1000 x $columns" >&2
        "$build/kernels" 1000 $columns .05,.1,.2,.5 32,8 31
        "$build/kernels" 1000 $columns .2 4,2,1 31
    done
    echo "4096 x 9216" >&2
    "$build/kernels" 4096 9216 .05,.1,.2,.5 32 9
    "$build/kernels" 4096 9216 .2 8,4 9
} > $results.new
mv $results.new $results
sh bench/kernels_plot.sh $results bench/results/kernels-$set

# A row for each subject and number of bits at a share of .2: times for 1000 x 1280, and e for the other shapes.
{
    grep '^#' $results
    printf 'subject\tbits\tcold us\twarm us\ttraining us\te cold\te warm\te training\te cold 4096\te warm 4096\te cold 4096x9216\n'
    awk -F '\t' -v OFS='\t' '
        /^#/ || $1 == "rows" || $5 != .2 || $3 ~ /index (1|4|8)$/ { next }
        {
            key = $3 OFS $4
            if ($1 == 1000 && !(key in seen)) { order[++n] = key; seen[key] = 1 }
            if ((key, $1 "x" $2, $8) in us) next # the dense ones come with every number of bits
            us[key, $1 "x" $2, $8] = $9
            e[key, $1 "x" $2, $8] = $12
        }
        END {
            for (i = 1; i <= n; i++) {
                k = order[i]; a = "1000x1280"; b = "1000x4096"; c = "4096x9216"
                if (k ~ /^dense, /) { if (k in dense) continue; dense[k] = 1 }
                print k, us[k, a, "cold"], us[k, a, "warm"], us[k, a, "training"], e[k, a, "cold"], e[k, a, "warm"],
                    e[k, a, "training"], e[k, b, "cold"], e[k, b, "warm"], e[k, c, "cold"]
            }
        }' $results
} > bench/results/speed-$set.tsv
