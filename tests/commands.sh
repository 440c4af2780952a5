#!/bin/sh
# Tests of the two programs as a user calls them. Usage: tests/commands.sh BUILD. Prints one line per test and closes
# with the counts; exits with 1 when any failed.
set -u

build=$1
out=$build/test-commands
structnet=$build/structnet
darknet=$build/darknet
. tests/checks.sh
export STRUCTNET_LOG=stock  # a line for each batch, which is counted here

three_colours
cat > "$out/net.cfg" <<'EOF'
# Three colours.
[net]
batch=8
height=6
width=6
channels=3
learning_rate=0.01
max_batches=150

[convolutional]   # kept
filters=6
size=3
stride=1
pad=1
batch_normalize=1
activation=leaky

[connected]
output=40
activation=leaky

# The head.
[connected]  # to be replaced
output=30 # thirty
; a comment within
activation=leaky

[connected]
output=3
activation=linear

[softmax]
EOF

# ---- usage
try "$structnet"
ok "no command is a wrong use" is 2
try "$structnet" --help
ok "--help lists the commands" says 0 'approx'
try "$structnet" frobnicate
ok "an unknown command is a wrong use" is 2
for command in approx bench calibrate check compress eval export features info reconstruct sweep tune; do
    try "$structnet" $command --help
    ok "$command --help" says 0 "usage: structnet $command"
    try "$structnet" $command
    ok "$command without arguments" complains 2 "structnet $command --help"
    try "$structnet" $command --nonsense
    ok "$command with an unknown option" complains 2 "^structnet $command: unrecognized option '--nonsense'$"
done

# ---- training, evaluation, resuming
try "$darknet" classifier train "$out/task.data" "$out/net.cfg"
ok "darknet trains" is 0
try "$structnet" eval "$out/net.cfg" "$out/backup/net.weights" "$out/task.data" --json
ok "eval reports the number of images" says 0 '"images":.*21'
ok "the net has learnt the colours" at_least "$(value top1 "$out/stdout")" 0.95
try "$structnet" eval "$out/net.cfg" "$out/backup/net.weights" "$out/task.data"
ok "eval prints a table" says 0 '^top-1  *[0-9.]* %$'
ours=$(sed -n 's/^top-1 *\([0-9.]*\) %/\1/p' "$out/stdout")
try "$darknet" classifier valid "$out/task.data" "$out/net.cfg" "$out/backup/net.weights"
theirs=$(sed -n 's/^20: top 1: \([0-9.]*\),.*/\1/p' "$out/stdout")
ok "eval agrees with darknet classifier valid" at_least 0.006 "($ours - 100 * ${theirs:-9}) ^ 2 ^ .5"
cp "$out/backup/net.weights" "$out/net.weights"
try "$structnet" info "$out/net.cfg" "$out/net.weights"
ok "info prints every layer and the sum" says 0 '^ *2  connected .* 30 '
ok "info counts the bytes of the file" grep -q " $(($(wc -c < "$out/net.weights") - 20)) " "$out/stdout"
try "$structnet" check "$out/net.cfg" "$out/net.weights"
ok "check accepts what darknet wrote" says 0 '^ok$'

for type in sss psm; do
    try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type $type --share 0.3 --layer 2 -o "$out/$type" --json
    ok "approx --type $type" says 0 '"error"'
    ok "$type keeps to its share" at_least 0.3 "$(value share "$out/stdout")"
    payload=$(value bytes "$out/stdout")
    before=$((20 + 4 * (4 * 6 + 6 * 27) + 4 * (40 + 40 * 216) + 4 * 30))
    ok "$type: everything before the matrix is bit-identical" \
        same_bytes "$out/net.weights" 20 "$out/$type.weights" 20 $((before - 20))
    ok "$type: everything behind the matrix is bit-identical" \
        same_bytes "$out/net.weights" $((before + 4 * 1200)) "$out/$type.weights" $((before + payload)) $((4 * 93))
    ok "$type: no image has been seen" [ "$(bytes "$out/$type.weights" 12 8 | od -An -tu8 | tr -d ' ')" = 0 ]
    ok "$type: the cfg keeps its other lines" \
        [ "$(diff "$out/net.cfg" "$out/$type.cfg" | grep -c '^<')" = 1 ]
    ok "$type: the section's comment stays" grep -q "^\[$type\]  # to be replaced$" "$out/$type.cfg"
    try "$structnet" check "$out/$type.cfg" "$out/$type.weights"
    ok "check accepts the $type net" says 0 '^ok$'
    sed -i 's/^learning_rate=.*/learning_rate=0.003/' "$out/$type.cfg"
    try "$darknet" classifier train "$out/task.data" "$out/$type.cfg" "$out/$type.weights"
    ok "the $type net is fine-tuned from batch 0" says 0 '^1, .* 8 images$'
    try "$structnet" eval "$out/$type.cfg" "$out/backup/$type.weights" "$out/task.data" --json
    ok "the fine-tuned $type net knows the colours" at_least "$(value top1 "$out/stdout")" 0.95
    try "$darknet" classifier predict "$out/task.data" "$out/$type.cfg" "$out/backup/$type.weights" "$out/images/green/3.ppm"
    ok "darknet predicts with the $type net" says 0 '%: green'

    try "$darknet" classifier train "$out/task.data" "$out/$type.cfg" "$out/backup/$type.weights"
    ok "a finished $type file trains nothing more" is 0
    ok "... no batch" [ "$(grep -c ' images$' "$out/stdout")" = 0 ]
    try "$darknet" classifier train "$out/task.data" "$out/$type.cfg" "$out/backup/$type.weights" -clear
    ok "... and all batches with -clear" [ "$(grep -c ' images$' "$out/stdout")" = 150 ]
    sed 's/max_batches=150/max_batches=1003/' "$out/$type.cfg" > "$out/$type-long.cfg"
    try "$darknet" classifier train "$out/task.data" "$out/$type-long.cfg" "$out/$type.weights"
    ok "a $type net writes a .backup at batch 1000" [ -s "$out/backup/$type-long.backup" ]
    try "$darknet" classifier train "$out/task.data" "$out/$type-long.cfg" "$out/backup/$type-long.backup"
    ok "... and resumes from it" says 0 '^1001, '
    ok "... for the three batches that are left" [ "$(grep -c ' images$' "$out/stdout")" = 3 ]
done

# All entries in four bits: no budget, and a layer as any other.
dense() { try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type dense --bits 4 --layer 2 -o "$out/dense4" "$@"; }
dense --bytes 600
ok "all entries in a budget that is too small" complains 1 'all 1200 entries take 660 bytes'
ok "... leave no file" [ ! -e "$out/dense4.cfg" ]
dense --json
ok "all entries in 4 bits need no budget" [ "$(value bytes "$out/stdout")" = 660 ]
try "$structnet" check "$out/dense4.cfg" "$out/dense4.weights"
ok "... are a whole net" says 0 '^ok$'
sed -i 's/^learning_rate=.*/learning_rate=0.003/' "$out/dense4.cfg"
try "$darknet" classifier train "$out/task.data" "$out/dense4.cfg" "$out/dense4.weights"
ok "... are fine-tuned from batch 0" says 0 '^1, .* 8 images$'
try "$structnet" eval "$out/dense4.cfg" "$out/backup/dense4.weights" "$out/task.data" --json
ok "... know the colours" at_least "$(value top1 "$out/stdout")" 0.95
sed 's/max_batches=150/max_batches=153/' "$out/dense4.cfg" > "$out/dense4-long.cfg"
try "$darknet" classifier train "$out/task.data" "$out/dense4-long.cfg" "$out/backup/dense4.weights"
ok "... resume" says 0 '^151, '
ok "... for the three batches that are left" [ "$(grep -c ' images$' "$out/stdout")" = 3 ]

try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type psm --share 0.3 -o "$out/last" --json
ok "approx replaces the last connected layer" [ "$(value layer "$out/stdout")" = 3 ]
try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type sss --share 0.5 --layer 2 --stages 4 -o "$out/four"
ok "--stages is obeyed" grep -q '^stages=4$' "$out/four.cfg"
try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type psm --share 0.3 --layer 2 --factors 2 -o "$out/two"
ok "--factors is obeyed" grep -q '^factors=2$' "$out/two.cfg"
try "$structnet" bench "$out/net.cfg" "$out/net.weights" "$out/last.cfg" "$out/last.weights" --json
ok "bench times every head" [ "$(grep -c '"ns"' "$out/stdout")" = 2 ]

