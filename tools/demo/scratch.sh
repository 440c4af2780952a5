#!/bin/sh
# Trains nets from scratch side by side: cfg/glyphs.cfg as it is, and the same with its connected layers as [sss] and as [psm] of
# a fifth of their bytes from the first step. Usage: tools/demo/scratch.sh BUILD [BATCHES], from the repository's root; the default
# is as many batches as cfg/glyphs.cfg says. Everything goes to BUILD/scratch.
set -eu

build=$1
out=$build/scratch
share=0.2
batches=${2:-$(sed -n 's/^max_batches=//p' cfg/glyphs.cfg)}
export OPENBLAS_NUM_THREADS=1 STRUCTNET_SEED=1

rm -rf "$out"
mkdir -p "$out"

# Prints one value of a JSON object that stands on lines of its own.
value() { sed -n "s/^.*\"$1\":[^0-9-]*\([0-9.e+-]*\).*/\1/p" "$2" | head -n 1; }

"$build/make_glyphs" -o "$out/glyphs" --seed 1
classes=$(wc -l < "$out/glyphs/labels.txt")
grep -v '^valid=' "$out/glyphs/glyphs.data" > "$out/train.data"
sed "s/^output=500/output=$classes/; s/^max_batches=.*/max_batches=$batches/" cfg/glyphs.cfg > "$out/dense.cfg"
"$build/structnet" info "$out/dense.cfg" > "$out/layers.txt"

# replaced TYPE: the cfg with each connected layer of m outputs and n inputs as a matrix of at most share m n floats. SSS: ten
# stages, and states for what their diagonal blocks leave. PSM: two factors, whose entries take 4 bytes and an index of 2.
replaced() {
    awk -v type="$1" -v share=$share '
        function keys(m, n,   values, states) {
            if (type == "psm") {
                values = int(share * m * n * 4 / 6 / 2)
                return "factors=2\ninner=" (m < n ? m : n) "\nnonzeros=" values "," values
            }
            values = share * m * n
            while (m * n / 10 + 1.8 * (states + 1) * (m + n) + 16 * (states + 1) ^ 2 <= values) states++
            return "stages=10\nstates=" states + 0
        }
        NR == FNR { if ($2 == "connected") { inputs[++n_layers] = $3; outputs[n_layers] = $4 } next }
        /^\[connected\]/ { print "[" type "]\n" keys(outputs[++layer], inputs[layer]); next }
        { print }' "$out/layers.txt" "$out/dense.cfg"
}
replaced sss > "$out/sss.cfg"
replaced psm > "$out/psm.cfg"

for name in dense sss psm; do
    (ulimit -s 1024; exec "$build/darknet" classifier train "$out/train.data" "$out/$name.cfg") 2> "$out/$name.err" > "$out/$name.log" || {
        tail -n 1 "$out/$name.err" >&2
        exit 1
    }
    mv "$out/glyphs/backup/$name.weights" "$out/$name.weights"
    "$build/structnet" eval "$out/$name.cfg" "$out/$name.weights" "$out/glyphs/glyphs.data" --json > "$out/$name.json"
done

{
    printf '%-6s %7s %7s %12s  %s\n' net top-1 top-5 'bytes' files
    for name in dense sss psm; do
        printf '%-6s %5.2f %% %5.2f %% %12s  %s\n' $name "$(value top1 "$out/$name.json" | awk '{ print 100 * $1 }')" \
            "$(value top5 "$out/$name.json" | awk '{ print 100 * $1 }')" \
            "$("$build/structnet" info "$out/$name.cfg" "$out/$name.weights" | awk '$1 == "total" { print $3 }')" "$out/$name.cfg .weights"
    done
    echo
    echo "trained from scratch, $batches batches each; top-1 and top-5: $(wc -l < "$out/glyphs/test.txt") images of faces that no training image shows"
} | tee "$out/table.txt"
