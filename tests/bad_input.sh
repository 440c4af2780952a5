#!/bin/sh
# What strangers' files and unlucky numbers do: every command ends with one line, and leaves no file. Usage:
# tests/bad_input.sh BUILD. Closes with the counts; exits with 1 when any failed.
set -u

build=$1
out=$build/test-bad-input
structnet=$build/structnet
darknet=$build/darknet
. tests/checks.sh
three_colours

cat > "$out/net.cfg" <<'END'
[net]
batch=7
height=6
width=6
channels=3
learning_rate=0.01
max_batches=20

[convolutional]
filters=4
size=3
pad=1
batch_normalize=1
activation=relu

[connected]
output=3
activation=linear

[softmax]
END
try "$darknet" classifier train "$out/task.data" "$out/net.cfg"
ok "the net of these tests trains" is 0
cp "$out/backup/net.weights" "$out/net.weights"
zeros() { head -c "$1" /dev/zero; }

# ---- matrices and features of extreme numbers
{ npy '<f4' '24, 32'; zeros 3072; } > "$out/zero.npy"
{ npy '<f4' '24, 32'; tail -c 1800 "$out/net.weights"; zeros 1272; } > "$out/some.npy"
{ npy '<f4' '20, 32'; zeros 2560; } > "$out/silent.npy"
{ npy '<i4' '20,'; zeros 80; } > "$out/y.npy"
{ npy '<f4' '20, 32'; cat "$out/net.weights" "$out/net.weights" | tail -c +21 | head -c 2560; } > "$out/x.npy"
for type in sss psm lowrank pruned auto; do
    try "$structnet" approx --matrix "$out/zero.npy" --type $type --share 0.3 -o "$out/zero-$type" --json
    ok "$type: a matrix of zeros has no error" [ "$status $(value error "$out/stdout")" = "0 0" ]
    try "$structnet" check "$out/zero-$type.cfg" "$out/zero-$type.weights"
    ok "... and is a whole net" says 0 '^ok$'
    try "$structnet" approx --matrix "$out/zero.npy" --features "$out/silent.npy" --labels "$out/y.npy" --type $type --share 0.3 -o "$out/zero-$type"
    ok "... with features of zeros too" is 0
    try "$structnet" approx --matrix "$out/some.npy" --features "$out/silent.npy" --type $type --share 0.3 -o "$out/zero-$type"
    ok "$type: features of zeros alone" is 0
done
try "$structnet" sweep --matrix "$out/zero.npy" --shares 0.3 -o "$out/zero-curve"
ok "sweep: a matrix of zeros" is 0
# Entries from 2^57 to 2^59, of which no sum of squares is a float, are as good as others.
{ npy '<f4' '24, 32'; printf "$(awk 'BEGIN {
    srand(1)
    for (i = 0; i < 768; i++) printf "\\0\\%o\\%o\\%o", 256 * rand(), 128 + 128 * rand(), 92 + 128 * int(2 * rand())
}')"; } > "$out/scaled.npy"
for type in sss psm lowrank pruned dense auto; do
    for features in '' "--features $out/x.npy --labels $out/y.npy"; do
        try "$structnet" approx --matrix "$out/scaled.npy" $features --type $type --share 0.3 --bits 8 -o "$out/scaled" --json
        ok "$type: entries of 2^58 ${features:+with features}" [ "$status $(value error "$out/stdout" | cut -c 1-2)" = '0 0.' ]
        try "$structnet" check "$out/scaled.cfg" "$out/scaled.weights"
        ok "... is a whole net" says 0 '^ok$'
    done
done
# large BYTE: 1 as an exponent beyond 2^60 has it, up to the largest float.
for byte in 136 177; do
    { npy '<f4' '24, 32'; zeros 396; printf "\\0\\0\\0\\$byte"; zeros 2672; } > "$out/large.npy"
    for type in sss psm lowrank pruned auto; do
        try "$structnet" approx --matrix "$out/large.npy" --type $type --share 0.3 -o "$out/large"
        ok "$type: an entry whose square is no float" complains 1 'large.npy: row 3, column 3: found .*, expected at most 1.15292e+18 in size$'
    done
    try "$structnet" approx --matrix "$out/some.npy" --features "$out/large.npy" --type sss --share 0.3 -o "$out/large"
    ok "such a feature" complains 1 'large.npy: row 3, column 3: found'
    try "$structnet" sweep --matrix "$out/large.npy" -o "$out/large"
    ok "sweep: such an entry" complains 1 'large.npy: row 3, column 3: found'