# ---- values of few bits
for bits in 8 4; do
    few=$out/few$bits
    {
        printf '[net]\nbatch=8\nheight=6\nwidth=6\nchannels=3\nlearning_rate=0.01\nmax_batches=300\n'
        printf '[psm]\noutput=40\nactivation=leaky\nnonzeros=2000\nindex=4\nescapes=100\nbits=%d\n' $bits
        printf '[sss]\noutput=30\nactivation=leaky\nstages=1\nbits=%d\ngroup=64\n' $bits
        printf '[sss]\noutput=3\nactivation=linear\nstages=2\nstates=2\nbits=%d\n[softmax]\n' $bits
    } > "$few.cfg"
    try "$darknet" classifier train "$out/task.data" "$few.cfg"
    ok "darknet trains values of $bits bits" is 0
    cp "$out/backup/few$bits.weights" "$few.weights"
    try "$structnet" check "$few.cfg" "$few.weights"
    ok "$bits bits: check accepts what darknet wrote" says 0 '^ok$'
    try "$structnet" info "$few.cfg" "$few.weights"
    ok "$bits bits: info shows them" says 0 "^ *1  sss .* 1230 *$bits *$((4 * 30 + 40 + 1200 * bits / 8)) *1200\$"
    ok "$bits bits: info counts the bytes of the file" grep -q " $(($(wc -c < "$few.weights") - 20)) " "$out/stdout"
    try "$structnet" eval "$few.cfg" "$few.weights" "$out/task.data" --json
    ok "$bits bits: the net has learnt the colours" at_least "$(value top1 "$out/stdout")" 0.95
    sed 's/max_batches=300/max_batches=303/' "$few.cfg" > "$few-long.cfg"
    try "$darknet" classifier train "$out/task.data" "$few-long.cfg" "$few.weights"
    ok "$bits bits: training resumes" says 0 '^301, '
    ok "$bits bits: ... for the three batches that are left" [ "$(grep -c ' images$' "$out/stdout")" = 3 ]
    try "$structnet" eval "$few-long.cfg" "$out/backup/few$bits-long.weights" "$out/task.data" --json
    ok "$bits bits: ... from where it was" at_least "$(value top1 "$out/stdout")" 0.95
    try "$structnet" bench "$few.cfg" "$few.weights" "$out/net.cfg" "$out/net.weights"
    ok "$bits bits: bench times the head" says 0 'whole net us'
    head -c -1 "$few.weights" > "$out/short.weights"
    try "$structnet" check "$few.cfg" "$out/short.weights"
    ok "$bits bits: a short file is refused" complains 1 'expected .* bytes, found'
done
sed 's/^bits=.*/bits=6/' "$out/few8.cfg" > "$out/bad.cfg"
try "$structnet" check "$out/bad.cfg" "$out/few8.weights"
ok "6 bits" complains 1 'bad.cfg:[0-9]*: \[psm\] bits: expected 1, 2, 3, 4, 8 or 32, found 6'

# ---- mistakes: one line, status 1, nothing written
try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type qqq --share 0.3 -o "$out/x"
ok "an unknown family" complains 2 "expected one of auto,sss,psm,dense,pruned,lowrank, found 'qqq'"
for share in 0 -1 1.5 nan x; do
    try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type sss --share $share -o "$out/x"
    ok "share $share" complains 2 '--share: expected a number'
done
try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type sss --share 0.3 --layer 2.5 -o "$out/x"
ok "half a layer" complains 2 "--layer: expected a whole number, found '2.5'"
try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type sss --share 0.3 -o "$out/"
ok "a folder as a name" complains 2 "-o: expected a name"
sed 's/^output=30.*/output=30\nstages=3/' "$out/net.cfg" > "$out/bad.cfg"
try "$structnet" approx "$out/bad.cfg" "$out/net.weights" --type sss --share 0.3 --layer 2 -o "$out/x"
ok "a key that would be there twice" [ "$status $(grep -c '\[connected\] stages: expected no key of \[sss\] here$' "$out/stderr")" = '1 1' ]
limited() { (ulimit -f 1; exec "$@"); }
try limited "$structnet" approx "$out/net.cfg" "$out/net.weights" --type sss --share 0.9 --layer 1 -o "$out/x"
ok "a file size limit" complains 1 'x.weights: cannot write: File too large'
"$structnet" info "$out/net.cfg" > /dev/full 2> "$out/stderr"
ok "a full standard output is status 1" [ $? = 1 ]
try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type sss --share 0.3 --layer 4 -o "$out/x"
ok "a layer that has no matrix" complains 1 'layer 4 is \[softmax\], expected \[connected\]'
try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type sss --share 0.3 --layer 9 -o "$out/x"
ok "a layer that is not there" complains 1 'the last layer is 4'
try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type sss --bytes 3 -o "$out/x"
ok "a budget for nothing" complains 1 '3 bytes'
try "$structnet" approx "$out/net.cfg" "$out/none" --type sss --share 0.3 -o "$out/x"
ok "weights that are not there" complains 1 "$out/none: cannot read: No such file"
try "$structnet" approx "$out/none.cfg" "$out/net.weights" --type sss --share 0.3 -o "$out/x"
ok "a cfg that is not there" complains 1 "$out/none.cfg: cannot read: No such file"
try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type sss --share 0.3 -o "$out/nowhere/x"
ok "an output folder that is not there" complains 1 'nowhere/x.cfg: cannot write: No such file'
try "$structnet" approx "$out/net.cfg" "$out/net.weights" --type sss --share 0.3 -o "$out/net"
ok "an output that would overwrite the input" complains 1 "$out/net.cfg: is an input"
ok "no file is left behind" [ -z "$(ls "$out" | grep -e '^x' -e tmp)" ]

head -c 3000 "$out/net.weights" > "$out/short.weights"
for command in check info; do
    try "$structnet" $command "$out/net.cfg" "$out/short.weights"
    ok "$command refuses short weights" complains 1 'layer 1 \[connected\]: expected 34720 bytes, found 2236'
done
{ cat "$out/net.weights"; printf x; } > "$out/long.weights"
try "$structnet" check "$out/net.cfg" "$out/long.weights"
ok "check refuses a byte too many" complains 1 'up to the last layer 4'
try "$structnet" check "$out/net.cfg" "$out"
ok "check refuses a folder" complains 1 ': '
{ head -c 24 "$out/net.weights"; printf '\0\0\300\177'; tail -c +29 "$out/net.weights"; } > "$out/nan.weights"
try "$structnet" check "$out/net.cfg" "$out/nan.weights"
ok "check finds a NaN" complains 1 'layer 0 \[convolutional\]: value 1 is nan'
try "$structnet" approx "$out/net.cfg" "$out/nan.weights" --type sss --share 0.3 --layer 2 -o "$out/fine"
ok "approx refuses it in another layer too" complains 1 'nan.weights: layer 0 \[convolutional\]: value 1 is nan, expected a finite number'
sed 's/^size=3/size=3\nbogus/' "$out/net.cfg" > "$out/bad.cfg"
try "$structnet" info "$out/bad.cfg"
ok "a line that is no key" complains 1 "bad.cfg:13: expected key=value, found 'bogus'"
sed 's/^stages=.*/stages=0/; s/^factors=.*/factors=0/' "$out/psm.cfg" > "$out/bad.cfg"
try "$darknet" classifier train "$out/task.data" "$out/bad.cfg"
ok "darknet stops at a wrong value" is 1
ok "... naming file, line, section and key" grep -q "^darknet: $out/bad.cfg:[0-9]*: \[psm\] factors: expected" "$out/stderr"
sed 's/$/\r/; 1s/^/\r\n/; s/^\[sss\].*/[sss] # twenty/' "$out/sss.cfg" > "$out/crlf.cfg"
try "$structnet" info "$out/crlf.cfg" "$out/sss.weights"
ok "carriage returns and comments are no content" says 0 '^ *2  sss '
printf '[net]\nbatch=1\ninputs=4\n[connected]\noutput=3 # a\0b\n' > "$out/bad.cfg"
try "$structnet" info "$out/bad.cfg"
ok "a zero byte in a cfg" complains 1 'found a zero byte at offset 47'
for wrong in learning_rate=abc dontload=yes batch_normalize=2 smooth=nan stages=100000; do
    sed "/^\[sss\]/,\$ { /^inputs=/d; /^outputs=/d; /^causal=/d; /^anticausal=/d; /^states=/d }
        s/^stages=.*/stages=2\nstates=1\n$wrong/" "$out/sss.cfg" | awk '!/^stages=2$/ || "'$wrong'" !~ /^stages/' > "$out/bad.cfg"
    try "$structnet" info "$out/bad.cfg"
    ok "$wrong" complains 1 "bad.cfg:[0-9]*: \[sss\] ${wrong%=*}: expected .* found '*${wrong#*=}"
