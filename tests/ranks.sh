#!/bin/sh
# Tests of `darknet classifier train` and structnet's searches over several processes, where MPI is there. Usage: tests/ranks.sh BUILD [KILLS]. Closes with the
# counts; exits with 1 when any failed.
set -u

build=$1
kills=${2:-3}
out=$build/test-ranks
structnet=$build/structnet
darknet=$build/darknet
. tests/checks.sh
command -v mpirun > /dev/null || { echo "ranks: not tested, as there is no mpirun"; exit; }

# Open MPI wants to be told that root may, and that there may be fewer cores than processes, which give way while they wait.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
export STRUCTNET_SEED=1 STRUCTNET_LOG=stock

three_colours
sed -i '/^valid=/d' "$out/task.data"

# net NAME BATCH BATCHES: convolutions, dense and structured layers, in two parts of a batch.
net() {
    cat > "$out/$1.cfg" <<END_CFG
[net]
batch=$2
subdivisions=2
height=6
width=6
channels=3
learning_rate=0.02
momentum=0.9
decay=0.0005
max_batches=$3

[convolutional]
filters=6
size=3
stride=1
pad=1
activation=leaky

[sss]
output=12
stages=2
states=3
activation=leaky

[connected]
output=8
activation=leaky

[psm]
output=3
nonzeros=16
bits=8
activation=linear

[softmax]
END_CFG
}

# The losses of a training in Darknet's lines.
losses() { sed -n 's/^[0-9]*, [0-9.]*: \([0-9.]*\), .* images$/\1/p' "$out/stdout"; }
# close FILE FILE: as many numbers, equal to 1e-5 but for the digits that are printed.
close() {
    paste "$1" "$2" | awk 'function abs(x) { return x < 0 ? -x : x }
        NF != 2 || abs($1 - $2) > 1e-5 * $1 + 1.5e-6 { bad = 1 } END { exit bad || NR < 20 }'
}
whole() { "$structnet" check "$1" "$2" > /dev/null 2>&1; }
seen() { od -An -tu8 -j12 -N8 "$1" | tr -d ' '; }
leftovers() { find "$out/backup" -name '*.tmp*' | wc -l; }

# ---- several ranks learn what one process does
net one 16 30
try "$darknet" classifier train "$out/task.data" "$out/one.cfg"
ok "one process" is 0
losses > "$out/one.losses"
for ranks in 2 4; do
    net $ranks $((16 / ranks)) 30
    try mpirun -n $ranks "$darknet" classifier train "$out/task.data" "$out/$ranks.cfg"
    losses > "$out/$ranks.losses"
    ok "$ranks ranks have the losses of one" close "$out/one.losses" "$out/$ranks.losses"
    ok "... say it once" [ "$(wc -l < "$out/$ranks.losses")" = 30 ]
    ok "... save a whole net" whole "$out/$ranks.cfg" "$out/backup/$ranks.weights"
    ok "... that has seen the images of all" [ "$(seen "$out/backup/$ranks.weights")" = 480 ]
done
try mpirun -n 4 "$darknet" classifier train "$out/task.data" "$out/4.cfg"
losses > "$out/again.losses"
ok "a training of 4 ranks repeats" cmp -s "$out/4.losses" "$out/again.losses"
net more 4 40
try mpirun -n 4 "$darknet" classifier train "$out/task.data" "$out/more.cfg" "$out/backup/one.weights"
ok "4 ranks go on where one process stopped" [ "$(losses | wc -l)" = 10 ]
(unset STRUCTNET_SEED; mpirun -n 2 "$darknet" classifier train "$out/task.data" "$out/2.cfg" > "$out/stdout" 2> "$out/stderr")
status=$?
ok "ranks train without a seed" [ "$(losses | wc -l)" = 30 ]