done
ok "no file is left behind" [ -z "$(ls "$out" | grep -e '^large[^.]' -e tmp)" ]

# ---- weights that are not finite: of 4 biases, scales, means and variances, 108 filters, 3 biases, 432 entries
for at in 0:0:convolutional 5:0:convolutional 15:0:convolutional 100:0:convolutional 124:1:connected 200:1:connected; do
    place=${at%%:*} layer=${at#*:}
    { head -c $((20 + 4 * place)) "$out/net.weights"; printf '\0\0\200\377'; tail -c +$((25 + 4 * place)) "$out/net.weights"; } > "$out/inf.weights"
    text="inf.weights: layer ${layer%:*} \\[${layer#*:}\\]: value $((place - (place >= 124) * 124)) is -inf, expected a finite number$"
    try "$structnet" eval "$out/net.cfg" "$out/inf.weights" "$out/task.data"
    ok "eval: word $place is infinite" complains 1 "$text"
    try "$structnet" features "$out/net.cfg" "$out/inf.weights" "$out/images.txt" -o "$out/inf"
    ok "features: likewise" complains 1 "$text"
    try "$structnet" approx "$out/net.cfg" "$out/inf.weights" --type sss --share 0.3 -o "$out/inf"
    ok "approx: likewise" complains 1 "$text"
    try "$structnet" info "$out/net.cfg" "$out/inf.weights"
    ok "info: likewise" complains 1 "$text"
    try "$darknet" classifier train "$out/task.data" "$out/net.cfg" "$out/inf.weights"
    ok "train: likewise" [ "$status $(tail -n 1 "$out/stderr" | grep -c "^darknet: .*$text")" = "1 1" ]
done

# ---- sections and keys (tests/cfgs.txt)
printf 'text' > "$out/image.ppm"
plus='[net] width=8 height=8 channels=3'
grep -v -e '^#' -e '^$' tests/cfgs.txt > "$out/cfgs.txt"
while IFS= read -r row; do
    text=${row%% => *} expected=${row#* => }
    [ "$text" = "${text#+}" ] || text="$plus${text#+}"
    echo "$text" | tr ' ' '\n' > "$out/cfg.cfg"
    try "$structnet" info "$out/cfg.cfg"
    if [ "$expected" = ok ]; then
        ok "$text" [ "$status $(wc -c < "$out/stderr")" = '0 0' ]
        continue
    fi
    is_line() { [ "$status" = 1 ] && [ "$(wc -l < "$out/stderr")" = 1 ] && grep -q -F "cfg.cfg$expected" "$out/stderr"; }
    ok "$text" is_line
    try "$darknet" classifier predict "$out/task.data" "$out/cfg.cfg" "$out/net.weights" "$out/image.ppm"
    ok "... to darknet too" is_line
done < "$out/cfgs.txt"
ok "all rows were read" [ "$(wc -l < "$out/cfgs.txt")" -ge 100 ]
echo "$plus [convolutional] filters=4 colour=red filters=5 [conv] colour=red" | tr ' ' '\n' > "$out/cfg.cfg"
try "$structnet" info "$out/cfg.cfg"
ok "an unknown key and a second one are warnings" [ "$status $(grep -c 'warning: .*cfg.cfg:[78]: \[convolutional\] ' "$out/stderr") $(wc -l < "$out/stderr")" = '0 2 2' ]

# tree TEXT...: info on a net over a tree of these lines.
echo "$plus [connected] output=4 [softmax] tree=$out/classes.tree" | tr ' ' '\n' > "$out/tree.cfg"
tree() {
    printf '%s\n' "$@" > "$out/classes.tree"
    try "$structnet" info "$out/tree.cfg"
}
tree 'a -1' 'b -1' 'c 1' 'd 1'
ok "a tree of classes" is 0
tree 'a -1' 'b -1' 'c 1'
ok "... of fewer classes" complains 1 'classes.tree: expected 4 classes, found 3'
tree 'a -1' 'b 4' 'c 1' 'd 1'
ok "... with a parent below" complains 1 "classes.tree:2: expected a name and the number of a line above, or -1, found 'b 4'"
tree "$(printf '%0300d -1' 0)" 'b -1' 'c 1' 'd 1'
ok "... with a name longer than Darknet's" complains 1 'classes.tree:1: expected a name of at most 255 bytes, found 300'

# ---- arrays in Fortran order
{ npy '<f4' '2, 3' | tr -d '\n' | sed 's/False, /True,  /'; echo; f32 1 4 2 0 -1 1; } > "$out/fortran.npy"
try "$structnet" approx --matrix "$out/fortran.npy" --type dense --dense-out "$out/ordered.npy"
ok "Fortran order is read" [ "$status$(floats "$out/ordered.npy")" = '0 1 2 -1 4 0 1 ' ]

# ---- checkpoints: squeezenet1_1 as safetensors of zeros. numbers COUNT: so many 4-byte words
"$structnet" import --list squeezenet1_1 | awk 'NR > 1 { gsub("x", ",", $2); print $1, $2 }' > "$out/tensors.txt"
# header [PREFIX]: what stands before the elements, but for its length
header() {
    awk -v prefix="$1" 'BEGIN { printf "{" } {
        n = split($2, sizes, ","); bytes = 4
        for (i = 1; i <= n; i++) bytes *= sizes[i]
        printf "%s\"%s%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%d,%d]}", (NR > 1 ? "," : ""), prefix, $1, $2, at, at + bytes
        at += bytes
    } END { printf "}" }' "$out/tensors.txt"
}
# safetensors BYTES: the header on stdin, and so many zeros
safetensors() {
    cat > "$out/header"
    n=$(wc -c < "$out/header")
    printf "\\$(printf %o $((n & 255)))\\$(printf %o $((n >> 8 & 255)))\\$(printf %o $((n >> 16)))\\0\\0\\0\\0\\0"
    cat "$out/header"
    zeros "$1"
}
elements=$(header '' | sed 's/.*,\([0-9]*\)\]}}$/\1/')
header '' | safetensors "$elements" > "$out/m.safetensors"
try "$structnet" import squeezenet1_1 "$out/m.safetensors" -o "$out/m"
ok "import of zeros" is 0
cp "$out/m.safetensors" "$out/n.weights"
try "$structnet" import squeezenet1_1 "$out/n.weights" -o "$out/n"
ok "import over its file" complains 1 'n.weights: is an input, expected another output'
{ head -c -4 "$out/m.safetensors"; f32 nan; } > "$out/bad.safetensors"
try "$structnet" import squeezenet1_1 "$out/bad.safetensors" -o "$out/bad"
ok "import of a NaN" complains 1 "bad.safetensors: tensor 'classifier.1.bias': value 999 is nan, expected a finite number$"
refuses() {
    try "$structnet" info "$out/bad.safetensors"
    ok "safetensors: $1" complains 1 "bad.safetensors: safetensors $2"
}
header '' | safetensors $((elements + 1)) > "$out/bad.safetensors"
refuses "bytes of no tensor at the end" "data: expected every byte in one tensor, found byte $elements in none"
header '' | sed 's/\[0,6912\]/[4,6916]/' | safetensors "$elements" > "$out/bad.safetensors"
refuses "a hole" 'data: expected every byte in one tensor, found byte 0 in none'
header '' | sed 's/\[6912,7168\]/[6908,7164]/' | safetensors "$elements" > "$out/bad.safetensors"
refuses "an overlap" 'data: expected every byte in one tensor, found byte 6908 in two'
{ header ''; printf ' x'; } | safetensors "$elements" > "$out/bad.safetensors"
refuses "text behind the JSON" 'header: expected a JSON object without zero characters, and blanks behind it'
header '' | sed 's/features.0/features\\u00000/' | safetensors "$elements" > "$out/bad.safetensors"
refuses "a zero character in a name" 'header: expected a JSON object without zero characters'
awk 'BEGIN { for (i = 0; i < 20000; i++) print "n" i ".features.0.weight", 1 }' > "$out/alike"
cp "$out/tensors.txt" "$out/before"
cp "$out/alike" "$out/tensors.txt"
header '' | safetensors 80000 > "$out/bad.safetensors"
cp "$out/before" "$out/tensors.txt"
try timeout 20 "$structnet" import squeezenet1_1 "$out/bad.safetensors" -o "$out/bad"
ok "20,000 names that end alike take seconds" complains 1 "expected shape 64x3x3x3, found 1$"

try "$structnet" import resnet18 tests/corpus/zip-two-models.pth -o "$out/two"
ok "two state dicts: the message names the other" complains 1 "expected shape 64x3x7x7, found none; --key reads others: model_ema$"
try "$structnet" import resnet18 tests/corpus/zip-two-models.pth --key model_ema -o "$out/two"
ok "... which --key chooses" complains 1 "expected shape 64x3x7x7, found none; --key reads others: model$"
try "$structnet" import resnet18 "$out/m.safetensors" --key model -o "$out/two"
ok "... which safetensors do not have" complains 1 "expected a PyTorch checkpoint with the key 'model', found safetensors"
try "$structnet" import resnet18 tests/corpus/zip-module.pth -o "$out/two"
ok "a whole module: what to do" complains 1 'found a whole module, .*ResNet.; load it in PyTorch and torch.save(model.state_dict(), FILE)$'

# ---- commands of darknet without what they need
darknet_says() {
    name=$1 message=$2
    shift 2
    try "$darknet" classifier "$@"
    ok "darknet: $name" [ "$status $(grep '^darknet: ' "$out/stderr" | grep -c -e "$message")" = '1 1' ]
}
for command in train valid validcrop predict; do
    darknet_says "$command without a cfg" 'expected DATA CFG, found no cfg' $command "$out/task.data"
done
darknet_says 'validcrop of few images' 'valid: expected at least 1000 images, .* found 21' validcrop "$out/task.data" "$out/net.cfg" "$out/net.weights"
for n in 4 -2; do
    darknet_says "predict -t $n" "-t: expected 1 to 3, the net's outputs, found $n" predict "$out/task.data" "$out/net.cfg" "$out/net.weights" \
        "$out/images/red/1.ppm" -t $n
done

# ---- a task of which one thing is wrong, to every command that meets it: what Darknet crashed on, hung on or passed over
# fresh: the task as it should be, in $out/case.
fresh() {
    rm -rf "$out/case"
    mkdir -p "$out/case/backup"
    cp "$out/net.cfg" "$out/net.weights" "$out/labels.txt" "$out/case"
    cp "$out/images.txt" "$out/case/train.txt"
    cp "$out/images.txt" "$out/case/valid.txt"
    cp "$out/images/red/1.ppm" "$out/case/red.ppm"
    sed "s|=$out/labels.txt|=$out/case/labels.txt|; s|^train=.*|train=$out/case/train.txt|; s|^valid=.*|valid=$out/case/valid.txt|
         s|^backup=.*|backup=$out/case/backup|" "$out/task.data" > "$out/case/task.data"
}
# wrong NAME MESSAGE COMMANDS COMMAND...: what COMMANDS say after COMMAND has changed the fresh case.
wrong() {
    fault=$1 message=$2 commands=$3
    shift 3
    fresh
    (cd "$out/case" && "$@")
    for command in $commands; do
        set -- "$out/case/task.data" "$out/case/net.cfg" "$out/case/net.weights"
        case $command in
        check) try "$structnet" check "$2" "$3" "$1" ;;
        train) try "$darknet" classifier train "$@" -clear ;;
        predict) try "$darknet" classifier predict "$@" "$out/case/red.ppm" ;;
        *) try "$darknet" classifier $command "$@" ;;
        esac
        ok "$command: $fault" [ "$status $(grep -c -e '^darknet: ' -e '^structnet check: ' "$out/stderr") $(tail -n 1 "$out/stderr" | grep -c -e "$message") $(ls "$out/case/backup" | wc -l)" = '1 1 1 0' ]
    done
}
# change FILE SCRIPT: sed in place. first_bytes FILE N: no more of it. add FILE TEXT: behind its end.
change() { sed "$2" "$1" > changed && mv changed "$1"; }
first_bytes() { head -c "$2" "$1" > changed && mv changed "$1"; }
add() { printf "$2" >> "$1"; }
all='train valid predict check'
wrong 'truncated weights' 'net.weights: layer 0 \[convolutional\]: expected 496 bytes, found 80$' "$all" first_bytes net.weights 100
wrong 'empty weights' 'net.weights: header: expected 16 or 20 bytes, found 0$' "$all" first_bytes net.weights 0
wrong 'weights that go on' 'net.weights: expected 2256 bytes up to the last layer 2, found 2257$' "$all" add net.weights x
wrong 'weights of another net' 'net.weights: layer 0 \[convolutional\]: expected 3224 bytes, found 2236$' "$all" change net.cfg 's/^filters=4/filters=26/'
wrong 'no cfg' 'net.cfg: cannot read: No such file' "$all" rm net.cfg
wrong 'no weights' 'net.weights: cannot read: No such file' "$all" rm net.weights
wrong 'no .data file' 'task.data: cannot read: No such file' "$all" rm task.data
wrong 'no labels' 'labels.txt: cannot read: No such file' "$all" rm labels.txt
wrong 'no training list' 'train.txt: cannot read: No such file' 'train check' rm train.txt
wrong 'no valid list' 'valid.txt: cannot read: No such file' 'train valid check' rm valid.txt
wrong 'no backup directory' 'backup: cannot write to .*case/none: No such file' 'train check' change task.data 's|/backup$|/none|'
for list in train valid; do
    case $list in train) commands='train check' ;; *) commands='train valid check' ;; esac
    wrong "$list: a missing image" 'case/red.none: cannot read: No such file' "$commands" add $list.txt "$out/case/red.none"
    wrong "$list: an image without content" 'case/red.txt: cannot decode: ' "$commands" eval "echo no >> red.txt; echo $out/case/red.txt >> $list.txt"
    wrong "$list: a blank line" "$list.txt:3: expected text, found a blank line" "$commands" change $list.txt '3s/.*//'
    wrong "$list: no images" "$list.txt: expected lines, found none" "$commands" first_bytes $list.txt 0
    wrong "$list: an image of no class" 'pink.ppm: expected one of 3 labels' "$commands" add $list.txt pink.ppm