done
try "$structnet" info darknet/cfg/yolo9000.cfg
ok "a cfg whose tree is not there" [ "$status $(grep -c '9k.tree: cannot read' "$out/stderr")" = '1 1' ]
try "$darknet" classifier train "$out/none.data" "$out/net.cfg"
ok "darknet: a missing file is status 1" is 1
try "$darknet" classifier train "$out/task.data" "$out/none.cfg"
ok "darknet: a missing cfg is status 1" is 1

# ---- eval on bad data
sed 's/valid=.*/valid=none.txt/' "$out/task.data" > "$out/bad.data"
try "$structnet" eval "$out/net.cfg" "$out/net.weights" "$out/bad.data"
ok "a list that is not there" complains 1 'none.txt: cannot read'
grep -v labels "$out/task.data" > "$out/bad.data"
try "$structnet" eval "$out/net.cfg" "$out/net.weights" "$out/bad.data"
ok "a .data file without labels" complains 1 'labels: expected a value'
sed "s|valid=.*|valid=$out/bad.txt|" "$out/task.data" > "$out/bad.data"
echo "$out/images/red/blue.ppm" > "$out/bad.txt"
try "$structnet" eval "$out/net.cfg" "$out/net.weights" "$out/bad.data"
ok "a path with two labels" complains 1 "several labels match: 'red' and 'blue'"
echo "$out/images/pink/1.ppm" > "$out/bad.txt"
try "$structnet" eval "$out/net.cfg" "$out/net.weights" "$out/bad.data"
ok "a path with no label" complains 1 'expected one of 3 labels'
echo "$out/images/red/99.ppm" > "$out/bad.txt"
try "$structnet" eval "$out/net.cfg" "$out/net.weights" "$out/bad.data"
ok "an image that is not there" complains 1 '99.ppm'
printf 'P6\n6 6\n255\n' > "$out/images/red/cut.ppm"
echo "$out/images/red/cut.ppm" > "$out/bad.txt"
sed 's/classes=3/classes=2/' "$out/task.data" > "$out/bad.data"
try "$structnet" eval "$out/net.cfg" "$out/net.weights" "$out/bad.data"
ok "another number of classes" is 1
try "$structnet" eval "$out/net.cfg" "$out/net.weights" "$out/task.data" --resize 8
ok "eval --resize" says 0 '^images  *21$'
ok "... knows the colours" at_least "$(sed -n 's/^top-1 *\([0-9.]*\) %/\1/p' "$out/stdout")" 95
try "$structnet" eval "$out/net.cfg" "$out/net.weights" "$out/task.data" --resize 5
ok "eval --resize below the net's size" complains 1 'net.cfg: --resize 5: expected at least 6, as the net takes 6 x 6 pixels'
try "$structnet" eval "$out/net.cfg" "$out/net.weights" "$out/task.data" --resize 6.5
ok "eval --resize of half a pixel" complains 2 "--resize: expected a whole number, found '6.5'"

# ---- features: 21 images, batches of 8
features() { try "$structnet" features "$out/net.cfg" "$out/net.weights" "$@"; }
features "$out/images.txt" -o "$out/f" --labels "$out/labels.txt" --json
ok "features" says 0 '"classes":.*3'
ok "... of the last matrix" [ "$(value layer "$out/stdout") $(value inputs "$out/stdout")" = "3 30" ]
ok "... a row for each image" [ "$(value images "$out/stdout") $(value rows "$out/stdout")" = "21 21" ]
ok "... as float32" [ "$(wc -c < "$out/f.x.npy")" = $((128 + 21 * 30 * 4)) ]
ok "... and int32 classes in the order of the list" [ "$(tail -c +129 "$out/f.y.npy" | od -An -v -w28 -td4 | tr -s ' ')" = \
    "$(printf ' 2 2 2 2 2 2 2\n 1 1 1 1 1 1 1\n 0 0 0 0 0 0 0')" ]
sed -n 17p "$out/images.txt" > "$out/one.txt"  # the first of the third batch
features "$out/one.txt" -o "$out/f1"
ok "features of one image, without labels" says 0 '^rows  *1$'
ok "... writes no classes" [ ! -e "$out/f1.y.npy" ]
ok "... and the same row" same_bytes "$out/f.x.npy" $((128 + 16 * 120)) "$out/f1.x.npy" 128 120
features "$out/images.txt" -o "$out/f6" --layer 4 --resize 6
ok "features of a layer without a matrix" complains 1 'layer 4 is \[softmax\], expected a connected or structured layer'
ok "... writes nothing" [ ! -e "$out/f6.x.npy" ]
features "$out/images.txt" -o "$out/f6" --layer 5
ok "features of no layer" complains 1 '--layer 5: the last layer is 4'
features "$out/none.txt" -o "$out/f6"
ok "features of no list" complains 1 'none.txt: cannot read: No such file'
: > "$out/empty.txt"
features "$out/empty.txt" -o "$out/f6"
ok "features of an empty list" complains 1 'empty.txt: expected lines, found none'
features "$out/images.txt" -o "$out/f6" --resize 5
ok "features --resize below the net's size" complains 1 '--resize 5: expected at least 6'
printf 'classes=3\ntrain=%s\nvalid=%s\nlabels=%s\n' "$out/images.txt" "$out/one.txt" "$out/labels.txt" > "$out/lists.data"
features "$out/lists.data" -o "$out/f7"
ok "features of a .data file are those of its train list" cmp -s "$out/f.x.npy" "$out/f7.x.npy"
ok "... with the classes of its labels" cmp -s "$out/f.y.npy" "$out/f7.y.npy"
features "$out/lists.data" --list valid -o "$out/f7"
ok "... and with --list valid of the other list" cmp -s "$out/f1.x.npy" "$out/f7.x.npy"
features "$out/lists.data" --list test -o "$out/f6"
ok "... which has no third" complains 2 "--list: expected train or valid, found 'test'"
printf 'classes=2\ntrain=%s\nlabels=%s\n' "$out/images.txt" "$out/labels.txt" > "$out/two.data"
features "$out/two.data" -o "$out/f6"
ok "... of which there must be one for each image" complains 1 'blue/1.ppm: expected one of 2 labels'
features "$out/two.data" --list valid -o "$out/f6"
ok "... and the list" complains 1 'two.data: valid: expected a value, found none'
echo pink > "$out/pink.txt"
features "$out/images.txt" -o "$out/f6" --labels "$out/pink.txt"
ok "features with labels that do not match" complains 1 'blue/1.ppm: expected one of 1 labels .* found none'
features "$out/images.txt" -o "$out/f6" --labels "$out/none.txt"
ok "features without the file of labels" complains 1 'none.txt: cannot read: No such file'
echo text > "$out/images/red/text.ppm"
{ cat "$out/images.txt"; echo "$out/images/red/text.ppm"; } > "$out/bad.txt"
features "$out/bad.txt" -o "$out/f6" --labels "$out/labels.txt"
ok "features of a file that is no image" complains 1 'red/text.ppm'
ok "... leaves nothing behind" [ -z "$(ls "$out" | grep '^f6')" ]
features "$out/images.txt"
ok "features without -o" complains 2 'expected -o NAME'
features "$out/images.txt" -o "$out/"
ok "features to a folder" complains 2 'expected -o NAME'
features "$out/images.txt" -o "$out/nowhere/f"
ok "features to a folder that is not there" complains 1 'nowhere/f.x.npy: cannot write: No such file'
printf '[net]\nbatch=1\nheight=6\nwidth=6\nchannels=3\n[softmax]\n' > "$out/plain.cfg"
head -c 20 "$out/net.weights" > "$out/plain.weights"
try "$structnet" features "$out/plain.cfg" "$out/plain.weights" "$out/images.txt" -o "$out/f6"
ok "features of a net without a matrix" complains 1 'plain.cfg: expected a layer with a matrix, found none'

# ---- other commands of darknet
try "$darknet" partial "$out/net.cfg" "$out/net.weights" "$out/part.weights" 2
ok "darknet partial cuts a net" is 0
ok "... behind its second layer" [ "$(wc -c < "$out/part.weights")" = $((20 + 4 * (4 * 6 + 6 * 27 + 40 + 40 * 216))) ]
try "$darknet" statistics "$out/psm.cfg" "$out/psm.weights"
ok "darknet statistics" is 0

# ---- glyphs
glyphs=$build/make_glyphs
for run in 1 2; do
    try "$glyphs" -o "$out/glyphs" --seed 5 --train 2 --test 1
    ok "make_glyphs says how many classes" says 0 '^classes  *[0-9]*$'
    mv "$out/glyphs" "$out/glyphs-$run"
