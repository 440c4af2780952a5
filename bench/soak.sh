#!/bin/sh
# Memory over 10,000 batches of training: a net of convolutions, [sss] and [psm], dense, of few bits and at every pixel. Its resident
# memory is read at every 100th batch behind 1,000, and must stay within 1 %. Usage: bench/soak.sh BUILD,
# from the repository's root. The table goes to bench/results/soak.tsv.
set -eu

build=$1
out=$build/soak
. tests/checks.sh
three_colours
mkdir -p bench/results
# A list that is longer than all batches: weights are saved at the end of an epoch.
awk '{ line[NR] = $0 } END { for (n = 0; n < 4000; n++) for (i = 1; i <= NR; i++) print line[i] }' "$out/images.txt" > "$out/many.txt"
sed -i "s|^train=.*|train=$out/many.txt|" "$out/task.data"
cat > "$out/net.cfg" <<'EOF'
[net]
batch=7
height=6
width=6
channels=3
learning_rate=0.001
momentum=0.9
max_batches=10000

[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky

[sss]
size=1
filters=8
stages=2
states=2
activation=leaky

[psm]
size=3
stride=2
pad=1
filters=12
nonzeros=300
index=8
bits=8
activation=leaky

[sss]
output=40
stages=4
states=5
batch_normalize=1
activation=leaky

[psm]
output=20
factors=2
inner=30
nonzeros=300,200
bits=4
activation=leaky

[connected]
output=3
activation=linear

[softmax]
EOF

mkfifo "$out/lines"
STRUCTNET_SEED=1 STRUCTNET_LOG=100 "$build/darknet" classifier train "$out/task.data" "$out/net.cfg" > "$out/lines" 2> "$out/stderr" &
trainer=$!
while read -r word batch rest; do
    [ "$word" = batch ] && [ "$batch" -gt 1000 ] || continue
    echo "$batch $(awk '/^VmRSS/ { print $2 }' "/proc/$trainer/status")"
done < "$out/lines" > "$out/samples"
wait $trainer || { tail -n 1 "$out/stderr" >&2; exit 1; }
# The medians of every thousand batches: single samples see more or fewer of the threads that load images.
awk '{ print int(($1 - 1) / 1000), $2 }' "$out/samples" | sort -n -k 1 -k 2 | awk '
    function median() { printf "%d\t%d\n", 1000 * part, size[int((n + 1) / 2)] }
    NR > 1 && $1 != part { median(); n = 0 }
    { part = $1; size[++n] = $2 }
    END { median() }' > "$out/medians"
{
    sh bench/environment.sh
    echo "# command: bench/soak.sh BUILD; medians of the samples of a thousand batches"
    printf 'from batch\tresident kB\n'
    cat "$out/medians"
} > "$out/soak.tsv"
cat "$out/soak.tsv"
awk 'NR == 1 { first = least = most = $2 } { most = $2 > most ? $2 : most; least = $2 < least ? $2 : least; last = $1 } END {
    if (last == 9000 && most <= 1.01 * first && least >= 0.99 * first) exit 0
    print "FAILED: from " first " to between " least " and " most " kB, up to batch " last > "/dev/stderr"; exit 1 }' "$out/medians"
mv "$out/soak.tsv" bench/results/soak.tsv