done
wrong 'a truncated image' 'case/red.ppm: expected an image of 6 x 6 pixels, found a part of one$' predict first_bytes red.ppm 60
wrong 'a truncated image' 'case/red.ppm: expected an image of 6 x 6 pixels, found a part of one$' train eval \
    "head -c 60 red.ppm > cut; mv cut red.ppm; i=0; while [ \$i -lt 100 ]; do echo $out/case/red.ppm; i=\$((i + 1)); done > train.txt"
wrong 'a missing image' 'case/red.ppm: cannot read: No such file' predict rm red.ppm
wrong 'subdivisions > batch' 'net.cfg:.*: \[net\] subdivisions: expected at most batch, 7, found 8$' "$all" change net.cfg 's/^batch=7/batch=7\nsubdivisions=8/'
wrong 'a section that nobody knows' 'net.cfg:16: \[conected\]: unknown section, expected a layer$' "$all" change net.cfg 's/connected/conected/'
wrong 'a key before a section' 'net.cfg:1: ' "$all" change net.cfg '1s/.*/batch=7\n[net]/'
wrong 'more classes than labels' 'labels.txt: expected 4 labels, one per class, found 3$' 'train valid check' change task.data 's/^classes=3/classes=4/'
wrong 'more outputs than classes' 'net.cfg: 3 outputs, expected 2, one per class' "$all" eval \
    "sed 's/^classes=3/classes=2/' task.data > d; mv d task.data; grep -v blue train.txt > t; cp t train.txt; mv t valid.txt"
