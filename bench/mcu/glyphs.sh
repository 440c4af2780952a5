#!/bin/sh
# The SSS and PSM nets of make demo in integers, each exported whole: top-1 of all test images on the host, not more than .3 points
# below that of floats, and the first of them on a Cortex-M4 and a Cortex-M7 (run.sh), where every score has to have the host's
# bits. Usage: bench/mcu/glyphs.sh BUILD DEMO IMAGES, from the repository's root: DEMO is BUILD/demo of make demo, IMAGES how many
# the emulators get. Prints a table, which with all images goes to bench/results/glyphs.tsv where there is none.
set -eu

[ $# = 3 ] && [ -f "$2/table.txt" ] || {
    echo 'usage: glyphs.sh BUILD DEMO IMAGES, after make demo' >&2
    exit 2
}
build=$1 demo=$2 images=$3
work=$build/mcu/glyphs
table=$work/table.tsv
results=bench/results/glyphs.tsv
mkdir -p "$work"
export OPENBLAS_NUM_THREADS=1

fail() {
    echo "bench/mcu/glyphs.sh: $*" >&2
    exit 1
}

# The number under a key of a JSON object.
value() { sed -n "s/.*\"$1\":[[:space:]]*\([-+.0-9e]*\).*/\1/p" "$2"; }

# The share of test images whose first largest score is that of their class: top1 OUTPUTS, int16.
top1() {
    awk 'NR == FNR { class[$1] = NR; n = NR; next } { split($0, path, "/"); for (i in path) if (path[i] in class) print class[path[i]] }' \
        "$demo/glyphs/labels.txt" "$demo/glyphs/test.txt" > "$work/classes"
    od -An -v -w$((2 * $(wc -l < "$demo/glyphs/labels.txt"))) -t d2 "$1" | paste "$work/classes" - | awk '
        { best = 2; for (i = 3; i <= NF; i++) if ($i > $best) best = i; right += best == $1 + 1 }
        END { print right / NR }'
}

# As many training images as test images say what ranges numbers take: export takes every second image for that.
n_test=$(wc -l < "$demo/glyphs/test.txt")
n_train=$(wc -l < "$demo/glyphs/train.txt")
awk -v n="$((n_train / n_test))" 'NR % n == 0' "$demo/glyphs/train.txt" | head -n "$n_test" | paste -d '\n' - "$demo/glyphs/test.txt" > "$work/images.txt"
${CC:-gcc} -O2 bench/mcu/every_second.c -o "$work/every_second"

# measure NAME: a row of the table.
measure() {
    net=$work/$1
    mkdir -p "$net"
    "$build/structnet" export "$demo/$1.cfg" "$demo/$1.weights" --images "$work/images.txt" --vectors --json -o "$net/net" > "$net/export.json"
    n_inputs=$(value inputs "$net/export.json") n_outputs=$(value outputs "$net/export.json")
    "$work/every_second" "$n_inputs" < "$net/net.inputs" | head -c $((images * n_inputs)) > "$net/inputs"
    "$work/every_second" $((2 * n_outputs)) < "$net/net.outputs" > "$net/outputs"
    float=$(value top1 "$demo/$1.eval.json") integer=$(top1 "$net/outputs")
    awk -v f="$float" -v i="$integer" 'BEGIN { exit !(i >= f - .003) }' || fail "$1: top-1 $integer, of floats $float, expected at most .003 less"
    head -c $((2 * images * n_outputs)) "$net/outputs" > "$net/expected"
    for target in m4 m7; do
        row=$(TIMEOUT=7200 sh bench/mcu/run.sh "$build/mcu/build" $target "$net" "$net/inputs" "$net/$target.outputs")
        cmp -s "$net/$target.outputs" "$net/expected" || fail "$1 on $target: scores differ from the host's"
        [ $target = m7 ] || first=$row
    done
    echo "$first" | awk -F '\t' -v OFS='\t' -v net="$1" -v float="$float" -v integer="$integer" -v images="$images" \
        -v error="$(value error "$net/export.json")" -v second="$(echo "$row" | cut -f 2)" \
        '{ printf "%s\t%.4f\t%.4f\t%.3g\t%d\t%d\t%d\t%d\t%d\n", net, float, integer, error, $3, $4, $2, second, images }' >> "$table"
}

printf 'net\ttop-1 of floats\ttop-1 of integers\terror\tflash\tRAM\tinstructions, M4\tinstructions, M7\timages on both\n' > "$table"
for name in sss psm; do measure $name; done
cat "$table"
[ "$images" -ge "$n_test" ] && [ ! -f "$results" ] || exit 0
{
    sh bench/environment.sh
    echo "# command: bench/mcu/glyphs.sh BUILD DEMO IMAGES"
    cat "$table"
} > "$results.new"
mv "$results.new" "$results"
