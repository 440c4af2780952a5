#!/bin/sh
# structnet compress on a whole net, its convolutions included: sparse matrices of a few densities, in entries and in blocks of
# rows, as fitted and with --tune layers, beside the net as it was and with all entries in few bits. Usage: bench/whole.sh NAME CFG
# WEIGHTS DATA [OPTION OF COMPRESS]...; FORMS="0.2/1/4 0.3/4/8" asks for other parts of the entries / rows of a block / bits.
# What is computed stays in build/whole and is not repeated; the table of all nets that are there goes to bench/results/whole.tsv.
# One thread. Images a second are of one image at a time; "faster" is over the net as it was in the same run.
set -eu

[ $# -ge 4 ] && [ -f "$2" ] && [ -f "$3" ] && [ -f "$4" ] || {
    echo "usage: bench/whole.sh NAME CFG WEIGHTS DATA [OPTION]..." >&2
    exit 2
}
structnet=${STRUCTNET:-build/structnet}
out=build/whole
net=$1 cfg=$2 weights=$3 data=$4
shift 4
mkdir -p "$out/$net" bench/results
export OPENBLAS_NUM_THREADS=1

for form in ${FORMS:-0.2/1/4 0.3/1/4 0.3/4/4 0.3/4/8}; do
    part=${form%%/*} bits=${form##*/}
    block=${form#*/} block=${block%/*}
    for tune in none layers; do
        name=$out/$net/$part-$block-$bits-$tune
        [ ! -f "$name.json" ] || continue
        [ "$block" = 1 ] && rows= || rows="--block $block"
        # shellcheck disable=SC2086 # the words of an option
        "$structnet" compress "$cfg" "$weights" "$data" --layers all --share 1 --types pruned --parts "$part" $rows --bits "$bits" \
            --tune "$tune" -o "$out/$net/net" "$@" --json > "$out/$net/new.json"
        for file in cfg weights report.html report.tsv; do cp "$out/$net/net.$file" "$name.$file"; done
        mv "$out/$net/new.json" "$name.json"
    done
done

# nets TSV: name, bytes, multiply-adds, images/s and top-1 of the nets of a report.
nets() { sed -n 's/^# net \(.*\): \([0-9]*\) bytes, \([0-9]*\) multiply-adds, \([0-9.]*\) images.s, top-1 \([0-9.]*\)$/\1	\2	\3	\4	\5/p' "$1"; }
{
    sh bench/environment.sh
    echo "# command: bench/whole.sh NAME CFG WEIGHTS DATA; shares are of the whole net; top-1 in per cent, drop in points"
    printf 'net\tform\ttuned\tbytes\tmultiply-adds\tfaster\ttop-1\tdrop\n'
    for report in "$out"/*/*-*.report.tsv; do
        name=${report%.report.tsv} net=${report#"$out"/}
        nets "$report" | awk -F '\t' -v net="${net%%/*}" -v name="${name##*/}" '
            BEGIN {
                OFS = "\t"
                split(name, f, "-")
                form = f[1] " of the entries, " (f[2] > 1 ? "blocks of " f[2] ", " : "") f[3] " bits"
            }
            NR == 1 { bytes = $2; madds = $3; rate = $4; top1 = $5 }
            { print net, ($1 == "this net" ? form : $1), (NR == 1 || f[4] == "none" ? "no" : "yes"), sprintf("%.3f", $2 / bytes),
                sprintf("%.3f", $3 / madds), sprintf("%.2f", $4 / rate), sprintf("%.2f", 100 * $5), sprintf("%.2f", 100 * (top1 - $5)) }'
    done | awk -F '\t' '!seen[$1, $2, $3]++' | sort -t '	' -k 1,1 -k 4,4gr -k 3,3
} > bench/results/whole.tsv.new
mv bench/results/whole.tsv.new bench/results/whole.tsv
cat bench/results/whole.tsv