wrong 'fewer outputs than classes' 'net.cfg: 2 outputs, expected 3, one per class' "$all" eval \
    "sed 's/^output=3/output=2/' net.cfg > c; mv c net.cfg; head -c 1676 net.weights > w; mv w net.weights"
wrong 'one channel' 'net: \[net\]: expected height = width and 3 channels, .* found 6 x 6 x 1$' 'train check' eval \
    "sed 's/^channels=3/channels=1/' net.cfg > c; mv c net.cfg; head -c 1968 net.weights > w; mv w net.weights"
wrong 'filters that are no number' "net.cfg:10: \[convolutional\] filters: expected a whole number of at least 1, found 'abc'$" "$all" change net.cfg 's/^filters=4/filters=abc/'
wrong 'no height' "net.cfg:3: \[net\] height: expected a whole number of at least 1, found '0'$" "$all" change net.cfg 's/^height=6/height=0/'
wrong 'a line without =' 'net.cfg:10: ' "$all" change net.cfg 's/^filters=4/filters/'
wrong 'an activation that nobody knows' "net.cfg:14: \[convolutional\] activation: unknown activation 'rellu', expected one of" "$all" change net.cfg 's/relu/rellu/'
wrong 'no classes' "task.data: classes: expected a whole number from 1 on, found '0'$" "$all" change task.data 's/^classes=3/classes=0/'
wrong 'a loss without end' 'expected a finite loss, found ' train change net.cfg 's/^learning_rate=.*/learning_rate=1e20/'
fresh
try "$structnet" check "$out/case/net.cfg" "$out/case/net.weights" "$out/case/task.data"
ok 'check: the task itself' says 0 '^memory *[0-9]* bytes'
[ -n "${SANITIZED-}" ] || ok '... with the bytes of its net' grep -q '^memory *[1-9]' "$out/stdout"
for file in net.cfg task.data labels.txt train.txt valid.txt; do sed 's/$/\r/' "$out/case/$file" > "$out/line" && mv "$out/line" "$out/case/$file"; done
try "$structnet" check "$out/case/net.cfg" "$out/case/net.weights" "$out/case/task.data"
ok 'check: lines that end in CRLF' says 0 '^ok$'
for command in train valid predict; do
    try "$darknet" classifier $command "$out/case/task.data" "$out/case/net.cfg" "$out/case/net.weights" "$out/case/red.ppm"
    ok "$command: likewise" is 0
