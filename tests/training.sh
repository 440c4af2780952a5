#!/bin/sh
# Tests of labels and of `darknet classifier train` as a user calls them. Usage: tests/training.sh BUILD. Closes with the
# counts; exits with 1 when any failed.
set -u

build=$1
out=$build/test-training
structnet=$build/structnet
darknet=$build/darknet
. tests/checks.sh
export STRUCTNET_SEED=1

# colour SHADE CODE: the code's bits are the channels.
colour() { pixels "\\$(($2 % 2 * 3))4$1\\$(($2 / 2 % 2 * 3))4$1\\$(($2 / 4 * 3))4$1"; }

# Each class is a part of another's name or of every path, and has a colour of its own.
classes='man woman bee beetle train can cup'
code=0
for class in $classes; do
    code=$((code + 1))
    mkdir -p "$out/train/$class" "$out/test/$class"
    for n in 1 2 3 4; do
        { printf 'P6\n6 6\n255\n'; colour "$n" $code; } > "$out/train/$class/$n.ppm"
    done
    cp "$out/train/$class/1.ppm" "$out/test/$class/"
    cp "$out/train/$class/2.ppm" "$out/test/$class/a $class, 2.ppm"
done
ls "$out"/train/*/*.ppm > "$out/train.txt"
ls "$out"/test/*/*.ppm > "$out/test.txt"
printf '%s\n' $classes > "$out/plain.txt"
sed 's|.*|/&/|' "$out/plain.txt" > "$out/slashes.txt"
{ printf '\357\273\277'; sed 's/$/  \r/' "$out/plain.txt"; printf '\r\n\n'; } > "$out/windows.txt"
cat > "$out/net.cfg" <<'EOF'
[net]
batch=7
height=6
width=6
channels=3
learning_rate=0.01
momentum=0.9
max_batches=300

[convolutional]
filters=8
size=3
stride=1
pad=1
activation=leaky

[connected]
output=20
activation=leaky

[dropout]
probability=0.1

[connected]
output=7
activation=linear

[softmax]
EOF

# data NAME LABELS KEY=VALUE...: NAME.data, with other values for some keys.
data() {
    name=$1
    printf 'classes=7\ntrain=%s\nvalid=%s\nlabels=%s\nbackup=%s\ntop=2\n' "$out/train.txt" "$out/test.txt" \
        "$out/$2.txt" "$out/backup" > "$out/$name.data"
    shift 2
    for setting in "$@"; do sed -i "s|^${setting%%=*}=.*|$setting|" "$out/$name.data"; done
}

# cfg NAME KEY=VALUE...: NAME.cfg, likewise.
cfg() {
    name=$1
    shift
    cp "$out/net.cfg" "$out/$name.cfg"
    for setting in "$@"; do sed -i "s|^${setting%%=*}=.*|$setting|" "$out/$name.cfg"; done
}

train() { try "$darknet" classifier train "$@"; }
# fails TEXT: status 1 and one line, after the table of layers at most, with nothing on stdout.
fails() {
    is 1 && tail -n 1 "$out/stderr" | grep -q -e "$1" && [ "$(grep -c '^darknet: ' "$out/stderr")" = 1 ] && ! [ -s "$out/stdout" ]
}

# ---- labels mean the same to every program
for labels in plain slashes windows; do
    data $labels $labels
    cp "$out/net.cfg" "$out/$labels.cfg"
    train "$out/$labels.data" "$out/$labels.cfg"
    ok "$labels: trains" is 0
    ok "... without a warning" [ "$(cat "$out/stdout" "$out/stderr" | grep -c -i -e 'too many' -e warning)" = 0 ]
    set -- "$out/$labels.cfg" "$out/backup/$labels.weights"
    try "$structnet" eval "$@" "$out/$labels.data" --json
    ok "$labels: eval finds each class, which the net has learnt" at_least "$(value top1 "$out/stdout")" 0.95
    share=$(value top1 "$out/stdout")
    try "$darknet" classifier valid "$out/$labels.data" "$@"
    theirs=$(sed -n 's/^13: top 1: \([0-9.]*\),.*/\1/p' "$out/stdout")
    ok "$labels: valid agrees with eval" at_least 0.0001 "($share - ${theirs:-9}) ^ 2 ^ .5"
    try "$structnet" features "$@" "$out/test.txt" --labels "$out/$labels.txt" -o "$out/$labels"
    ok "$labels: features" is 0
    ok "... have the same classes" cmp -s "$out/$labels.y.npy" "$out/plain.y.npy"
    try "$darknet" classifier predict "$out/$labels.data" "$@" "$out/test/woman/1.ppm"
    ok "$labels: predict names the class" [ "$(head -n 1 "$out/stdout" | sed 's/.*: //; s|/||g')" = woman ]
done

