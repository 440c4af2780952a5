#!/bin/sh
# Features and what is trained on them, as a user has them computed. Usage: tests/tune.sh BUILD.
set -u

build=$1
out=$build/test-tune
structnet=$build/structnet
darknet=$build/darknet
. tests/checks.sh

three_colours
colour_net net <<'END_CFG'
[connected]
output=40
activation=leaky

[connected]
output=30
activation=leaky
END_CFG

# ---- features: as many threads as there may be give the same bytes
features() { try "$structnet" features "$out/net.cfg" "$out/net.weights" "$@"; }
OPENBLAS_NUM_THREADS=1 features "$out/images.txt" -o "$out/one" --labels "$out/labels.txt" --augment 3 --seed 5 --check --json
ok "features with views" is 0
ok "... four rows of an image" [ "$(value images "$out/stdout") $(value rows "$out/stdout")" = "21 84" ]
ok "... --check finds no difference" at_least 1e-5 "$(value difference "$out/stdout")"
ok "... of outputs that there are" at_least "$(value largest "$out/stdout")" 0.1
ok "... classes of every row" [ "$(wc -c < "$out/one.y.npy")" = $((128 + 84 * 4)) ]
ok "... the image of every row" [ "$(tail -c +129 "$out/one.i.npy" | od -An -v -w32 -td4 | tr -s ' ' | head -n 2)" = \
    "$(printf ' 0 0 0 0 1 1 1 1\n 2 2 2 2 3 3 3 3')" ]
OPENBLAS_NUM_THREADS=3 features "$out/images.txt" -o "$out/three" --labels "$out/labels.txt" --augment 3 --seed 5
ok "three threads" is 0
ok "... give the same rows" cmp -s "$out/one.x.npy" "$out/three.x.npy"
features "$out/images.txt" -o "$out/f" --labels "$out/labels.txt"
ok "features without views" is 0
ok "... name no images" [ ! -e "$out/f.i.npy" ]
ok "... are the first of each image's" [ "$(bytes "$out/one.x.npy" $((128 + 4 * 120)) 120 | cksum)" = \
    "$(bytes "$out/f.x.npy" $((128 + 120)) 120 | cksum)" ]

# An image with a different colour at each pixel shows which part of it a view is.
{ printf 'P6\n16 16\n255\n'; head -c 768 "$out/net.weights"; } > "$out/noise.ppm"
echo "$out/noise.ppm" > "$out/noise.txt"
view() { features "$out/noise.txt" -o "$out/view" --layer 0 "$@"; tail -c +129 "$out/view.x.npy" | cksum; }
plain=$(view)
ok "views differ" [ "$(view --augment 1)" != "$plain" ]
ok "... for another seed" [ "$(view --augment 9 --seed 1)" != "$(view --augment 9 --seed 2)" ]
ok "... and not for the same" [ "$(view --augment 9 --seed 1)" = "$(view --augment 9 --seed 1)" ]
ok "... and of a resized image" [ "$(view --augment 9 --resize 8 --seed 1)" != "$(view --augment 9 --resize 8 --seed 2)" ]
cat "$out/noise.txt" "$out/noise.txt" > "$out/twice.txt"
features "$out/twice.txt" -o "$out/view" --layer 0 --augment 3
rows=$((4 * 432))
ok "... from image to image" [ "$(bytes "$out/view.x.npy" 128 $rows | cksum)" != "$(bytes "$out/view.x.npy" $((128 + rows)) $rows | cksum)" ]
features "$out/images.txt" -o "$out/x" --augment 0
ok "no views are a wrong use" complains 2 '--augment: expected a number from 1 to'