done
ok "a seed repeats all files byte for byte" diff -rq "$out/glyphs-1" "$out/glyphs-2"
classes=$(wc -l < "$out/glyphs-1/labels.txt")
ok "there are 500 classes" at_least "$classes" 500
ok "every class has its images" [ "$(find "$out/glyphs-1" -name '*.png' | wc -l)" = $((3 * classes + 1)) ]
cut -f 3,4 "$out/glyphs-1/faces.tsv" | sort -u > "$out/designs"
ok "no design is in both splits" [ -z "$(cut -f 1 "$out/designs" | uniq -d)" ]
ok "and both have some" [ "$(grep -cw train "$out/designs")" -gt 0 -a "$(grep -cw test "$out/designs")" -gt 0 ]
try "$glyphs" -o "$out/glyphs" --seed 6 --train 2 --test 1
ok "another seed draws other images" [ "$(cd "$out" && cmp glyphs/train/U+0041/0000.png glyphs-1/train/U+0041/0000.png)" ]
try "$glyphs" -o "$out/images"
ok "make_glyphs keeps away from a folder of others" complains 1 'images: expected an empty directory'
try "$glyphs" -o "$out/none" --fonts "$out/images"
ok "a folder without fonts" complains 1 "$out/images: "
ok "... leaves nothing behind" [ ! -e "$out/none" ]
try "$glyphs" -o "$out/none" --train 0
ok "no images at all" complains 2 '--train: expected a number from 1 to 10000'

readme_is_up_to_date() { sh bench/readme.sh < README.md | cmp -s - README.md; }
ok "the README shows what bench/results holds" readme_is_up_to_date

# ---- checkpoints
golden=tests/checkpoints/zip2.pth
try "$structnet" info $golden
ok "info lists a checkpoint" says 0 'module.float16 .*float16 .* 5  *5$'
try "$structnet" info tests/checkpoints/plain.safetensors --json
ok "info as JSON" says 0 '"crc32"'
try "$structnet" info "$out/none.pth"
ok "info of no file" complains 1 'none.pth: cannot read: No such file'
try "$structnet" import --list resnet18
ok "import --list" says 0 '^layer4.1.conv2.weight  *512x512x3x3$'
try "$structnet" import --list resnet18 --json
ok "import --list as JSON" says 0 '"layer4.1.conv2.weight"'
try "$structnet" import --list resnet17
ok "import of an unknown architecture" complains 1 "architecture: expected one of alexnet, .* found 'resnet17'"
try "$structnet" import resnet18 $golden -o "$out/imported"
ok "import of another net" complains 1 "zip2.pth: resnet18: tensor 'conv1.weight': expected shape 64x3x7x7, found none"
ok "nothing is left of it" [ -z "$(ls "$out" | grep imported)" ]
try "$structnet" import resnet18 tests/corpus/zip-os-system.pth -o "$out/imported"
ok "import executes nothing" complains 1 "expected tensors, found an object of 'posix.system'"
try "$structnet" import resnet18 $golden
ok "import without -o" complains 2 'expected -o NAME'
try "$structnet" import resnet18 $golden -o "$out/imported" --std 1,2
ok "import with two numbers" complains 2 '--std: expected three numbers'

# ---- a head that is a 1x1 convolution
for normalize in 0 1; do
    cat > "$out/pixel.cfg" <<EOF2
[net]
batch=8
height=6
width=6
channels=3
learning_rate=0.05
max_batches=60

[convolutional]
filters=12
size=3
pad=1
activation=leaky

[convolutional]  # the head
batch_normalize=$normalize
filters = 3  # classes
size=1
stride=1
pad=1
activation=relu

[avgpool]

[softmax]
EOF2
    rm -f "$out"/backup/pixel*
    try "$darknet" classifier train "$out/task.data" "$out/pixel.cfg"
    ok "a 1x1 head trains" is 0
    for type in sss psm; do
        try "$structnet" approx "$out/pixel.cfg" "$out/backup/pixel.weights" --type $type --share 1 -o "$out/pixel-$type"
        ok "approx of a 1x1 convolution as $type" says 0 '^layer  *1, 3 x 12$'
        ok "... keeps its comment" grep -q '^filters = 3  # classes$' "$out/pixel-$type.cfg"
        try "$structnet" check "$out/pixel-$type.cfg" "$out/pixel-$type.weights"
        ok "... is whole" is 0
        first=$((20 + 4 * (12 + 12 * 27 + 3)))
        ok "... keeps the weights before it" same_bytes "$out/backup/pixel.weights" 20 "$out/pixel-$type.weights" 20 $((first - 20))
        try "$darknet" classifier train "$out/task.data" "$out/pixel-$type.cfg" "$out/pixel-$type.weights" -clear
        ok "... trains" is 0
    done
    if [ $normalize = 1 ]; then
        size=$(wc -c < "$out/pixel-sss.weights")
        ok "batch statistics move behind the matrix" same_bytes "$out/backup/pixel.weights" $first \
            "$out/pixel-sss.weights" $((size - 36)) 36
    fi
    "$structnet" eval "$out/pixel.cfg" "$out/backup/pixel.weights" "$out/task.data" --json > "$out/dense.json" 2>&1
    "$structnet" eval "$out/pixel-sss.cfg" "$out/pixel-sss.weights" "$out/task.data" --json > "$out/sss.json" 2>&1
    try "$structnet" features "$out/pixel.cfg" "$out/backup/pixel.weights" "$out/images.txt" -o "$out/pixel"
    ok "every pixel of a 1x1 head is a row" says 0 '^rows  *756$'
    try "$structnet" features "$out/pixel-sss.cfg" "$out/pixel-sss.weights" "$out/images.txt" -o "$out/pixel-sss"
    ok "... and a structured head sees the same" cmp -s "$out/pixel.x.npy" "$out/pixel-sss.x.npy"
    ok "all bytes, equal accuracy" [ "$(value top1 "$out/dense.json")" = "$(value top1 "$out/sss.json")" ]
done

