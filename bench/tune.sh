#!/bin/sh
# Tuning on features: torchvision's resnet18, whose 512 x 100 head is approximated and tuned by classes and by the dense head,
# and how fast heads of 1000 x 512 are tuned. Usage: bench/tune.sh CHECKPOINT IMAGES HEAD, a .pth of resnet18, a directory with
# train/CLASS/*.jpg and test/CLASS/*.jpg, and HEAD.weights.npy of 1000 x 512 with HEAD.x.npy and HEAD.y.npy. Takes the first 40
# training and 20 test images of each class; features are kept in build/tune and not computed again. One thread.
set -eu

[ $# = 3 ] && [ -f "$1" ] && [ -d "$2/train" ] && [ -f "$3.x.npy" ] || {
    echo "usage: bench/tune.sh CHECKPOINT IMAGES HEAD" >&2
    exit 2
}
structnet=build/structnet
out=build/tune
mkdir -p $out bench/results
export OPENBLAS_NUM_THREADS=1

value() { sed -n "s/^.*\"$1\":[^0-9-]*\([0-9.e+-]*\).*/\1/p" "$2" | head -n 1; }
# Prints an expression of awk in so many digits.
number() { awk "BEGIN { printf \"%.$1f\", $2 }"; }

# list SPLIT COUNT: the first COUNT images of each class.
list() {
    for class in "$images/$1"/*; do
        find "$class" -name '*.jpg' | sort | head -n $2
    done > $out/$1.txt
}

# features SPLIT
features() {
    [ -f $out/$1.json ] || {
        $structnet features $out/net.cfg $out/net.weights $out/$1.txt --labels $out/labels.txt --resize 256 -o $out/$1 --json > $out/$1.new
        mv $out/$1.new $out/$1.json
    }
}

images=$(cd "$2" && pwd)
ls "$images/train" > $out/labels.txt
[ -f $out/net.weights ] || $structnet import resnet18 "$1" -o $out/net > $out/import.txt
list train 40
list test 20
features train
features test

# top1 NAME: of the net as it is, on the test images, in per cent. What is trained there is thrown away.
top1() {
    $structnet tune $1.cfg $1.weights --features $out/train --valid $out/test --epochs 1 -o $out/scratch --json > $out/scratch.json
    number 4 "100 * $(value top1_before $out/scratch.json)"
}

# tuned NAME [OPTION]...: mean and rate over five seeds.
tuned() {
    name=$1
    shift
    for seed in 0 1 2 3 4; do
        $structnet tune $name.cfg $name.weights --features $out/train -o $out/tuned --seed $seed "$@" --json > $out/tuned.json
        echo "$(top1 $out/tuned) $(value images_per_second $out/tuned.json)"
    done | awk '{ top1 += $1; rate += $2 } END { printf "%.2f\t%.0f", top1 / NR, rate / NR }'
}

{
    sh bench/environment.sh
    echo "# command: bench/tune.sh CHECKPOINT IMAGES HEAD; $(wc -l < $out/train.txt) training images, of which a fifth is held out, and $(wc -l < $out/test.txt) test images"
    echo "# the whole net, forward alone: $(number 1 "($(value rows $out/train.json) - $(value rows_before $out/train.json)) / $(value seconds $out/train.json)") images a second"
    printf 'type\tshare of bytes\ttop-1 before\tby classes\timages a second\tby the dense head\timages a second\n'
    printf 'dense\t1\t%.2f\t\t\t\t\n' "$(top1 $out/net)"
    for share in 0.2 0.1; do
        for type in sss psm; do
            $structnet approx $out/net.cfg $out/net.weights --type $type --share $share --features $out/train -o $out/head > $out/approx.txt
            printf '%s\t%s\t%.2f\t%s\t%s\n' $type $share "$(top1 $out/head)" "$(tuned $out/head)" \
                "$(tuned $out/head --teacher $out/net.cfg $out/net.weights)"
        done
    done
} > bench/results/tune.tsv.new
mv bench/results/tune.tsv.new bench/results/tune.tsv
cat bench/results/tune.tsv

# rate TYPE OPTIMIZER [OPTION OF APPROX]...: images a second in steps of 64.
rate() {
    type=$1
    optimizer=$2
    shift 2
    $structnet approx --matrix "$head.weights.npy" --type $type --share 0.2 --effort quick -o $out/large "$@" > $out/approx.txt
    for seed in 0 1 2 3 4; do
        $structnet tune $out/large.cfg $out/large.weights --features "$head" --epochs 50 --patience 50 --optimizer $optimizer --seed $seed \
            -o $out/tuned --json > $out/tuned.json
        value images_per_second $out/tuned.json
    done | sort -g | sed -n 3p
}

head=$3
{
    sh bench/environment.sh
    echo "# command: bench/tune.sh CHECKPOINT IMAGES HEAD; 512 features, 1000 classes, a fifth of the bytes; medians of five runs"
    printf 'type\toptimizer\timages a second\n'
    for optimizer in sgd adam; do
        printf 'sss, 2 stages\t%s\t%.0f\n' $optimizer "$(rate lowrank $optimizer)"
        printf 'sss, 20 stages\t%s\t%.0f\n' $optimizer "$(rate sss $optimizer --stages 20)"
        printf 'psm\t%s\t%.0f\n' $optimizer "$(rate psm $optimizer)"
        printf 'psm, blocks of 4\t%s\t%.0f\n' $optimizer "$(rate psm $optimizer --block 4)"
    done
} > bench/results/tune-rate.tsv.new
mv bench/results/tune-rate.tsv.new bench/results/tune-rate.tsv
cat bench/results/tune-rate.tsv