# ---- what is wrong is said once
sed 's|^train=.*|train=/nowhere|' "$out/task.data" > "$out/lost.data"
try mpirun -n 4 "$darknet" classifier train "$out/lost.data" "$out/4.cfg"
ok "a list that is not there" [ $status != 0 ]
ok "... is one line" [ "$(grep -c '^darknet: .*/nowhere' "$out/stderr")" = 1 ]
sed 's/^learning_rate=.*/learning_rate=1e30/' "$out/4.cfg" > "$out/wild.cfg"
try mpirun -n 4 "$darknet" classifier train "$out/task.data" "$out/wild.cfg"
ok "a loss that is not finite ends all" [ $status != 0 ]
ok "... with one line" [ "$(grep -c '^darknet: .*expected a finite loss' "$out/stderr")" = 1 ]

# ---- candidates and rows, one a rank
sed 'p; s/^train=/valid=/; t; d' "$out/task.data" > "$out/search.data"
search() {
    name=$1
    shift
    try "$@" "$structnet" compress "$out/one.cfg" "$out/backup/one.weights" "$out/search.data" --layers 2 --share 0.6 --types psm,dense --bits 8 \
        -o "$out/$name" --json
}
search alone
cp "$out/stdout" "$out/alone.json"
search many mpirun -n 3
ok "3 ranks compress" is 0
ok "... to the net of one process" cmp -s "$out/alone.weights" "$out/many.weights"
ok "... with its steps, each once" [ "$(value steps_run "$out/stdout")" = "$(value steps_run "$out/alone.json")" ]
sweep() {
    name=$1
    shift
    try "$@" "$structnet" sweep "$out/one.cfg" "$out/backup/one.weights" --layer 2 --shares .3,.6 --bits 8 --no-plot -o "$out/$name"
    sed '/^#/d' "$out/$name.tsv" | cut -f 1-6 > "$out/$name.rows"
}
sweep rows
sweep more mpirun -n 3
ok "3 ranks sweep" says 0 '^rows *[1-9][0-9]*, of which 0 were there$'
ok "... and have the rows of one process" cmp -s "$out/rows.rows" "$out/more.rows"
sweep more mpirun -n 2
ok "... which 2 find there" says 0 '^rows *\([0-9]*\), of which \1 were there$'
try mpirun -n 3 "$structnet" compress "$out/one.cfg" "$out/backup/one.weights" "$out/search.data" --layers 2 --share 0.001 --types psm --bits 8 -o "$out/none"
ok "a budget for nothing" [ $status != 0 ]
ok "... is one line" [ "$(grep -c '^structnet compress: .*found none' "$out/stderr")" = 1 ]
try mpirun -n 3 "$structnet" sweep --help
ok "ranks help once" says 0 '^usage: '

# ---- the end of one is the end of all, and what was saved stays whole
is_training() { grep -q "^$1, " "$out/stdout"; }
net long 4 1000000
# Open MPI kills what it has asked to end after a second, which a save may take on a slow disk.
interruptible env OMPI_MCA_odls_base_sigkill_timeout=10 mpirun -n 4 "$darknet" classifier train "$out/task.data" "$out/long.cfg"
within 120 is_training 20
kill -s TERM "$process"
ok "SIGTERM ends a training" within 120 ended
ok "... after it has saved" whole "$out/long.cfg" "$out/backup/long.backup"
ok "... without a file in between" [ "$(leftovers)" = 0 ]
i=0
while [ $i -lt "$kills" ]; do
    i=$((i + 1))
    interruptible mpirun -n 4 "$darknet" classifier train "$out/task.data" "$out/long.cfg" "$out/backup/long.backup"
    within 120 grep -q '^Saving' "$out/stderr"
    sleep "0.$((i * 37 % 100))"
    kill -s KILL "$(pgrep -P "$process" | sed -n "$((i % 4 + 1))p")"
    ok "a rank that is killed ends a training" within 120 ended
    ok "... and leaves whole nets" whole "$out/long.cfg" "$out/backup/long.backup"
done

summary ranks
