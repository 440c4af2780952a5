#!/bin/sh
# structnet compress on a trained net: a fifth and a tenth of the bytes by SSS and by PSM alone, then the smallest of both whose
# top-1 falls by at most half a point. Usage: bench/compress.sh NAME CFG WEIGHTS DATA [OPTION OF COMPRESS]...; SEEDS="0 1 2 3 4"
# takes means over so many seeds, and ASKED="--share=0.1" other budgets. What is computed stays in build/compress and is not
# repeated; the table of all nets that are there goes to bench/results/compress.tsv. One thread.
set -eu

[ $# -ge 4 ] && [ -f "$2" ] && [ -f "$3" ] && [ -f "$4" ] || {
    echo "usage: bench/compress.sh NAME CFG WEIGHTS DATA [OPTION]..." >&2
    exit 2
}
structnet=${STRUCTNET:-build/structnet}
out=build/compress
net=$1 cfg=$2 weights=$3 data=$4
shift 4
mkdir -p $out bench/results
export OPENBLAS_NUM_THREADS=1

# run ASKED TYPES [OPTION]...: one result for each seed, of which the net and the report stay too.
run() {
    asked=$1 types=$2
    shift 2
    for seed in ${SEEDS:-0}; do
        name=$out/$net/${asked#--}/$types/$seed
        [ ! -f "$name.json" ] || continue
        mkdir -p "${name%/*}"
        "$structnet" compress "$cfg" "$weights" "$data" "$asked" --types "$types" --bits 8,4 --seed "$seed" -o "$out/$net/net" "$@" \
            --json > "$out/$net/new.json"
        for file in cfg weights report.html report.tsv; do cp "$out/$net/net.$file" "$name.$file"; done
        mv "$out/$net/new.json" "$name.json"
    done
}
for asked in ${ASKED:---share=0.2 --share=0.1}; do
    run "$asked" sss "$@"
    run "$asked" psm "$@"
done
[ -n "${ASKED-}" ] || run --max-drop=0.5 sss,psm "$@"

value() { sed -n "s/^.*\"$1\":[^0-9-]*\([0-9.e+-]*\).*/\1/p" "$2" | tail -n 1; }
layers() { sed -n 's/^.*"type":[^"]*"\(.*\)".*/\1/p; s/^.*"bits":[^0-9]*\([0-9]*\).*/\1 bits/p' "$1" | paste -s -d ' ' | sed 's/bits \([^ ]\)/bits, \1/g'; }
{
    sh bench/environment.sh
    echo "# command: bench/compress.sh NAME CFG WEIGHTS DATA; top-1 in per cent, drop in points, means over seeds; layers: of the first seed"
    printf 'net\tasked\ttypes\tlayers\tshare of bytes\tdense top-1\ttop-1\tdrop\tseeds\ttest images\n'
    for first in $out/*/*/*/0.json; do
        types=${first%/*} asked=${first%/*/*}
        name=${asked%/*}
        for json in "$types"/*.json; do
            echo "$(value bytes "$json") $(value dense_bytes "$json") $(value dense_top1 "$json") $(value top1 "$json")"
        done | awk -v row="${name##*/}	${asked##*/}	${types##*/}	$(layers "$first")" -v images="$(value test_images "$first")" '
            { share += $1 / $2; dense += 100 * $3; top1 += 100 * $4 }
            END { printf "%s\t%.4f\t%.2f\t%.2f\t%.2f\t%d\t%d\n", row, share / NR, dense / NR, top1 / NR, (dense - top1) / NR, NR, images }'
    done
} > bench/results/compress.tsv.new
mv bench/results/compress.tsv.new bench/results/compress.tsv
cat bench/results/compress.tsv
