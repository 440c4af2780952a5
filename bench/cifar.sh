#!/bin/sh
# CIFAR-10: trains cfg/cifar.cfg, approximates its 2048 x 2048 layer by a fifth of the values in every family, each of 32, 8
# and 4 bits, fine-tunes, and evaluates on the 10,000 test images. Usage: bench/cifar.sh DIRECTORY, which holds train/CLASS/*.jpg and
# test/CLASS/*.jpg. Finished steps are kept in build/cifar and not repeated; the table goes to bench/results/cifar.tsv.
set -eu

[ $# = 1 ] && [ -d "$1/train" ] && [ -d "$1/test" ] || {
    echo "usage: bench/cifar.sh DIRECTORY with train/CLASS/*.jpg and test/CLASS/*.jpg" >&2
    exit 2
}
build=build
out=$build/cifar
layer=6              # the 2048 x 2048 layer of cfg/cifar.cfg
values=$((2048 * 2048 / 5))
tune_batches=1560    # two passes over the training images
export OPENBLAS_NUM_THREADS=1  # Darknet's matrices are small: a second thread only waits (and the other core trains too)

mkdir -p $out/backup bench/results
ln -sfn "$(cd "$1" && pwd)" $out/data
find -L $out/data/train -name '*.jpg' | sort > $out/train.txt
find -L $out/data/test -name '*.jpg' | sort > $out/test.txt
ls $out/data/train > $out/labels.txt
cat > $out/cifar.data <<EOF
classes=10
train=$out/train.txt
valid=$out/test.txt
labels=$out/labels.txt
backup=$out/backup
top=5
EOF
grep -v '^valid=' $out/cifar.data > $out/train.data  # the seconds are those of training alone

# train NAME CFG [WEIGHTS -clear]: writes $out/NAME.final and the seconds it took to $out/NAME.seconds.
train() {
    name=$1
    shift
    [ -f $out/$name.final ] && return
    echo "training $name, log in $out/$name.log" >&2
    start=$(date +%s)
    (ulimit -s 1024; exec $build/darknet classifier train $out/train.data "$@") > $out/$name.log 2>&1
    echo $(($(date +%s) - start)) > $out/$name.seconds
    mv $out/backup/$name.weights $out/$name.final
}

# Prints one value of a flat JSON object.
value() { sed -n "s/^.*\"$1\":[^0-9]*\([0-9.e+-]*\).*/\1/p" "$2" | head -n 1; }

# tune TYPE BITS
tune() {
    name=$1-$2
    [ -f $out/$name.json ] || {
        $build/structnet approx cfg/cifar.cfg $out/cifar.final --layer $layer --type $1 --bits $2 \
            --params $values -o $out/$name --json > $out/$name.new
        mv $out/$name.new $out/$name.json
    }
    $build/structnet eval $out/$name.cfg $out/$name.weights $out/cifar.data --json > $out/$name.before
    mkdir -p $out/tune
    sed "s/^learning_rate=0.02$/learning_rate=0.005/; s/^max_batches=.*/max_batches=$tune_batches/" $out/$name.cfg \
        > $out/tune/$name.cfg
    train $name $out/tune/$name.cfg $out/$name.weights -clear
    $build/structnet eval $out/$name.cfg $out/$name.final $out/cifar.data --json > $out/$name.after
}

train cifar cfg/cifar.cfg
$build/structnet eval cfg/cifar.cfg $out/cifar.final $out/cifar.data --json > $out/cifar.after

# Two at a time, one per core.
for bits in 32 8 4; do
    tune sss $bits & first=$!
    tune psm $bits
    wait $first
done

# row LAYER BITS ERROR BYTES NAME
row() {
    percent() { awk "BEGIN { printf \"%.2f\", 100 * $(value top1 "$1") }"; }
    before=$out/$5.before
    [ -f "$before" ] || before=$out/$5.after
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' $1 $2 "$(awk "BEGIN { printf \"%.3f\", $4 / (4 * 2048 * 2048) }")" \
        "$(awk "BEGIN { printf \"%.3f\", $3 }")" "$(percent "$before")" "$(percent $out/$5.after)" "$(cat $out/$5.seconds)"
}

{
    sh bench/environment.sh
    echo "# command: bench/cifar.sh DIRECTORY"
    echo "# seconds: wall clock; the fine-tunings run two at a time"
    echo "# seeds: approx --seed 0; Darknet seeds its training from the clock, so a repetition differs by some tenths of a point"
    printf 'layer\tbits\tshare of bytes\trelative error\ttop-1 before tuning\ttop-1\tseconds of training\n'
    row dense 32 0 $((4 * 2048 * 2048)) cifar
    for bits in 32 8 4; do
        for type in sss psm; do
            json=$out/$type-$bits.json
            row $type $bits "$(value error $json)" "$(value bytes $json)" $type-$bits
        done
    done
} > bench/results/cifar.tsv.new
mv bench/results/cifar.tsv.new bench/results/cifar.tsv
cat bench/results/cifar.tsv