# ---- features go on where they were interrupted
i=0
while [ $i -lt 4000 ]; do cat "$out/images.txt"; i=$((i + 1)); done > "$out/long.txt"
parts() { ls "$out" | grep '^part\.x\.npy'; }
has_rows() { [ "$(cat "$out"/part.x.npy.part-* 2> /dev/null | head -c 100000 | wc -c)" = 100000 ]; }
long() { "$@" "$structnet" features "$out/net.cfg" "$out/net.weights" "$out/long.txt" -o "$out/part" --json; }
long interruptible
within 10 has_rows
interrupt
finish
ok "Ctrl-C ends features" is 130
ok "... and leaves a part" [ "$(parts | sed 's/-.*//')" = part.x.npy.part ]
cp "$out"/part.x.npy.part-* "$out/kept"
try "$structnet" features "$out/net.cfg" "$out/net.weights" "$out/images.txt" -o "$out/part"
ok "other images do not take it" is 0
ok "... and leave it" cmp -s "$out/kept" "$(ls "$out"/part.x.npy.part-*)"
rm "$out"/part.x.npy.part-*
(ulimit -f 1000 && exec "$structnet" features "$out/net.cfg" "$out/net.weights" "$out/long.txt" -o "$out/part") > "$out/stdout" 2> "$out/stderr"
status=$?
ok "a disk that is full ends features" complains 1 'part.x.npy: cannot write: File too large'
truncate -s -7 "$out"/part.x.npy.part-*  # in the middle of a row
long try
ok "the same command goes on from there" at_least "$(value rows_before "$out/stdout")" 1
ok "... no part is left" [ "$(parts)" = part.x.npy ]
cp "$out/part.x.npy" "$out/whole.x.npy"
long try
ok "... and starts anew when all was there" [ "$(value rows_before "$out/stdout")" = 0 ]
ok "... with the same bytes" cmp -s "$out/whole.x.npy" "$out/part.x.npy"

# ---- tune
size=$(wc -c < "$out/net.weights")
before=$((20 + 4 * (40 + 40 * 108)))
for type in sss psm; do
    try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type $type --share 0.2 --layer 1 -o "$out/$type"
    features "$out/images.txt" -o "$out/f1" --labels "$out/labels.txt" --layer 1
    tune() { try "$structnet" tune "$out/$type.cfg" "$out/$type.weights" --features "$out/f1" --layer 1 "$@"; }
    tune -o "$out/tuned" --json
    ok "$type: tune" is 0
    ok "$type: ... lowers the held-out loss" at_least "$(value loss_before "$out/stdout")" "1.01 * $(value loss "$out/stdout")"
    ok "$type: ... on a fifth of the images" [ "$(value train_images "$out/stdout") $(value held_out_images "$out/stdout")" = "17 4" ]
    best=$(value best_epoch "$out/stdout") loss=$(value loss "$out/stdout")
    ok "$type: ... which the history has" [ "$(awk -F '\t' '$6 == 1 { row = $1 } END { print row }' "$out/tuned.tsv")" = "$best" ]
    ok "$type: ... every epoch of it" [ "$(wc -l < "$out/tuned.tsv")" = $(($(value epochs "$out/stdout") + 2)) ]
    ok "$type: ... the layers before stay" same_bytes "$out/$type.weights" 0 "$out/tuned.weights" 0 $before
    ok "$type: ... no byte more or less" [ "$(wc -c < "$out/$type.weights")" = "$(wc -c < "$out/tuned.weights")" ]
    ok "$type: ... but the others change" [ "$(cksum < "$out/$type.weights")" != "$(cksum < "$out/tuned.weights")" ]
    ok "$type: ... the cfg is the same" cmp -s "$out/$type.cfg" "$out/tuned.cfg"
    try "$structnet" check "$out/tuned.cfg" "$out/tuned.weights"
    ok "$type: ... the net is whole" says 0 '^ok$'
    tune -o "$out/again"
    ok "$type: a seed repeats exactly" cmp -s "$out/tuned.weights" "$out/again.weights"
    tune -o "$out/other" --seed 1
    ok "$type: another does not" [ "$(cksum < "$out/tuned.weights")" != "$(cksum < "$out/other.weights")" ]
    try "$structnet" tune "$out/tuned.cfg" "$out/tuned.weights" --features "$out/f1" --layer 1 -o "$out/more" --rate 1e-9 --epochs 1 --json
    ok "$type: what was kept is what was measured" [ "$(value loss_before "$out/stdout" | cut -c 1-7)" = "$(echo "$loss" | cut -c 1-7)" ]
    tune -o "$out/taught" --teacher "$out/net.cfg" "$out/net.weights" --json
    ok "$type: a teacher's outputs as targets" at_least "$(value loss_before "$out/stdout")" "1.001 * $(value loss "$out/stdout")"
    tune -o "$out/far" --rate 1000 --epochs 3 --json
    ok "$type: a rate that is too high" is 0
    ok "$type: ... does not make the net worse" at_least "$(value loss_before "$out/stdout")" "$(value loss "$out/stdout")"
    tune -o "$out/x" --optimizer adam
    ok "$type: Adam with a dense layer behind" complains 1 'layer 2 is \[connected\], which Darknet trains by SGD'