# ---- a convolution of groups
sed 's/^filters=12$/&  # as many groups/; 0,/^pad=1/s//pad=1\ngroups = 3  # channels/' "$out/pixel.cfg" > "$out/groups.cfg"
rm -f "$out"/backup/groups*
try "$darknet" classifier train "$out/task.data" "$out/groups.cfg"
ok "a net with groups trains" is 0
python3 -c 'import sys, struct, random
random.seed(1)
values = [random.gauss(0, 1) for i in range(5 * 108)]
header = ("%-117s\n" % {"descr": "<f4", "fortran_order": False, "shape": (5, 3, 6, 6)}).encode()
open(sys.argv[1], "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack("<540f", *values))' "$out/groups.x.npy"
apart() {
    try "$structnet" run "$out/groups.cfg" "$out/backup/groups.weights" --input "$out/groups.x.npy" -o "$out/groups.y.npy"
    try "$structnet" run "$out/grouped.cfg" "$out/grouped.weights" --input "$out/groups.x.npy" -o "$out/grouped.y.npy"
    python3 -c 'import sys, struct
a, b = [struct.unpack("<15f", open(name, "rb").read()[-60:]) for name in sys.argv[1:]]
print(max(abs(x - y) for x, y in zip(a, b)))' "$out/groups.y.npy" "$out/grouped.y.npy"
}
approx_groups() { try "$structnet" approx "$out/groups.cfg" "$out/backup/groups.weights" --layer 0 -o "$out/grouped" "$@"; }
approx_groups --type dense
ok "approx keeps groups apart" says 0 '^bytes      432 of 432, share 1.0000$'
ok "... as stages without states" [ "$(sed -n '/^\[sss\]/,/^$/p' "$out/grouped.cfg" | grep -c -e '^stages=3$' -e '^states=0$' -e '^filters=12  # as many groups$' -e '^groups')" = 3 ]
ok "... the same net" at_least 1e-6 "$(apart)"
approx_groups --type dense --bits 8
ok "... in 8 bits" says 0 '^bytes      132 of 432, share 0.3056$'
ok "... a little away from it" at_least .02 "$(apart)"
ok "... but not the same" at_least "$(apart)" 1e-7
approx_groups --type psm --share 0.5
ok "... a type that would mix them" complains 1 'groups.cfg: layer 0 has groups=3, which only structnet approx --type dense keeps$'
approx_groups --type auto --share 0.5
ok "... auto" complains 1 'layer 0 has groups=3, which only'
try "$structnet" sweep "$out/groups.cfg" "$out/backup/groups.weights" --layer 0 --no-plot -o "$out/swept"
ok "... sweep" complains 1 'layer 0 has groups=3, which only'
approx_groups --type dense --bits 8 --features "$out/pixel"
ok "... features" complains 1 'layer 0 has groups=3, whose matrix is fitted without --features$'
try "$structnet" features "$out/groups.cfg" "$out/backup/groups.weights" "$out/images.txt" --layer 0 -o "$out/bad"
ok "... whose features are none" complains 1 'layer 0 is \[convolutional\], expected a connected or structured layer, or a convolution of one group'
approx_groups --type dense --stages 13
ok "... whatever --stages says" is 0

# ---- a convolution of 3 x 3 at every second pixel
sed '0,/^pad=1/s//pad=1\nstride=2/' "$out/pixel.cfg" > "$out/patch.cfg"
rm -f "$out"/backup/patch*
try "$darknet" classifier train "$out/task.data" "$out/patch.cfg"
ok "a net with a stride of 2 trains" is 0
try "$structnet" features "$out/patch.cfg" "$out/backup/patch.weights" "$out/images.txt" --layer 0 --check --json -o "$out/patch"
ok "features are its patches" says 0 '"inputs":[[:space:]]*27,'
ok "... at every place" says 0 '"rows":[[:space:]]*189,'
for type in sss psm; do
    try "$structnet" approx "$out/patch.cfg" "$out/backup/patch.weights" --layer 0 --type $type --share 1 --features "$out/patch" -o "$out/patch-$type"
    ok "approx of a convolution as $type" says 0 '^layer  *0, 12 x 27$'
    ok "... keeps its stride" grep -q '^stride=2$' "$out/patch-$type.cfg"
    try "$structnet" check "$out/patch-$type.cfg" "$out/patch-$type.weights"
    ok "... is whole" is 0
    try "$structnet" info "$out/patch-$type.cfg" "$out/patch-$type.weights"
    ok "... has its image and its places" says 0 "^ *0 *$type *6 x 6 x 3 *3 x 3 x 12 "
    values=$(sed -n 's/^nonzeros=//p' "$out/patch-$type.cfg")
    ok "... and its values' multiply-adds at each of them" says 0 "^ *0 *$type .* $((9 * ${values:-324}))\$"
    "$structnet" eval "$out/patch.cfg" "$out/backup/patch.weights" "$out/task.data" --json > "$out/dense.json" 2>&1
    "$structnet" eval "$out/patch-$type.cfg" "$out/patch-$type.weights" "$out/task.data" --json > "$out/$type.json" 2>&1
    ok "... has equal accuracy" [ "$(value top1 "$out/dense.json")" = "$(value top1 "$out/$type.json")" ]
    try "$structnet" features "$out/patch-$type.cfg" "$out/patch-$type.weights" "$out/images.txt" --layer 0 --labels "$out/labels.txt" -o "$out/patch-$type"
    ok "... sees the same" cmp -s "$out/patch.x.npy" "$out/patch-$type.x.npy"
    try "$structnet" tune "$out/patch-$type.cfg" "$out/patch-$type.weights" --features "$out/patch-$type" --layer 0 --epochs 1 -o "$out/patch-tuned"
    ok "... tunes" is 0
    try "$darknet" classifier train "$out/task.data" "$out/patch-$type.cfg" "$out/patch-$type.weights" -clear
    ok "... trains" is 0
    sed 's/^max_batches=.*/max_batches=70/' "$out/patch-$type.cfg" > "$out/patch-more.cfg"
    try "$darknet" classifier train "$out/task.data" "$out/patch-more.cfg" "$out/backup/patch-$type.weights"
    ok "... goes on" is 0
done
sed 's/^size=3/size=3\ngroups=3/' "$out/patch-sss.cfg" > "$out/patch-groups.cfg"
try "$structnet" info "$out/patch-groups.cfg"
ok "a structured layer of three groups" complains 1 '\[sss\] groups: expected 1, found 3'
printf '[net]\nbatch=1\nheight=2\nwidth=2\nchannels=3\n[relu6]\nslope=1\n' > "$out/relu6.cfg"
try "$structnet" info "$out/relu6.cfg"
ok "a key that [relu6] does not know" complains 1 'relu6.cfg:7: \[relu6\] slope: unknown key'

# ---- run
"$structnet" approx "$out/net.cfg" "$out/backup/net.weights" --type sss --share 0.5 -o "$out/run" > "$out/log" 2>&1
printf '\223NUMPY\1\0v\0%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3, 6, 6), }" > "$out/x.npy"
head -c 1296 /dev/zero >> "$out/x.npy"
try "$structnet" run "$out/run.cfg" "$out/run.weights" --input "$out/x.npy" -o "$out/y.npy"
ok "run" says 0 '^outputs  3$'
ok "run writes an array" [ "$(wc -c < "$out/y.npy")" = $((128 + 3 * 3 * 4)) ]
ok "equal inputs, equal outputs" same_bytes "$out/y.npy" 128 "$out/y.npy" 140 12
try "$structnet" run "$out/run.cfg" "$out/run.weights" --input "$out/x.npy" -o "$out/y.npy" --layer 99
ok "run of no layer" complains 1 '--layer 99: the last layer is'
head -c 1000 "$out/x.npy" > "$out/short.npy"
try "$structnet" run "$out/run.cfg" "$out/run.weights" --input "$out/short.npy" -o "$out/y2.npy"
ok "run of a short array" complains 1 'expected 324 values of 4 bytes, found 872 bytes'
ok "run leaves no part" [ ! -e "$out/y2.npy" ]
try "$structnet" run "$out/run.cfg" "$out/run.weights" --input tests/checkpoints/zip2.pth -o "$out/y2.npy"
ok "run of no array" complains 1 'expected a NumPy array'

# ---- matrices and features as NumPy arrays
# W = [1 | 4 I]: a column of ones, which a constant feature meets, and a diagonal.
ones_and_diagonal() { f32 1 4 0 0 0  1 0 4 0 0  1 0 0 4 0  1 0 0 0 4; }
{ npy '<f4' '4, 5'; ones_and_diagonal; } > "$out/w.npy"
{ npy '<f4' '4,'; f32 1 1 2 1; } > "$out/b.npy"
{ npy '<f4' '12, 5'; for i in 1 2 3; do f32 2 1 0 0 0  2 0 1 0 0  2 0 0 4 0  2 0 0 0 2; done; } > "$out/f.x.npy"
{ npy '<i4' '12,'; for i in 1 2 3; do i32 0 1 2 3; done; } > "$out/f.y.npy"
{ npy '<i8' '12,'; for i in 1 2 3; do i64 0 1 2 3; done; } > "$out/y64.npy"
matrix() { try "$structnet" approx --matrix "$out/w.npy" "$@"; }

matrix --type pruned --bytes 64 -o "$out/exact" --dense-out "$out/exact.npy" --json
ok "a matrix that fits is exact" [ "$(value error "$out/stdout")" = 0 ]
ok "--dense-out is that matrix" same_bytes "$out/exact.npy" 128 "$out/w.npy" 128 80
ok "its values are counted" [ "$(value params "$out/stdout")" = 8 ]
matrix --type pruned --params 8 --json
ok "a budget of values leaves indices narrow" [ "$(value bytes "$out/stdout")" = 36 ]
try "$structnet" check "$out/exact.cfg" "$out/exact.weights"
ok "a net of one layer is whole" says 0 '^ok$'
try "$structnet" run "$out/exact.cfg" "$out/exact.weights" --input "$out/f.x.npy" -o "$out/exact.y.npy"
ok "... and multiplies" [ "$(floats "$out/exact.y.npy" | cut -d ' ' -f 2-9)" = "6 2 2 2 2 6 2 2" ]

# Four of eight values: the diagonal stays, the ones times the constant 2 go to the bias.
matrix --bias "$out/b.npy" --features "$out/f" --type pruned --bytes 20 -o "$out/bias" --dense-out "$out/bias.w.npy" \
    --bias-out "$out/bias.b.npy" --json
ok "the error is that of the ones" at_least 1e-6 "($(value error "$out/stdout") - (4 / 68) ^ .5) ^ 2 ^ .5"
ok "a corrected bias makes it up" at_least 1e-6 "$(value output_error "$out/stdout")"
ok "an uncorrected one does not" at_least "$(value output_error_uncorrected "$out/stdout")" 0.1
ok "all labels are met" [ "$(value top1 "$out/stdout")" = 1 ]
ok "two of twelve rows are held out" [ "$(value holdout_rows "$out/stdout")" = 2 ]
ok "the bias is what it must be" [ "$(floats "$out/bias.b.npy")" = " 3 3 4 3 " ]
ok "the matrix is the diagonal" [ "$(floats "$out/bias.w.npy" | cut -d ' ' -f 2-8)" = "0 4 0 0 0 0 0" ]
cp "$out/stdout" "$out/first"
matrix --bias "$out/b.npy" --features "$out/f.x.npy" --labels "$out/y64.npy" --type pruned --bytes 20 --json
ok "int64 labels and F.x.npy say the same" [ "$(grep -v seconds "$out/stdout")" = "$(grep -v seconds "$out/first")" ]
try "$structnet" run "$out/bias.cfg" "$out/bias.weights" --input "$out/f.x.npy" -o "$out/bias.y.npy"
ok "the net has the bias" [ "$(floats "$out/bias.y.npy" | cut -d ' ' -f 2-5)" = "7 3 4 3" ]
matrix --features "$out/f.x.npy" --type pruned --bytes 32 --holdout 0 --json
ok "--holdout 0 judges nothing" [ -z "$(value output_error "$out/stdout")$(value top1 "$out/stdout")" ]
ok "... and fits" says 0 '"shrinkage"'
matrix --features "$out/f" --type pruned --bytes 32 --shrinkage 0.25
ok "--shrinkage is obeyed" says 0 '^shrinkage  *0.25, alignment 0$'
judged() { matrix --features "$out/f" --type pruned --bytes 20 --seed "$1" --json; grep output_error "$out/stdout"; }
judged 7 > "$out/seed7"
ok "rows held out judge" [ -s "$out/seed7" ]
ok "a seed holds out the same rows again" [ "$(judged 7)" = "$(cat "$out/seed7")" ]
ok "another seed holds out others" [ "$(judged 8)" != "$(cat "$out/seed7")" ]

for params in 4 7 12; do
    matrix --type sss --params $params --json
    ok "--params $params is kept to" at_least $params "$(value params "$out/stdout")"
done
matrix --type dense --bits 8 --json
ok "all entries in 8 bits take a byte each and two per row" [ "$(value bytes "$out/stdout")" = 28 ]
ok "... and are multiplied" [ "$(value multiply_adds "$out/stdout")" = 20 ]
ok "... nearly as they were" at_least 0.01 "$(value error "$out/stdout")"
matrix --type dense --bits 8 --bytes 27
ok "... which a smaller budget does not hold" complains 1 'all 20 entries take 28 bytes'
matrix --type auto --bits 32,8 --bytes 32 --json
ok "auto compares all types that fit" [ "$(grep -c '"type":	"\(sss\|psm\|lowrank\|pruned\|dense\)"' "$out/stdout")" = 10 ]
ok "... in all numbers of bits" [ "$(grep -c '"bits":	8' "$out/stdout")" = 6 ]
ok "... within the budget" [ -z "$(sed -n 's/.*"bytes":[^0-9]*\([0-9]*\).*/\1/p' "$out/stdout" | awk '$1 > 32')" ]
ok "... and says how columns are stored" says 0 '"index":	"1"'
least() { sed -n 's/.*"choice_error":[^0-9]*\([0-9.e-]*\).*/\1/p' "$1" | sort -g | head -n 1; }
ok "auto takes the least error" [ "$(value choice_error "$out/stdout")" = "$(least "$out/stdout")" ]
ok "... of the matrix without features" [ "$(value choice_error "$out/stdout")" = "$(value error "$out/stdout")" ]
matrix --features "$out/f" --type auto --bytes 32 --holdout 0.5 --json
ok "auto takes the least error of outputs" [ "$(value choice_error "$out/stdout")" = "$(least "$out/stdout")" ]
ok "rows held out choose" at_least 1e-6 "$(value choice_error "$out/stdout")"
ok "half of the rows held out judge" [ "$(value holdout_rows "$out/stdout")" = 3 ]
matrix --features "$out/f" --type auto --bytes 32
ok "auto marks its choice" [ "$(grep -c '^\*[b ][m ] [a-z]* *[0-9]' "$out/stdout")" = 1 ]
# front CHOICE SIZE MARK: the rows of a table that no other has both less error and a smaller size than have the mark.
is_front() {
    awk -v mark="$1" -v size="$2" '/^[* ][b ][m ] [a-z]/ && !/type/ {
            n++; marked[n] = index(substr($0, 1, 3), mark) > 0; $0 = substr($0, 4); e[n] = $7; s[n] = $size
        }
        END {
            for (i = 1; i <= n; i++) {
                front = 1
                for (j = 1; j <= n; j++)
                    if (e[j] <= e[i] && s[j] <= s[i] && (e[j] < e[i] || s[j] < s[i])) front = 0
                wrong += front != marked[i]; some += front
            }
            exit !(n > 8 && some && some < n && !wrong)
        }' "$out/stdout"
}
matrix --type auto --bytes 80
ok "auto marks the best of error and bytes" is_front b 3
ok "... and of error and multiply-adds" is_front m 5
# Exact are eight values of a sparse matrix, and more of an SSS one, which is tried first.
matrix --type auto --bits 32 --bytes 80 --json
ok "auto takes what is exact" [ "$(value error "$out/stdout") $(value multiply_adds "$out/stdout")" = "0 14" ]
matrix --type auto --bits 32 --bytes 80 --target madds --json
ok "--target madds takes the fewest of them" [ "$(value error "$out/stdout") $(value multiply_adds "$out/stdout")" = "0 8" ]
ok "... after all parts of the budget" [ "$(grep -c '"type"' "$out/stdout")" -ge 10 ]
# chosen COST: whether the first object has the least cost of those whose error is at most 1.1 times the least.
chosen() {
    awk -F '[:,]' -v cost="\"$1\"" '$1 ~ "\"" { gsub(/[ \t]/, "", $1) }
        $1 == cost { c = $2 }
        /"choice_error"/ { n++; errors[n] = $2 + 0; costs[n] = c + 0; if (n == 2 || $2 + 0 < least) least = $2 + 0 }
        END {
            for (i = 2; i <= n; i++)
                if (errors[i] <= 1.1 * least && (best == "" || costs[i] < best)) best = costs[i]
            exit !(n > 2 && costs[1] == best && errors[1] <= 1.1 * least)
        }' "$out/stdout"
}
{
    npy '<f4' '8, 8'
    f32 1 2 -1 4 2 0 1 -1 2 2 1 -1 4 1 0 2 -1 4 4 1 2 -1 2 1 4 1 2 2 -1 -1 1 0
    f32 0 -1 2 1 1 4 2 2 1 1 -1 2 4 4 -1 1 2 0 1 1 -1 2 4 4 -1 2 4 0 1 1 2 -1
} > "$out/full.npy"
for cost in bytes madds; do
    try "$structnet" approx --matrix "$out/full.npy" --type auto --bits 8,4 --share 0.9 --madds 70 --target $cost --json
    ok "--target $cost within --madds" chosen $(echo $cost | sed s/madds/multiply_adds/)
