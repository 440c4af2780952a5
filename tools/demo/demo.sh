#!/bin/sh
# The whole way once, on data made here: glyphs -> dense net -> SSS and PSM heads at share 0.2 -> fine-tuning -> table.
# Usage: tools/demo/demo.sh BUILD, from the repository's root. Everything goes to BUILD/demo.
set -eu

build=$1
out=$build/demo
share=0.2
tune_batches=2500
# Darknet's matrices here are small: a second BLAS thread only waits. The two fine-tunings take a core each instead.
export OPENBLAS_NUM_THREADS=1
start=$(date +%s)

rm -rf "$out"
mkdir -p "$out"

step() { printf '%3d s  %s\n' $(($(date +%s) - start)) "$*"; }

# Prints one value of a JSON object that stands on lines of its own.
value() { sed -n "s/^.*\"$1\":[^0-9-]*\([0-9.e+-]*\).*/\1/p" "$2" | head -n 1; }

# train NAME CFG [WEIGHTS]: log in NAME.log, a line of progress every eighth of the way.
train() {
    name=$1
    shift
    batches=$(sed -n 's/^max_batches=//p' "$1")
    # Darknet starts threads for every batch; small stacks make them cheaper. The images that judge the nets at the end take
    # no part in training.
    grep -v '^valid=' "$out/glyphs/glyphs.data" > "$out/$name.data"
    (ulimit -s 1024; exec "$build/darknet" classifier train "$out/$name.data" "$@") \
        2> "$out/$name.err" > "$out/$name.log" &
    pid=$!
    shown=0
    while kill -0 $pid 2> /dev/null; do
        sleep 1
        line=$(grep '^batch ' "$out/$name.log" | tail -n 1)
        batch=$(echo "$line" | cut -d' ' -f2)
        if [ $((${batch:-0} * 8 / batches)) -gt $shown ]; then
            shown=$((batch * 8 / batches))
            step "$name: batch $batch of $batches, $(echo "$line" | sed 's/.*\(loss [0-9.]*\).*/\1/')"
        fi
    done
    wait $pid || { tail -n 1 "$out/$name.err" >&2; exit 1; }
}

# Approximates the head, fine-tunes the whole net with a lower learning rate, evaluates.
compress() {
    type=$1
    "$build/structnet" approx "$out/dense.cfg" "$out/dense.weights" --type $type --share $share -o "$out/$type" \
        --json > "$out/$type.approx.json"
    step "$type: relative error of the matrix $(value error "$out/$type.approx.json")"
    mkdir -p "$out/tune"
    sed "s/^learning_rate=.*/learning_rate=0.02/; s/^max_batches=.*/max_batches=$tune_batches/" "$out/$type.cfg" \
        > "$out/tune/$type.cfg"
    mv "$out/tune/$type.cfg" "$out/$type.cfg"
    train $type "$out/$type.cfg" "$out/$type.weights"
    mv "$out/glyphs/backup/$type.weights" "$out/$type.weights"
    evaluate $type
}

evaluate() {
    "$build/structnet" eval "$out/$1.cfg" "$out/$1.weights" "$out/glyphs/glyphs.data" --json > "$out/$1.eval.json"
    step "$1: top-1 $(value top1 "$out/$1.eval.json") on unseen faces"
}

step "making glyphs"
"$build/make_glyphs" -o "$out/glyphs" --seed 1
classes=$(wc -l < "$out/glyphs/labels.txt")
step "training the dense net, $classes classes"
sed "s/^output=500/output=$classes/" cfg/glyphs.cfg > "$out/dense.cfg"
train dense "$out/dense.cfg"
mv "$out/glyphs/backup/dense.weights" "$out/dense.weights"

compress sss &
first=$!
evaluate dense
compress psm
wait $first

"$build/structnet" bench "$out/dense.cfg" "$out/dense.weights" "$out/sss.cfg" "$out/sss.weights" "$out/psm.cfg" \
    "$out/psm.weights" > "$out/heads.txt"
step "done"

echo
{
    printf '%-6s %7s %7s %11s %15s %8s %8s  %s\n' net top-1 top-5 'head bytes' 'multiply-adds' 'warm us' 'cold us' files
    for name in dense sss psm; do
        # The columns of heads.txt: type, bytes, multiply-adds, warm us, ratio, cold us, ratio, us of the net, cfg.
        printf '%-6s %5.2f %% %5.2f %% %11s %15s %8s %8s  %s\n' $name \
            "$(value top1 "$out/$name.eval.json" | awk '{ print 100 * $1 }')" \
            "$(value top5 "$out/$name.eval.json" | awk '{ print 100 * $1 }')" \
            $(awk -v cfg="$out/$name.cfg" 'index($0, cfg) { print $2, $3, $4, $6 }' "$out/heads.txt") "$out/$name.cfg .weights"
    done
    echo
    echo "top-1 and top-5: $(wc -l < "$out/glyphs/test.txt") images of faces that no training image shows"
    echo "pictures: $out/glyphs/contact.png"
} | tee "$out/table.txt"