done
fresh

# ---- outputs that are inputs, by any name of theirs (ok has a name of its own)
{ npy '<f4' '7, 108'; zeros 3024; } > "$out/x.npy"
ln "$out/net.weights" "$out/hard.npy"
ln -s net.weights "$out/soft.npy"
for file in net.weights net.cfg x.npy hard.npy soft.npy; do
    try "$structnet" run "$out/net.cfg" "$out/net.weights" --input "$out/x.npy" -o "$out/$file"
    ok "run -o $file" complains 1 "$file: is an input, expected another output"
done
cp "$out/images.txt" "$out/list.c"
try "$structnet" export "$out/net.cfg" "$out/net.weights" --images "$out/list.c" -o "$out/list"
ok "export over its list of images" complains 1 'list.c: is an input, expected another output'
for file in w.cfg w.weights; do
    cp "$out/some.npy" "$out/$file"
    try "$structnet" approx --matrix "$out/$file" --type sss --share 0.3 -o "$out/w"
    ok "approx over its matrix $file" complains 1 "$file: is an input, expected another output"
    rm "$out/$file"
done
for file in t.tsv t.png t.svg; do
    cp "$out/some.npy" "$out/$file"
    try "$structnet" sweep --matrix "$out/$file" --shares 0.3 --bits 32 -o "$out/t"
    ok "sweep over its matrix $file" [ "$status $(cksum < "$out/$file")" = "1 $(cksum < "$out/some.npy")" ]
    rm -f "$out"/t.*