done
sed 's/^batch=4/&\ndecay=0/' "$out/net.cfg" > "$out/still.cfg"
try "$structnet" tune "$out/still.cfg" "$out/net.weights" --features "$out/f" -o "$out/x" --epochs 3 --teacher "$out/still.cfg" "$out/net.weights"
ok "a net that is its own teacher" is 0
ok "... has nothing to learn" [ "$(tail -n +2 "$out/x.tsv" | cut -f 4 | sort -u | wc -l)" = 1 ]
try "$structnet" tune "$out/still.cfg" "$out/net.weights" --features "$out/f" -o "$out/x" --epochs 3
ok "... but from the classes" [ "$(tail -n +2 "$out/x.tsv" | cut -f 4 | sort -u | wc -l)" = 4 ]
try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type sss --share 0.5 -o "$out/head"
head_tuned() { try "$structnet" tune "$out/head.cfg" "$out/head.weights" "$@"; }
head_tuned --features "$out/f" -o "$out/x" --optimizer adam --json
ok "the last layer alone, by Adam" is 0
ok "... lowers the loss" at_least "$(value loss_before "$out/stdout")" "1.001 * $(value loss "$out/stdout")"
head_tuned --features "$out/one" -o "$out/x" --json
ok "views of an image are held out together" [ "$(value held_out_images "$out/stdout")" = 16 ]
head_tuned --features "$out/f" --valid "$out/one" -o "$out/x" --json
ok "--valid" [ "$(value train_images "$out/stdout") $(value held_out_images "$out/stdout")" = "21 84" ]
cp "$out/x.weights" "$out/seed0.weights"
head_tuned --features "$out/f" --valid "$out/one" -o "$out/x" --seed 1
ok "the order of images is the seed's" [ "$(cksum < "$out/seed0.weights")" != "$(cksum < "$out/x.weights")" ]
grep -v softmax "$out/head.cfg" > "$out/bare.cfg"
try "$structnet" tune "$out/bare.cfg" "$out/head.weights" --features "$out/f" -o "$out/x" --json
ok "a net without a softmax is tuned with one" at_least "$(value loss_before "$out/stdout")" "1.001 * $(value loss "$out/stdout")"
ok "... and stays without" cmp -s "$out/bare.cfg" "$out/x.cfg"
try "$structnet" approx "$out/net.cfg" "$out/net.weights" --layer 1 --type psm --bits 4 --share 0.03 -o "$out/few"
try "$structnet" tune "$out/few.cfg" "$out/few.weights" --features "$out/f1" --layer 1 -o "$out/x" --json
ok "values of four bits" at_least "$(value loss_before "$out/stdout")" "1.001 * $(value loss "$out/stdout")"
loss=$(value loss "$out/stdout")
try "$structnet" tune "$out/x.cfg" "$out/x.weights" --features "$out/f1" --layer 1 -o "$out/more" --epochs 1 --json
ok "... are measured as they are written" [ "$(value loss_before "$out/stdout" | cut -c 1-6)" = "$(echo "$loss" | cut -c 1-6)" ]
head_tuned --features "$out/f" -o "$out/x"
ok "tune prints a table" says 0 '^top-1  *[0-9.]* %, before'