done
matrix --type auto --madds 6 --bits 32,4 --json
ok "--madds is kept to" [ -z "$(sed -n 's/.*"multiply_adds":[^0-9]*\([0-9]*\).*/\1/p' "$out/stdout" | awk '$1 > 6')" ]
matrix --type auto --bytes 32 --target seconds
ok "a target that is none" complains 2 "--target: expected bytes or madds, found 'seconds'"
matrix --type psm --bytes 32 --target bytes
ok "a target of one type" complains 2 '--target: expected --type auto with it, found --type psm'
matrix --type psm --bytes 32 --bits 8,4
ok "several numbers of bits for one type" complains 2 '--bits: expected one number with --type psm, found 2'
matrix --type psm
ok "no budget at all" complains 2 'expected one of --share, --bytes, --params and --madds, found none'

# The same layer in a net, with and without batch normalisation: the outputs on the constant feature do not change.
for normalize in 0 1; do
    printf '[net]\nbatch=1\ninputs=5\n[connected]\noutput=4\nactivation=linear\nbatch_normalize=%s\n' $normalize > "$out/bn.cfg"
    { i32 0 2 0 0 0; f32 1 2 1 1; ones_and_diagonal; [ $normalize = 0 ] || f32 2 2 1 1 1 2 1 0 4 4 4 1; } > "$out/bn.weights"
    try "$structnet" approx "$out/bn.cfg" "$out/bn.weights" --features "$out/f" --type pruned --bytes 32 -o "$out/bn-out" --json
    ok "batch_normalize=$normalize: labels are met as by the dense layer" \
        [ "$(value top1 "$out/stdout")" = "$(value dense_top1 "$out/stdout")" ]
    for net in bn bn-out; do
        try "$structnet" run "$out/$net.cfg" "$out/$net.weights" --input "$out/f.x.npy" -o "$out/$net.y.npy"
    done
    ok "batch_normalize=$normalize: the correction is exact" cmp -s "$out/bn.y.npy" "$out/bn-out.y.npy"
    try "$structnet" approx "$out/bn.cfg" "$out/bn.weights" --type pruned --bytes 32 -o "$out/bn-out"
    ok "batch_normalize=$normalize: without features no bias changes" same_bytes "$out/bn.weights" 20 "$out/bn-out.weights" 20 16
    ok "... nor a mean" [ "$(tail -c $((48 * normalize)) "$out/bn.weights" | cksum)" = \
        "$(tail -c $((48 * normalize)) "$out/bn-out.weights" | cksum)" ]