done

# ---- files that cannot be written
limit=1
limited() { (ulimit -f $limit; exec "$@"); }
try limited "$structnet" approx --matrix "$out/large.npy" --type dense -o "$out/limit"
ok "approx --matrix beyond the file size limit" is 1
{ npy '<f4' '24, 32'; tail -c 1800 "$out/net.weights"; zeros 1272; } > "$out/some.npy"
try limited "$structnet" approx --matrix "$out/some.npy" --type dense -o "$out/limit"
ok "... is one line" complains 1 'limit.weights: cannot write: File too large'
try limited "$structnet" features "$out/net.cfg" "$out/net.weights" "$out/images.txt" -o "$out/limit"
ok "features: likewise" complains 1 'limit.x.npy: cannot write: File too large'
try limited "$structnet" run "$out/net.cfg" "$out/net.weights" --input "$out/x.npy" -o "$out/limit.npy"
ok "a file below the limit" is 0
ok "no file is left behind" [ "$(ls "$out" | grep -e '^limit' -e tmp)" = limit.npy ]
sed 's/^output=3/output=300\nactivation=linear\n\n[connected]\noutput=3/' "$out/net.cfg" > "$out/wide.cfg"
limit=100
try limited "$darknet" classifier train "$out/task.data" "$out/wide.cfg"
ok "train: the first save beyond the limit ends it" [ "$status $(grep -c '^darknet: .*wide.*weights: cannot write: File too large$' "$out/stderr")" = '1 1' ]
ok "... and leaves nothing" [ "$(ls "$out/backup" | grep -c wide)" = 0 ]
elsewhere=$(mktemp -d /dev/shm/structnet-test.XXXXXX) || elsewhere=$(mktemp -d)
: > "$elsewhere/w"
ln -s "$elsewhere/w" "$out/far.weights"
try "$structnet" approx --matrix "$out/some.npy" --type sss --share 0.5 -o "$out/far"
ok "a link to another file system" is 0
try "$structnet" check "$out/far.cfg" "$out/far.weights"
ok "... gets the whole file" says 0 '^ok$'
ok "... and stays a link" [ -L "$out/far.weights" ]
ok "... beside nothing" [ "$(ls "$elsewhere")" = w ]
rm -r "$elsewhere"
"$structnet" approx --matrix "$out/some.npy" --type sss --share 0.5 --dense-out /dev/stdout -o "$out/std" > "$out/std.npy" 2> "$out/stderr"
ok "the standard output as a file of two things" [ "$? $(grep -c '/dev/stdout: is the standard output, expected another file$' "$out/stderr") $(ls "$out"/std.cfg 2>&1 | grep -c 'No such')" = '1 1 1' ]

