#!/bin/sh
# Images a second in training cfg/cifar.cfg by stock Darknet, built by its own Makefile, and by ours, with its 2048 x 2048 layer dense
# and by a fifth of the values in every family. Usage: bench/training.sh DIRECTORY, which holds train/CLASS/*.jpg. One thread; the
# programs take turns, and a batch's time is the median of the last 40 of 50. The table goes to bench/results/training.tsv.
set -eu

[ $# = 1 ] && [ -d "$1/train" ] || {
    echo "usage: bench/training.sh DIRECTORY with train/CLASS/*.jpg" >&2
    exit 2
}
build=build
out=$build/training
values=$((2048 * 2048 / 5))
turns=3
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1

mkdir -p $out/backup bench/results
ln -sfn "$(cd "$1" && pwd)" $out/data
find -L $out/data/train -name '*.jpg' | sort > $out/train.txt
ls $out/data/train > $out/labels.txt
cat > $out/cifar.data <<EOF
classes=10
train=$out/train.txt
labels=$out/labels.txt
backup=$out/backup
EOF

[ -x $out/stock/darknet ] || {
    rm -rf $out/stock
    cp -r darknet $out/stock
    rm -f $out/stock/.git
    make -s -C $out/stock > $out/stock.log 2>&1
}
sed 's/^max_batches=.*/max_batches=50/' cfg/cifar.cfg > $out/dense.cfg
[ -f $out/start.weights ] || {
    $build/darknet classifier train $out/cifar.data $out/dense.cfg > $out/start.log 2>&1
    mv $out/backup/dense.weights $out/start.weights
}
for type in sss psm; do
    [ -f $out/$type.cfg ] || $build/structnet approx $out/dense.cfg $out/start.weights --layer 6 --type $type --effort quick \
        --params $values -o $out/$type > /dev/null
done

# Appends the seconds of the last 40 batches: train PROGRAM CFG NAME.
train() {
    rm -f $out/backup/*
    (ulimit -s 1024; STRUCTNET_LOG=stock exec "$1" classifier train $out/cifar.data "$2") 2>&1 |
        sed -n 's/^[0-9]*, .* rate, \([0-9.]*\) seconds.*/\1/p' | tail -n 40 >> "$out/$3.seconds"
}
rm -f $out/*.seconds
i=0
while [ $i -lt $turns ]; do
    i=$((i + 1))
    train $out/stock/darknet $out/dense.cfg stock
    for name in dense sss psm; do train $build/darknet $out/$name.cfg $name; done
done
median() { sort -n "$1" | awk '{ x[NR] = $1 } END { print x[int((NR + 1) / 2)] }'; }
stock=$(median $out/stock.seconds)
{
    sh bench/environment.sh
    echo "# command: bench/training.sh DIRECTORY; cfg/cifar.cfg, batches of 64"
    printf 'program\tlayer of 2048 x 2048\timages a second\ttimes stock\n'
    for name in stock dense sss psm; do
        program=ours layer=$name
        [ $name != stock ] || program='stock Darknet' layer=dense
        awk -v name="$program" -v layer="$layer" -v s="$(median $out/$name.seconds)" -v stock="$stock" \
            'BEGIN { printf "%s\t%s\t%.0f\t%.2f\n", name, layer, 64 / s, stock / s }'
    done
} > bench/results/training.tsv
cat bench/results/training.tsv
