#!/bin/sh
# Fuzzes the reader of checkpoints from the files in tests/checkpoints and tests/corpus, on two cores, then says how many
# executions there were and which share of the reader's lines they reached. Fails on any finding, which lies in
# BUILD/fuzz. Usage: tests/fuzz.sh BUILD SECONDS, from the repository's root.
set -eu

build=$1
seconds=$2
out=$build/fuzz
mkdir -p "$out/found"
rm -f "$out"/fuzz-*.log "$out"/*.profraw
status=0
# libFuzzer starts its jobs by a shell, unquoted: none of these names may have a blank.
ln -sfn "$(cd "$build" && pwd)/fuzz_checkpoint" "$out/target"
for seeds in checkpoints corpus; do ln -sfn "$(pwd)/tests/$seeds" "$out/$seeds"; done
(cd "$out" && LLVM_PROFILE_FILE=%p.profraw ./target -jobs=2 -workers=2 -max_total_time="$seconds" -max_len=65536 -timeout=10 \
    -rss_limit_mb=2048 -print_final_stats=1 found checkpoints corpus) > "$out/log" 2>&1 || status=$?
if [ $status != 0 ]; then
    tail -n 40 "$out"/fuzz-*.log >&2
    exit 1
fi
llvm-profdata merge "$out"/*.profraw -o "$out/profile"
awk '/^stat::number_of_executed_units/ { n += $2 } END { print n " executions without a finding" }' "$out"/fuzz-*.log
llvm-cov report "$build/fuzz_checkpoint" -instr-profile="$out/profile" tools layers