# ---- files without an end
space=4000000
[ -z "${SANITIZED-}" ] || space=unlimited # AddressSanitizer takes more
endless() { try timeout 60 sh -c "ulimit -v $space"'; exec "$@"' sh "$@"; }
endless "$structnet" info /dev/zero
ok "a cfg without an end" complains 1 '^structnet info: /dev/zero: expected text, found a zero byte at offset 0$'
endless "$structnet" eval "$out/net.cfg" "$out/net.weights" /dev/zero
ok "a .data file" complains 1 '/dev/zero:1: expected text, found a zero byte$'
endless "$structnet" features "$out/net.cfg" "$out/net.weights" /dev/zero -o "$out/o"
ok "a list" complains 1 '/dev/zero:1: expected text, found a zero byte$'
{ head -c 20000 /dev/zero | tr '\0' x; echo; } > "$out/long.txt"
try "$structnet" features "$out/net.cfg" "$out/net.weights" "$out/long.txt" -o "$out/o"
ok "a line that is no path" complains 1 'long.txt:1: expected at most 16384 bytes in a line, found more$'
ln -sf /dev/full "$out/full.tsv"
endless "$structnet" sweep --matrix "$out/some.npy" --shares 0.3 --types pruned --bits 8 --no-plot -o "$out/full"
ok "sweep's table on a full disk" complains 1 'full.tsv: cannot write: No space left on device$'
rm "$out/full.tsv"
for file in png svg; do
    ln -sf /dev/full "$out/full.$file"
    endless "$structnet" sweep --matrix "$out/some.npy" --shares 0.3 --types pruned --bits 8 -o "$out/full"
    ok "its $file" complains 1 "full.$file: cannot write: No space left on device\$"
    rm "$out/full.$file"
done
rm "$out/full.tsv"
for file in cfg weights report.html report.tsv; do
    rm -f "$out/full.cfg" "$out/full.weights" "$out"/full.report.*
    ln -s /dev/full "$out/full.$file"
    endless "$structnet" compress "$out/net.cfg" "$out/net.weights" "$out/task.data" --share 0.5 --types pruned --bits 8 -o "$out/full"
    ok "compress with its $file there" complains 1 "full.$file: cannot write: No space left on device\$"
    ok "... leaves no other file" [ "$(cd "$out" && echo full.[crw]*)" = "full.$file" ]
done
rm -rf "$out"/full.*

