#!/bin/sh
# Kills trainings and approximations at random times, while they save most of the time. Whatever they leave is whole, training
# goes on from it, and no temporary file outlives the next start. Usage: tests/kills.sh BUILD [KILLS]. Closes with the counts;
# exits with 1 when any failed.
set -u

build=$1
kills=${2:-10}
out=$build/test-kills
structnet=$build/structnet
darknet=$build/darknet
. tests/checks.sh
three_colours
export STRUCTNET_SEED=1

# An epoch of three batches, after each of which the weights are saved; enough of them to be found half written.
cat > "$out/net.cfg" <<'END'
[net]
batch=7
height=6
width=6
channels=3
learning_rate=0.001
max_batches=1000000

[sss]
output=400
activation=leaky
stages=5
states=10

[connected]
output=400
activation=leaky

[connected]
output=3
activation=linear

[softmax]
END

# train [WEIGHTS]: in the background, as $process.
train() { interruptible "$darknet" classifier train "$out/task.data" "$out/net.cfg" "$@"; }
leftovers() { ls "$out/backup" "$out" | grep -c '\.tmp'; }
# Every file of weights, of which whole is the last, can be loaded.
all_whole() {
    for weights in "$out"/backup/*; do
        [ "${weights%.txt}" = "$weights" ] && [ "${weights%.tmp*}" = "$weights" ] || continue
        "$structnet" check "$out/net.cfg" "$weights" > "$out/checked" 2>&1 || return 1
        whole=$weights
    done
}
# delay I: seconds, up to a second and a half behind the start.
delay() { awk -v seed="$1" 'BEGIN { srand(seed); rand(); printf "%.3f", 1.5 * rand() }'; }
# strike SIGNAL: to the whole group, which may have ended.
strike() { kill -s "$1" -- "-$process" 2> "$out/gone"; }

i=0 whole=
while [ $i -lt "$kills" ]; do
    i=$((i + 1))
    case $((i % 4)) in 0) signal=TERM ;; 1) signal=INT ;; *) signal=KILL ;; esac
    train $whole
    sleep "$(delay $i)"
    strike $signal
    finish
    ok "kill $i by $signal leaves whole files" all_whole
    [ $signal = KILL ] || ok "... and no other ones" [ "$(leftovers)" -le "${before:-0}" ]
    before=$(leftovers)
    rm -f "$out"/backup/net_[0-9]*
    [ -z "$whole" ] || [ -f "$whole" ] || whole=
done
sed 's/^max_batches=.*/max_batches=3/' "$out/net.cfg" > "$out/short.cfg" && mv "$out/short.cfg" "$out/net.cfg"
try "$darknet" classifier train "$out/task.data" "$out/net.cfg" ${whole:+"$whole"} -clear
ok "training goes on from what is left" is 0
ok "... and no temporary file stays" [ "$(leftovers)" = 0 ]

{ npy '<f4' '300, 300'; head -c 360000 /dev/zero | tr '\0' '?'; } > "$out/matrix.npy"
approx() { "$structnet" approx --matrix "$out/matrix.npy" --type lowrank --share 0.5 -o "$out/matrix"; }
try approx
ok "an approximation" is 0
i=0
while [ $i -lt "$kills" ]; do
    i=$((i + 1))
    interruptible "$structnet" approx --matrix "$out/matrix.npy" --type lowrank --share 0.5 -o "$out/matrix"
    sleep "$(awk "BEGIN { print $(delay "$i") / 5 }")"
    strike KILL
    finish
    try "$structnet" check "$out/matrix.cfg" "$out/matrix.weights"
    ok "kill $i of an approximation leaves whole files" is 0
done
try approx
ok "no temporary file stays behind the next one" [ "$(leftovers)" = 0 ]

summary kills