done
printf 'dontloadscales=1\n' >> "$out/bn.cfg"
head -c 116 "$out/bn.weights" > "$out/bn-less.weights"
try "$structnet" approx "$out/bn.cfg" "$out/bn-less.weights" --features "$out/f" --type sss --share 0.5 -o "$out/x"
ok "means that are not there cannot be corrected" complains 1 'layer 0 has dontloadscales=1'

{ npy '<f4' '4, 5'; f32 1 4 0 nan 0  1 0 4 0 0  1 0 0 4 0  1 0 0 0 4; } > "$out/nan.npy"
npy '<f4' '0, 5' > "$out/empty.npy"
{ npy '<i4' '12,'; i32 0 1 2 4 0 0 0 0 0 0 0 0; } > "$out/y4.npy"
{ npy '<f4' '1, 5'; f32 1 4 0 0 0; } > "$out/one.npy"
refuses() {
    name=$1 message=$2
    shift 2
    try "$structnet" approx --type sss --share 0.5 -o "$out/x" "$@"
    ok "$name" complains 1 "$message"
}
w="--matrix $out/w.npy"
refuses "a NaN in a matrix" 'nan.npy: row 0, column 3: found nan, expected a finite number' --matrix "$out/nan.npy"
refuses "a NaN in features" 'nan.npy: row 0, column 3: found nan' $w --features "$out/nan.npy"
refuses "an empty matrix" 'empty.npy: expected a matrix, outputs x inputs, found 0 x 5' --matrix "$out/empty.npy"
refuses "no features" 'empty.npy: expected features, rows x inputs, found 0 x 5' $w --features "$out/empty.npy"
refuses "a vector for a matrix" 'b.npy: expected a matrix, outputs x inputs, found 4 values' --matrix "$out/b.npy"
refuses "a matrix for a bias" 'w.npy: expected 4 values, one per row of .*, found 4 x 5' $w --bias "$out/w.npy"
refuses "features of other inputs" 'y.npy: expected features, rows x inputs, 5 columns, found 12 x 4' $w --features "$out/bias.y.npy"
refuses "labels of other rows" 'f.y.npy: expected 4 labels, .* found 12' $w --features "$out/w.npy" --labels "$out/f.y.npy"
refuses "labels that are floats" "b.npy: expected int32 or int64 ('<i4', '<i8'), found '<f4'" $w --features "$out/f" --labels "$out/b.npy"
refuses "a label beyond the outputs" 'y4.npy: row 3: expected a class from 0 to 3, found 4' $w --features "$out/f" --labels "$out/y4.npy"
refuses "a single row" 'one.npy: expected at least 2 rows, of which 1 are held out, found 1' $w --features "$out/one.npy"
refuses "features that are not there" 'none.x.npy: cannot read' $w --features "$out/none"
refuses "an output that is an input" 'w.npy: is an input' $w --dense-out "$out/w.npy"
refuses "two outputs in a file" 'x.npy: expected one output in a file, found two' $w --dense-out "$out/x.npy" --bias-out "$out/x.npy"
try "$structnet" run "$out/net.cfg" "$out/net.weights" --input "$out/x.npy" -o "$out/x.npy"
ok "run does not overwrite its input" complains 1 'x.npy: is an input, expected another output'
cp "$out/images.txt" "$out/list.x.npy"
try "$structnet" features "$out/net.cfg" "$out/net.weights" "$out/list.x.npy" -o "$out/list"
ok "features do not overwrite their list" complains 1 'list.x.npy: is an input, expected another output'
matrix --type sss --share 0.5 --bytes 20
ok "two budgets" complains 2 'expected one of --share, --bytes and --params, found 2'
matrix --type sss --share 0.5 --labels "$out/f.y.npy"
ok "labels without features" complains 2 '--labels: expected --features with it'
matrix --type sss --share 0.5 --holdout 1
ok "nothing to fit" complains 2 '--holdout: expected a number from 0 to'
matrix --type sss --share 0.5 --effort much
ok "an unknown effort" complains 2 "--effort: expected one of quick, normal, thorough, found 'much'"
matrix --type auto --bytes 3
ok "auto with a budget for nothing" complains 1 'bytes'
{ npy '<f4' '300, 300'; for i in 1 2 3 4 5 6 7 8 9 10 11; do tail -c +21 "$out/net.weights"; done; } | head -c 360128 > "$out/large.npy"

# ---- Ctrl-C
{ npy '<f4' '600, 1200'; i=0; while [ $i -lt 84 ]; do tail -c +21 "$out/net.weights"; i=$((i + 1)); done; } \
    | head -c $((128 + 4 * 600 * 1200)) > "$out/huge.npy"
thorough() { interruptible "$structnet" approx --matrix "$out/huge.npy" --type psm --share 0.3 --effort thorough "$@"; }
thorough -o "$out/stopped" --json
within 10 catches
interrupt
finish
ok "Ctrl-C ends a thorough search, which takes minutes" is 0
ok "... with a whole report" says 0 '^}$'
ok "... of a result" at_least 0.9 "$(value error "$out/stdout")"
try "$structnet" check "$out/stopped.cfg" "$out/stopped.weights"
ok "... and whole files" says 0 '^ok$'
thorough -o "$out/stopped-twice"
within 10 catches
interrupt
within 10 dies_at_once
interrupt
finish
ok "a second Ctrl-C ends the program" is 130
ok "... without a report" [ ! -s "$out/stdout" ]
ok "... and without a file" [ -z "$(ls "$out" | grep stopped-twice)" ]

# ---- forms of a sparse product
# The Hadamard matrix: the sign of (i, j) is the parity of the ones that i and j have in common.
hadamard() {
    for i in 0 1 2 3 4 5 6 7; do
        for j in 0 1 2 3 4 5 6 7; do
            common=$((i & j))
            f32 $((1 - 2 * ((common ^ common >> 1 ^ common >> 2) & 1)))
        done
    done
}
{ npy '<f4' '8, 8'; hadamard; } > "$out/hadamard.npy"
try "$structnet" approx --matrix "$out/hadamard.npy" --type psm --factors 3 --params 48 --dense-out "$out/product.npy" --json
ok "three factors of a Hadamard matrix" is 0
ok "... are exact" same_bytes "$out/hadamard.npy" 128 "$out/product.npy" 128 256
ok "... with two values in each row" [ "$(value params "$out/stdout")" = 48 ]
large() { try "$structnet" approx --matrix "$out/large.npy" --type psm --effort quick -o "$out/form" "$@"; }
large --share 0.1 --block 4
ok "--block is obeyed" grep -q '^block=4$' "$out/form.cfg"
try "$structnet" check "$out/form.cfg" "$out/form.weights"
ok "... in a whole net" says 0 '^ok$'
large --share 0.1 --factors 1 --pattern rows --json
ok "--pattern" says 0 '"params"'
large --share 0.1 --block 3
ok "blocks of three" complains 1 'psm: blocks of 3 rows, expected 1, 4 or 8'
large --share 0.1 --pattern squares
ok "an unknown pattern" complains 2 "--pattern: expected one of entries, rows, columns, 1:4, 2:4, 1:8, 1:16, found 'squares'"
large --share 0.1 --factors 17
ok "too many factors" complains 2 '--factors: expected a number from 1 to 16'

