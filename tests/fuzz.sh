#!/bin/sh
# Fuzzes a reader of files from strangers, or all of them two at a time: cfg, weights, npy, task (.data, labels and lists) or
# checkpoint. Then says how many executions there were and which share of the reader's lines they reached. Fails on any
# finding, which lies in BUILD/TARGET. Usage: tests/fuzz.sh BUILD SECONDS [TARGET], from the repository's root.
set -eu

build=$1 seconds=$2 target=${3-}
if [ -z "$target" ]; then
    printf '%s\n' cfg weights npy task checkpoint | xargs -P 2 -I {} sh tests/fuzz.sh "$build" "$seconds" {}
    exit
fi
out=$build/$target
. tests/checks.sh
mkdir "$out/seeds" "$out/found"

# What each reader is, and the longest input.
longest=4096
case $target in
cfg) reader='layers/cfg_text.c layers/family.c layers/window.c layers/psm.c layers/sss.c
    layers/darknet/plug_keys.c layers/darknet/plug_shapes.c layers/darknet/plug_layer_shapes.c layers/darknet/plug_parser.c' ;;
weights) reader='layers/weights_header.c layers/indices.c layers/stored.c layers/psm_pack.c layers/darknet/weights_file.c
    layers/darknet/plug_weights.c' ;;
npy) reader=tools/npy.c ;;
task) reader='layers/darknet/lines.c layers/darknet/task.c layers/darknet/labels.c layers/darknet/plug_tree.c' ;;
checkpoint) longest=65536 reader=$(ls tools/import/arena.c tools/import/checkpoint*.c tools/import/pickle*.c tools/import/tensor.c) ;;
*) echo "tests/fuzz.sh: expected cfg, weights, npy, task or checkpoint, found '$target'" >&2; exit 2 ;;
esac

# Nets from the tests' cfgs, right and wrong ones, and the examples.
seeds_of_cfg() {
    grep -v -e '^#' -e '^$' tests/cfgs.txt | sed 's/ => .*//; s/^+/[net] height=8 width=8 channels=3/' | tr ' ' '\n' \
        | awk -v out="$out/seeds" '/^\[net(work)?\]/ { n++ } { print > (out "/" n ".cfg") }'
    cp cfg/*.cfg "$out/seeds"
}

# For every net of tests/fuzz_weights.c: values of 1, values of 0, a short file.
seeds_of_weights() {
    for net in 0 1 2 3 4; do
        { printf "\\20$net"; i32 0 2 0 0 0; f32 1 1 1 1 1 1 1 1 1 1 1 1; } > "$out/seeds/ones$net"
        { printf "\\20$net"; i32 0 2 0 0 0; } > "$out/seeds/zeros$net"
        { printf "\\00$net"; i32 0 1 0 0; f32 1 2; } > "$out/seeds/short$net"
    done
}

seeds_of_npy() {
    { npy '<f4' '2, 3'; f32 0 1 2 4 -1 nan; } > "$out/seeds/f4"
    { npy '<f8' '1,'; i64 1; } > "$out/seeds/f8"
    { npy '<i4' ''; i32 1; } > "$out/seeds/i4"
    { npy '<i8' '2, 1'; i64 1 2; } > "$out/seeds/i8"
    { npy '<f4' '2, 3' | sed 's/False/True/; s/ $//'; f32 0 1 2 4 -1 0; } > "$out/seeds/fortran"
    { npy '>f4' '2, 3'; f32 0 1 2 4 -1 0; } > "$out/seeds/other"
}

# The paths are those that memory_file gives.
seeds_of_task() {
    data='classes=2\nlabels=/proc/self/fd/201\nvalid = /proc/self/fd/202\n# more\nbackup=.\n'
    printf "$data\fred\nblue\n\fa/red/1.png\nb/blue/2.jpg\n" > "$out/seeds/directories"
    printf "$data\f/maple_tree/\ntree\n\fmaple_tree_1.png\r\na/tree/old-tree.png\r\n" > "$out/seeds/names"
    printf "$data\fa/b\nb\n\fx/a/b/1.png\nb/2.png\nb.png\n" > "$out/seeds/parts"
    printf "\357\273\277$data\fa -1\nb 0\nc -1\n\f" > "$out/seeds/tree"
}

seeds_of_checkpoint() { cp tests/checkpoints/* tests/corpus/* "$out/seeds"; }

seeds_of_$target
status=0
LLVM_PROFILE_FILE="$out/profraw" "$build/fuzz_$target" -seed=1 -max_total_time="$seconds" -max_len=$longest -timeout=10 -rss_limit_mb=2048 \
    -close_fd_mask=1 -print_final_stats=1 -artifact_prefix="$out/" "$out/found" "$out/seeds" > "$out/log" 2>&1 < /dev/null || status=$?
if [ $status != 0 ]; then
    echo "fuzz_$target: a finding, log in $out/log" >&2
    grep -m 1 -A 20 '^==.*ERROR\|runtime error' "$out/log" >&2 || tail -n 20 "$out/log" >&2
    exit 1
fi
llvm-profdata merge "$out/profraw" -o "$out/profile"
llvm-cov report "$build/fuzz_$target" -instr-profile="$out/profile" $reader > "$out/coverage"
echo "$target: $(awk '/^stat::number_of_executed_units/ { print $2 }' "$out/log") executions without a finding; of its lines they reached
$(awk '$1 ~ /[.]c$/ || $1 == "TOTAL" { sub(".*/", "", $1); printf "    %-32s %7s of %5d\n", $1 == "TOTAL" ? "all" : $1, $10, $8 }' "$out/coverage")"