# ---- what is wrong is one line before training
# refuses NAME TEXT DATA-SETTING...: training with the net, and with what $net says is other in its cfg.
net=
refuses() {
    what=$1 text=$2
    shift 2
    data wrong plain "$@"
    cfg wrong $net
    train "$out/wrong.data" "$out/wrong.cfg"
    ok "train: $what" fails "$text"
}
# change FILE SCRIPT: the file with sed's script run over it, in changed.txt
change() { sed "$2" "$out/$1.txt" > "$out/changed.txt"; }

change plain '$d'
refuses 'fewer labels than classes' 'changed.txt: expected 7 labels, one per class, found 6' labels="$out/changed.txt"
try "$darknet" classifier valid "$out/wrong.data" "$out/net.cfg" "$out/backup/plain.weights"
ok 'valid: likewise' complains 1 'changed.txt: expected 7 labels'
try "$darknet" classifier predict "$out/wrong.data" "$out/net.cfg" "$out/backup/plain.weights" "$out/test/can/1.ppm"
ok 'predict: likewise' fails 'changed.txt: expected 7 names, one per output, found 6'
change plain '2s|.*|/man/|'
refuses 'a label twice' "changed.txt:2: label 'man' stands in line 1 too" labels="$out/changed.txt"
change plain '2s|.*||'
refuses 'a blank line among labels' 'changed.txt:2: expected text, found a blank line' labels="$out/changed.txt"
refuses 'no labels file' 'none.txt: cannot read: No such file' labels="$out/none.txt"
refuses 'more classes than labels' 'expected 8 labels, one per class, found 7' classes=8
refuses 'classes that are no number' "classes: expected a whole number from 1 on, found 'x'" classes=x
grep -v /cup/ "$out/train.txt" > "$out/fewer.txt"
refuses 'fewer classes than outputs' 'wrong.cfg: 7 outputs, expected 6, one per class' classes=6 train="$out/fewer.txt" valid="$out/fewer.txt"
change train '5s|.*||'
refuses 'a blank line in a list' 'changed.txt:5: expected text, found a blank line' train="$out/changed.txt"
: > "$out/changed.txt"
refuses 'an empty list' 'changed.txt: expected lines, found none' train="$out/changed.txt"
change train '5s|.*|elsewhere/pink/1.ppm|'
refuses 'an image without a label' 'pink/1.ppm: expected one of 7 labels' train="$out/changed.txt"
change train '5s|.*|elsewhere/can/cup 1.ppm|'
refuses 'an image with two labels' "cup 1.ppm: several labels match: 'can' and 'cup'" train="$out/changed.txt"
refuses 'an image of the valid list with two' "cup 1.ppm: several labels match" valid="$out/changed.txt"
refuses 'no valid list' 'none.txt: cannot read' valid="$out/none.txt"
refuses 'no backup directory' 'wrong.data: backup: cannot write to .*/none: No such file' backup="$out/none"
refuses 'a file as backup directory' 'backup: expected a directory, found the file' backup="$out/net.cfg"
long=$(printf '%0240d' 0)
refuses 'a path longer than Darknet holds' 'backup: expected at most 235 characters with the name of the cfg, found' backup="$out/$long"
net=channels=1
refuses 'grey images' 'expected height = width and 3 channels, .* found 6 x 6 x 1'
net=height=8
refuses 'images that are no squares' 'found 8 x 6 x 3'
net=batch=7
sed '/^\[connected\]$/,/^activation/ s/connected/lstm/; /^activation=leaky$/d' "$out/net.cfg" > "$out/lstm.cfg"
try "$darknet" classifier train "$out/plain.data" "$out/lstm.cfg"
is_refused() { is 1 && grep -q '^darknet: lstm: layer 1 \[lstm\]: expected a layer that can be trained without a GPU$' "$out/stderr"; }
ok 'layers that Darknet trains on a GPU alone' is_refused
awk '/^\[connected\]$/ && !n++ { print "[softmax]" } 1' "$out/net.cfg" > "$out/early.cfg"
try "$darknet" classifier train "$out/plain.data" "$out/early.cfg"
is_refused() { is 1 && grep -q '^darknet: early: layer [0-9]* \[softmax\]: expected at most 7 inputs to compare with 7 numbers of truth, found [0-9]*$' "$out/stderr"; }
ok 'a loss before the end of the net' is_refused
STRUCTNET_LOG=often refuses 'a wrong STRUCTNET_LOG' "STRUCTNET_LOG: expected a number of batches or 'stock', found 'often'"
STRUCTNET_SEED=x refuses 'a wrong STRUCTNET_SEED' "STRUCTNET_SEED: expected a whole number from 0 on, found 'x'"
data wrong plain top=8
try "$darknet" classifier predict "$out/wrong.data" "$out/net.cfg" "$out/backup/plain.weights" "$out/test/can/1.ppm"
ok 'predict: more names than outputs' fails "wrong.data: top: expected 1 to 7, found '8'"