# ---- sweep
sweep() { try "$structnet" sweep --matrix "$out/w.npy" --features "$out/f" --bits 32,4 "$@"; }
table() { grep -v '^#' "$1" | cut -f 1-8; }  # all but times
sweep -o "$out/sweep"
ok "sweep" says 0 '^rows  *50, of which 0 were there$'
ok "a row for each type, number of bits and share, and dense ones" [ "$(table "$out/sweep.tsv" | wc -l)" = 51 ]
ok "every row has its columns" [ "$(grep -v '^#' "$out/sweep.tsv" | awk -F '\t' '{ print NF }' | sort -u)" = 10 ]
ok "... with these names" grep -q '^type	bits	share	bytes	madds	error	output_error	top1	seconds	us$' "$out/sweep.tsv"
ok "a row for the dense matrix in floats" grep -q '^dense	32		80	20	0	0	1	[0-9.e-]*	[0-9.e-]*$' "$out/sweep.tsv"
ok "... and in 4 bits" grep -q '^dense	4		20	20	0[.]' "$out/sweep.tsv"
ok "every matrix has a time" [ -z "$(awk -F '\t' '/^[^#]/ && $1 != "type" && $4 != "" && !($10 > 0)' "$out/sweep.tsv")" ]
ok "a picture" [ "$(bytes "$out/sweep.png" 1 3)" = PNG ]
ok "another" grep -q '<svg' "$out/sweep.svg"
ok "curves have names" grep -q 'low rank, 4 bits' "$out/sweep.svg"
ok "... and so has every axis" [ "$(grep -c '>\(bytes\|multiply-adds\|seconds of one product\)<' "$out/sweep.svg")" = 9 ]
ok "a budget for nothing leaves cells empty" grep -q "^pruned	32	0.02							$" "$out/sweep.tsv"
matrix --features "$out/f" --type pruned --share 0.5 --json
ok "a row says what approx says" [ "$(value error "$out/stdout" | cut -c 1-8)" = \
    "$(sed -n 's/^pruned	32	0.5	[0-9]*	[0-9]*	\([^	]*\).*/\1/p' "$out/sweep.tsv" | cut -c 1-8)" ]
sweep -o "$out/sweep2" -j 2 --no-plot
table "$out/sweep.tsv" > "$out/table"
ok "two processes, the same table" [ "$(table "$out/sweep2.tsv")" = "$(cat "$out/table")" ]
ok "--no-plot draws nothing" [ ! -e "$out/sweep2.png" ]
sed -i '/^sss	32	0.1/d; /^dense	4/d' "$out/sweep2.tsv"
sweep -o "$out/sweep2"
ok "a sweep computes what is missing" says 0 '^rows  *50, of which 48 were there$'
ok "... in its place" [ "$(table "$out/sweep2.tsv")" = "$(cat "$out/table")" ]
echo "type	share" > "$out/foreign.tsv"
sweep -o "$out/foreign"
ok "a table of others is not touched" complains 1 'foreign.tsv: expected a table of this sweep, fingerprint [0-9a-f]*, found none; remove'
sweep -o "$out/sweep2" --seed 1
ok "another sweep is refused" complains 1 'sweep2.tsv: expected a table of this sweep, fingerprint [0-9a-f]*, found [0-9a-f]*; remove'
sweep -o "$out/sweep3" --shares .5,.3 --types pruned --no-plot
ok "--shares, --types and --bits choose the rows" [ "$(table "$out/sweep3.tsv" | cut -f 1-3 | tail -n +2 | tr '\t\n' '  ')" = \
    "pruned 32 0.5 pruned 32 0.3 pruned 4 0.5 pruned 4 0.3 dense 32  " ]
sweep -o "$out/sweep3" --shares .5,.3 --types pruned --no-plot --bits 4
ok "other numbers of bits make another sweep" complains 1 'sweep3.tsv: expected a table of this sweep'
sweep -o "$out/sweep3" --shares .5,.3 --types pruned --no-plot --factors 2
ok "an option of a family makes another sweep" complains 1 'sweep3.tsv: expected a table of this sweep'
sweep -o "$out/sweep4" --shares .5 --types psm --no-plot --stages 2 --factors 2
matrix --features "$out/f" --type psm --share 0.5 --factors 2 --json
ok "two factors are worse here" at_least "$(value error "$out/stdout")" 0.5
ok "a sweep obeys it" [ "$(value error "$out/stdout" | cut -c 1-8)" = \
    "$(sed -n 's/^psm	32	0.5	[0-9]*	[0-9]*	\([^	]*\).*/\1/p' "$out/sweep4.tsv" | cut -c 1-8)" ]
sweep -o "$out/x" --types pruned,qqq
ok "a type that is none" complains 2 "--types: expected some of .*, found 'qqq'"
sweep -o "$out/x" --shares .1,.1
ok "a share twice" complains 2 '--shares: found .1 twice'
sweep -o "$out/x" --shares .1,
ok "a share that is none" complains 2 "--shares: expected a number from .*, found ''"
try env PATH="$out" "$structnet" sweep --matrix "$out/w.npy" -o "$out/x"
ok "sweep without gnuplot" complains 1 'gnuplot: not found'
large="$structnet sweep $out/net.cfg $out/net.weights --layer 1 --types sss,psm --no-plot"
try $large -o "$out/whole"
ok "sweep of a layer" says 0 '^rows  *49, '
$large -o "$out/killed" > "$out/log" 2>&1 &
has_rows() { [ "$(cat "$out/killed.tsv" 2> "$out/log" | wc -l)" -ge 8 ]; }
within 60 has_rows
kill -KILL $!
wait $! 2> "$out/log"
rm -f "$out"/killed.tsv.tmp*  # which only kill -9 leaves
ok "a killed sweep leaves its rows" [ "$(table "$out/killed.tsv" | wc -l)" -lt 50 ]
try $large -o "$out/killed"
ok "... goes on" says 0 '^rows  *49, of which [1-9][0-9]* were there$'
ok "... to the same table" [ "$(table "$out/killed.tsv")" = "$(table "$out/whole.tsv")" ]
ok "no file of a mistake is left" [ -z "$(ls "$out" | grep -e '^x\.[^n]' -e tmp)" ]

# ---- threads: of sizes that are cut into panels, or that have both sweeps of a plan run at the same time
perl_npy() {
    npy '<f4' "$1, $2"
    perl -e 'srand 1; for (1 .. $ARGV[0]) { print pack "f<*", map { (rand) + (rand) - 1 } 1 .. $ARGV[1] }' $1 $2
}
perl_npy 1320 2500 > "$out/wide.npy"
perl_npy 900 1560 > "$out/large.npy"
perl_npy 60 1560 > "$out/large-x.npy"
perl_npy 420 400 > "$out/middle.npy"
perl_npy 60 400 > "$out/middle-x.npy"
# threads NAME OPTION...: the same files whatever OpenBLAS is allowed.
threads() {
    name=$1
    shift
    for n in 1 2 all; do
        [ $n = all ] && allowed= || allowed=OPENBLAS_NUM_THREADS=$n
        try env -u OPENBLAS_NUM_THREADS $allowed "$structnet" approx --effort quick -o "$out/threads-$n" "$@"
        ok "$name, threads: $n" is 0
        ok "... the same weights" cmp "$out/threads-1.weights" "$out/threads-$n.weights"
        ok "... the same cfg" cmp "$out/threads-1.cfg" "$out/threads-$n.cfg"
    done
}
weighed="--features $out/large-x.npy --shrinkage 0.5"
threads "low rank" --matrix "$out/wide.npy" --type lowrank --share 0.1
threads "low rank by features" --matrix "$out/large.npy" $weighed --type lowrank --share 0.1
threads "pruned" --matrix "$out/wide.npy" --type pruned --share 0.1
threads "pruned by features" --matrix "$out/large.npy" $weighed --type pruned --share 0.1
threads "sss" --matrix "$out/middle.npy" --type sss --share 0.1
threads "sss by features" --matrix "$out/large.npy" $weighed --type sss --stages 12 --share 0.2
threads "psm" --matrix "$out/middle.npy" --type psm --share 0.1
threads "psm by features" --matrix "$out/middle.npy" --features "$out/middle-x.npy" --type psm --share 0.1
try env -u OPENBLAS_NUM_THREADS "$structnet" sweep --matrix "$out/large.npy" $weighed -j 2 --effort quick --shares 0.1 \
    --types lowrank,pruned --bits 32 --no-plot -o "$out/threads"
ok "sweep of processes and threads" says 0 '^rows  *3, '

# Kernels of OpenBLAS that are older than the processor give way to newer ones, unless the user chose them.
cores() { sed -n 's/^Core: //p' "$out/stderr" | tr '\n' ' '; }
preload=$(mktemp -d) # LD_PRELOAD takes no path with a space
ln -s "$(cd "$build" && pwd)/old_core.so" "$preload"
old() { try env -u OPENBLAS_CORETYPE OPENBLAS_VERBOSE=2 LD_PRELOAD="$preload/old_core.so" "$@"; }
if grep -q '^flags.* avx ' /proc/cpuinfo; then
    for program in "$structnet" "$darknet"; do
        old "$program" --version
        ok "$program starts again with the processor's kernels" [ "$(cores | sed 's/^Prescott [^P][^ ]* $/two/')" = two ]
        old env OPENBLAS_CORETYPE=Prescott "$program" --version
        ok "... but not with those that the user chose" [ "$(cores)" = "Prescott " ]
    done
    old "$structnet" --version
    ok "--version names them" says 0 '^OpenBLAS core [^P]'
fi
rm -r "$preload"

summary commands