# ---- an address space in which OpenBLAS would try for ever, or end in a signal; AddressSanitizer takes more than any of these
within_space() { (ulimit -v $space; exec timeout 60 "$@"); }
# Below what the libraries take it is the loader that says so.
is_not_loaded() { [ "$status $(wc -l < "$out/stderr")" = '127 1' ] && grep -q 'error while loading shared libraries' "$out/stderr"; }
is_line_or_fine() { [ "$status $(wc -l < "$out/stderr")" = '0 0' ] || { [ "$status" = 1 ] && [ "$(wc -l < "$out/stderr")" = 1 ] && grep -q memory "$out/stderr"; }; }
{ npy '<f4' '7, 108'; zeros 3024; } > "$out/rows.npy"
if [ -z "${SANITIZED-}" ]; then
    for space in 60000 100000 150000 220000; do
        for arguments in "run $out/net.cfg $out/net.weights --input $out/rows.npy -o $out/o.npy" "check $out/net.cfg $out/net.weights" \
            "approx --matrix $out/some.npy --type psm --share 0.5 -o $out/std" "eval $out/net.cfg $out/net.weights $out/task.data" \
            "import squeezenet1_1 $out/m.safetensors -o $out/m" "features $out/net.cfg $out/net.weights $out/images.txt -o $out/o" \
            "export $out/net.cfg $out/net.weights --images $out/images.txt -o $out/o"; do
            try within_space "$structnet" $arguments
            : > "$out/stdout"
            ! is_not_loaded || continue
            ok "${arguments%% *} in $space kB" is_line_or_fine
            [ $space -gt 100000 ] || ok '... does not fit' complains 1 '^structnet: cannot take [0-9]* bytes of memory for OpenBLAS'
        done
        try within_space "$darknet" classifier train "$out/task.data" "$out/net.cfg"
        ok "train in $space kB" [ "$status $(grep -c '^darknet: ' "$out/stderr")" = '1 1' ]
    done
fi

sh -c 'exec "$@" >&-' sh "$structnet" info "$out/net.cfg" 2> "$out/stderr"
status=$?
ok "a standard output that is closed" [ "$status $(grep -c '^structnet: standard output: cannot write: Bad file descriptor$' "$out/stderr")" = '1 1' ]

# ---- what a killed process left is removed at the next start, and only that
sh -c 'echo $$' > "$out/ended"
ended=$(cat "$out/ended")
left="std.cfg.tmp$ended std.weights.tmp$ended backup/net.backup.tmp$ended backup/net_1.weights.tmp$ended"
kept="std.cfg.tmp$$ std.cfg.tmp std.cfg.tmp0x other.cfg.tmp$ended backup/other.backup.tmp$ended"
for file in $left $kept; do echo old > "$out/$file"; done
try "$structnet" approx --matrix "$out/some.npy" --type sss --share 0.5 -o "$out/std"
ok "approx beside old temporary files" is 0
try "$darknet" classifier train "$out/task.data" "$out/net.cfg"
ok "train: likewise" is 0
ok "... which are gone" [ "$(cd "$out" && ls $left 2> /dev/null | wc -l)" = 0 ]
ok "... but for those of others" [ "$(cd "$out" && ls $kept 2> /dev/null | wc -l)" = 5 ]
(cd "$out" && rm $kept)

# ---- control characters in names, which gnuplot, terminals and tables would obey
line='
'
escape=$(printf '\033')
for file in "a${line}b" "a${escape}[2Jb" "a$(printf '\177')b"; do
    try "$structnet" sweep --matrix "$out/some.npy" --shares 0.3 -o "$out/$file"
    ok "sweep: a control character in a name" complains 2 '^structnet: argument 7: expected no control characters, found .*a?.*b.$'
    try "$structnet" info "$out/$file"
    ok "info: likewise" complains 2 '^structnet: argument 2: expected no control characters'
done
try "$darknet" classifier train "$out/task.data" "$out/a${escape}b.cfg"
ok "darknet: a message shows it as a question mark" complains 1 'a?b.cfg: cannot read'
printf '[net]\nbatch=1\ninputs=4\n[conn%sected]\noutput=3\n' "$escape" > "$out/bad.cfg"
try "$structnet" info "$out/bad.cfg"
ok "a control character in a cfg" complains 1 "bad.cfg:4: expected text, found a control character in '.conn?ected.'"
printf 'red\ngr%seen\nblue\n' "$escape" > "$out/bad.txt"
try "$structnet" features "$out/net.cfg" "$out/net.weights" "$out/images.txt" --labels "$out/bad.txt" -o "$out/f"
ok "... in a label" complains 1 "bad.txt:2: expected text, found a control character in 'gr?een'"
{ printf '\357\273\277'; cat "$out/net.cfg"; } > "$out/mark.cfg"
try "$structnet" check "$out/mark.cfg" "$out/net.weights"
ok "a byte order mark in front of a cfg does not matter" says 0 '^ok$'

summary 'bad input'
