#!/bin/sh
# Fails when a product has become slower against the dense one by more than a tenth: the best e of up to five runs is compared with
# the least of three runs in bench/results/guard-FAMILY-MODEL-SET.tsv, since every kind of processor has ratios of its own and so has
# every instruction set of the kernels. It is written where there is none. Usage: bench/guard.sh BUILD, from the repository's root;
# make bench-guard calls it.
set -eu

build=$1
environment=$(sh bench/environment.sh)
processor=$(echo "$environment" | sed -n 's/.* family \([0-9]*\) model \([0-9]*\),.*/\1-\2/p')
results=bench/results/guard-${processor:-unknown}-$("$build/structnet" --version | sed -n 's/^kernels //p').tsv
best=$build/guard.tsv
export OPENBLAS_NUM_THREADS=1
: > "$best"

# Merges a run into the best e of each subject, bits and mode, or into the least.
run() {
    "$build/kernels" 1000 1280 .2 32,8 21 | cut -f 3,4,8,12 | grep -v -e '^dense, ' -e loops -e GraphBLAS -e librsb |
        awk -F '\t' -v OFS='\t' -v best="$best" -v least="${1:-}" '
            BEGIN { while ((getline line < best) > 0) { split(line, f, FS); e[f[1] FS f[2] FS f[3]] = f[4] } }
            { key = $1 FS $2 FS $3; if (!(key in e) || (least ? $4 < e[key] : $4 > e[key])) e[key] = $4; order[++n] = key }
            END { for (i = 1; i <= n; i++) print order[i], e[order[i]] }' > "$best.new"
    mv "$best.new" "$best"
}

# Prints the subjects whose e is below .9 of the committed one.
slower() {
    awk -F '\t' 'NR == FNR { if (!/^#/) e[$1 FS $2 FS $3] = $4; next }
        { key = $1 FS $2 FS $3; if (key in e && $4 < .9 * e[key]) print key ": e " $4 ", committed " e[key] }' "$results" "$best"
}

if [ ! -f $results ]; then
    for i in 1 2 3; do run least; done
    { echo "$environment"; echo "# command: make bench-guard"; cat "$best"; } > $results
    echo "guard: wrote $results"
    exit
fi
for i in 1 2 3 4 5; do
    run
    if [ -z "$(slower)" ]; then
        echo "guard: $(wc -l < "$best") products are as fast against the dense one as in $results"
        exit
    fi
done
slower >&2
exit 1