# ---- what is refused
head_tuned --features "$out/none" -o "$out/bad"
ok "no features" complains 1 'none.x.npy: cannot read'
cp "$out/f.x.npy" "$out/bare.x.npy"
head_tuned --features "$out/bare" -o "$out/bad"
ok "no classes" complains 1 'bare.x.npy: expected classes beside it, or --teacher, found none'
head_tuned --features "$out/f1" -o "$out/bad"
ok "features of another layer" complains 1 'f1.x.npy: expected features, rows x inputs, 30 columns, found 21 x 40'
head_tuned --features "$out/f" -o "$out/bad" --teacher "$out/net.cfg"
ok "a teacher without weights" complains 2 '--teacher: expected CFG WEIGHTS'
head_tuned --features "$out/f" -o "$out/bad" --optimizer sdg
ok "an unknown optimizer" complains 2 "--optimizer: expected sgd or adam, found 'sdg'"
head_tuned --features "$out/f" -o "$out/bad" --holdout 0.001
ok "nothing held out" complains 1 'expected images to train and images to hold out, found 21 and 0'
head_tuned -o "$out/bad"
ok "tune without features" complains 2 'expected --features NAME'
head_tuned --features "$out/f" -o "$out/head"
ok "tune does not overwrite its input" complains 1 'head.cfg: is an input, expected another output'
cp "$out/net.cfg" "$out/dense.cfg"
head_tuned --features "$out/f" -o "$out/dense" --teacher "$out/dense.cfg" "$out/net.weights"
ok "... nor its teacher" complains 1 'dense.cfg: is an input, expected another output'
ok "... nothing is left" [ -z "$(ls "$out" | grep -e '^bad' -e tmp)" ]
tune_long() { interruptible "$structnet" tune "$out/head.cfg" "$out/head.weights" --features "$out/f" -o "$out/bad" --epochs 1000000 --patience 1000000; }
tune_long
within 10 catches
interrupt
finish
ok "Ctrl-C ends tune" is 130
ok "... and leaves no file" [ -z "$(ls "$out" | grep '^bad')" ]

# ---- step by step as Darknet. A net whose images are the features, and a list of one image, so that every batch is the
# same whatever Darknet draws.
for keys in 'sss stages=2 states=3' 'psm factors=2 inner=20 nonzeros=40,900' 'connected'; do
    set -- $keys
    section=$1
    shift
    { printf '[net]\nbatch=8\nheight=6\nwidth=6\nchannels=3\nmin_crop=6\nmax_crop=6\nlearning_rate=0.01\nmax_batches=10\n'
        printf '[%s]\noutput=3\nactivation=linear\n' "$section"
        printf '%s\n' "$@" '[softmax]'; } > "$out/step.cfg"
    for i in 1 2 3 4 5 6 7 8; do echo "$out/images/green/3.ppm"; done > "$out/step.txt"
    sed "s#^train=.*#train=$out/step.txt#; s#^valid=.*#valid=$out/step.txt#" "$out/task.data" > "$out/step.data"
    sed 's/^max_batches=.*/max_batches=1/' "$out/step.cfg" > "$out/first.cfg"
    try env STRUCTNET_LOG=stock "$darknet" classifier train "$out/step.data" "$out/first.cfg"
    cp "$out/backup/first.weights" "$out/step.weights"
    try env STRUCTNET_LOG=stock "$darknet" classifier train "$out/step.data" "$out/step.cfg" "$out/step.weights" -clear
    sed -n 's/^[0-9]*, [0-9.]*: \([0-9.]*\), .* 8 images$/\1/p; s/^[0-9]*, [0-9.]*: \([0-9.]*\), .* [0-9]* images$/\1/p' "$out/stdout" > "$out/theirs"
    try "$structnet" features "$out/step.cfg" "$out/step.weights" "$out/step.txt" -o "$out/step" --labels "$out/labels.txt"
    try "$structnet" tune "$out/step.cfg" "$out/step.weights" --features "$out/step" --valid "$out/step" -o "$out/stepped" \
        --batch 8 --rate 0.01 --epochs 10 --patience 100
    ok "$section: ten steps" is 0
    awk -F '\t' 'NR > 2 { print $3 }' "$out/stepped.tsv" > "$out/ours"
    ok "$section: ten losses of Darknet" [ "$(wc -l < "$out/theirs")" = 10 ]
    ok "$section: ... are tune's" [ "$(paste "$out/theirs" "$out/ours" | awk '{ d = $1 - $2; if (d * d < 4e-12) n++ } END { print n }')" = 10 ]
    ok "$section: ... and so are the weights" [ "$({ od -An -v -w4 -tf4 -j20 "$out/backup/step.weights"; echo; od -An -v -w4 -tf4 -j20 "$out/stepped.weights"; } \
        | awk 'NF { a[n++] = $1 } END { for (i = 0; i < n / 2; i++) { d = a[i] - a[i + n / 2]; if (d * d > 1e-12) bad++ } print bad + 0 }')" = 0 ]
done

summary tune
