#!/bin/sh
# CIFAR-10: trains cfg/cifar.cfg, approximates its 2048 x 2048 layer by every family at shares 0.2 and 0.1, fine-tunes,
# and evaluates on the 10,000 test images. Usage: bench/cifar.sh DIRECTORY, which holds train/CLASS/*.jpg and
# test/CLASS/*.jpg. Finished steps are kept in build/cifar and not repeated; the table goes to bench/results/cifar.tsv.
set -eu

[ $# = 1 ] && [ -d "$1/train" ] && [ -d "$1/test" ] || {
    echo "usage: bench/cifar.sh DIRECTORY with train/CLASS/*.jpg and test/CLASS/*.jpg" >&2
    exit 2
}
build=build
out=$build/cifar
layer=6              # the 2048 x 2048 layer of cfg/cifar.cfg
tune_batches=1560    # two passes over the training images
export OPENBLAS_NUM_THREADS=1  # Darknet's matrices are small: a second thread only waits (and the other core trains too)

# Darknet finds a label anywhere in a path, so the images are reached through a path of our own.
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

# train NAME CFG [WEIGHTS -clear]: writes $out/NAME.final and the seconds it took to $out/NAME.seconds.
train() {
    name=$1
    shift
    [ -f $out/$name.final ] && return
    echo "training $name, log in $out/$name.log" >&2
    start=$(date +%s)
    (ulimit -s 1024; exec $build/darknet classifier train $out/cifar.data "$@") > $out/$name.log 2>&1
    echo $(($(date +%s) - start)) > $out/$name.seconds
    mv $out/backup/$name.weights $out/$name.final
}

# Prints one value of a flat JSON object.
value() { sed -n "s/^.*\"$1\":[^0-9]*\([0-9.e+-]*\).*/\1/p" "$2" | head -n 1; }

# tune NAME TYPE SHARE. No name holds a point: Darknet cuts the names of its backups there.
tune() {
    name=$1 type=$2 share=$3
    [ -f $out/$name.json ] || {
        $build/structnet approx cfg/cifar.cfg $out/cifar.final --layer $layer --type $type --share $share \
            -o $out/$name --json > $out/$name.new
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
for percent in 20 10; do
    tune sss-$percent sss 0.$percent & first=$!
    tune psm-$percent psm 0.$percent
    wait $first
done

# row NET SHARE ERROR BYTES NAME
row() {
    percent() { awk "BEGIN { printf \"%.2f\", 100 * $(value "$1" "$2") }"; }
    before=$out/$5.before
    [ -f "$before" ] || before=$out/$5.after
    printf '%s\t%s\t%.3f\t%s\t%s\t%s\t%s\t%s\n' $1 $2 $3 $4 "$(percent top1 $before)" "$(percent top1 $out/$5.after)" \
        "$(percent top5 $out/$5.after)" "$(cat $out/$5.seconds)"
}

{
    sh bench/environment.sh
    echo "# command: bench/cifar.sh DIRECTORY"
    echo "# seconds: wall clock; the fine-tunings run two at a time"
    echo "# seeds: approx --seed 0; Darknet seeds its training from the clock, so a repetition differs by some tenths of a point"
    printf 'layer\tshare\trelative error\tbytes\ttop-1 before tuning\ttop-1\ttop-5\tseconds of training\n'
    row dense 1 0 $((4 * 2048 * 2048)) cifar
    for percent in 20 10; do
        for type in sss psm; do
            json=$out/$type-$percent.json
            row $type 0.$percent "$(value error $json)" "$(value bytes $json)" $type-$percent
        done
    done
} > bench/results/cifar.tsv.new
mv bench/results/cifar.tsv.new bench/results/cifar.tsv
cat bench/results/cifar.tsv