sed 1s/=/:/ "$out/plain.data" > "$out/wrong.data"
train "$out/wrong.data" "$out/net.cfg"
ok 'train: a line that is no setting' complains 1 "wrong.data:1: expected key=value, found 'classes:7'"

# ---- a seed
for n in 1 2; do
    cfg seed-$n max_batches=40
    STRUCTNET_SEED=7 train "$out/plain.data" "$out/seed-$n.cfg"
    cp "$out/stdout" "$out/seed-$n.txt"
done
ok 'a seed repeats training exactly' cmp "$out/backup/seed-1.weights" "$out/backup/seed-2.weights"
cfg seed-3 max_batches=40
STRUCTNET_SEED=8 train "$out/plain.data" "$out/seed-3.cfg"
ok 'another seed is another training' [ "$(cksum < "$out/backup/seed-1.weights")" != "$(cksum < "$out/backup/seed-3.weights")" ]

# ---- what is said meanwhile
ok 'a line every 10 batches' [ "$(grep -c '^batch [1-4]0 of 40: epoch [0-9.]*, loss [0-9.]*, rate [0-9.]*, [0-9]* images/s, 0:00:[0-9]* left$' \
    "$out/seed-1.txt")" = 4 ]
STRUCTNET_LOG=20 train "$out/plain.data" "$out/seed-3.cfg" -clear
ok 'or as often as STRUCTNET_LOG says' [ "$(grep -c '^batch ' "$out/stdout")" = 2 ]
STRUCTNET_LOG=stock train "$out/plain.data" "$out/seed-3.cfg" -clear
ok 'or as Darknet says it' [ "$(grep -c '^[0-9]*, .* avg, .* rate, .* images$' "$out/stdout")" = 40 ]

# ---- the best weights
best=$(sed -n 's/^epoch .*: top-1 \([0-9.]*\) % of 14 images.*/\1/p' "$out/seed-1.txt" | sort -n | tail -n 1)
ok 'the valid list is evaluated after each epoch' [ "$(grep -c '^epoch ' "$out/seed-1.txt")" = 10 ]
try "$structnet" eval "$out/net.cfg" "$out/backup/seed-1_best.weights" "$out/plain.data"
ok 'the best weights are those of the best epoch' says 0 "^top-1 *${best:-none} %"
sed -i 's/^[0-9.]*/2.0/' "$out/backup/seed-1_best.txt"
cp "$out/backup/seed-1_best.weights" "$out/best.weights"
sed 's/max_batches=40/max_batches=60/' "$out/seed-1.cfg" > "$out/longer.cfg" && mv "$out/longer.cfg" "$out/seed-1.cfg"
train "$out/plain.data" "$out/seed-1.cfg" "$out/backup/seed-1.weights"
ok 'training that goes on keeps better ones of before' cmp "$out/best.weights" "$out/backup/seed-1_best.weights"

# ---- how it ends before its time
for signal in HUP:129 INT:130 TERM:143; do
    cfg "${signal%:*}" max_batches=1000000
    try timeout -k 10 --preserve-status -s "${signal%:*}" 2 "$darknet" classifier train "$out/plain.data" "$out/${signal%:*}.cfg"
    ok "SIG${signal%:*} ends training" is "${signal#*:}"
    ok '... with one line' grep -q '^darknet: .*: batch [0-9]*: .*, saved to .*backup$' "$out/stderr"
    try "$structnet" check "$out/net.cfg" "$out/backup/${signal%:*}.backup"
    ok '... and a whole .backup' says 0 ok
done
ok 'no temporary file stays' [ "$(ls "$out/backup" | grep -c tmp)" = 0 ]
cfg twice batch=20000 max_batches=1000000 # a batch takes a while
STRUCTNET_LOG=1 interruptible "$darknet" classifier train "$out/plain.data" "$out/twice.cfg"
within 30 grep -q '^batch ' "$out/stdout"
interrupt
sleep 0.2
interrupt
finish
ok 'two signals at once are one request' grep -q '^darknet: .*: batch [0-9]*: .*, saved to .*backup$' "$out/stderr"
cfg diverging learning_rate=1e30
cp "$out/backup/plain.weights" "$out/backup/diverging.backup"
train "$out/plain.data" "$out/diverging.cfg"
ok 'a loss that is not finite ends training' is 1
ok '... with one line that says where' grep -q \
    '^darknet: diverging: batch [0-9]*: expected a finite loss, found .*nan; .*saved to .*diverging.backup stays' "$out/stderr"
ok '... and does not touch what was saved' cmp "$out/backup/plain.weights" "$out/backup/diverging.backup"
cfg last max_batches=1 learning_rate=1e39
train "$out/plain.data" "$out/last.cfg"
ok 'weights that are not finite are not saved' is 1
ok '... but named' grep -q '^darknet: .*last.*weights: not saved: layer [0-9]* .* has a value that is not finite$' "$out/stderr"

summary training
