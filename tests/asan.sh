#!/bin/sh
# Runs the Criterion tests and those of the commands, built with AddressSanitizer and UndefinedBehaviorSanitizer. Leaks leave the exit
# status at 0 and tests expect failures, so every report goes to a file, and any is a failure. Usage: tests/asan.sh BUILD.
set -eu

build=$1
logs=$build/logs
rm -rf "$logs"
mkdir -p "$logs"
logs=$(cd "$logs" && pwd)
# What Darknet's free_network and free_layer forget.
printf 'leak:%s\n' make_network make_softmax_layer make_connected_layer make_convolutional_layer make_rnn_layer make_crnn_layer \
    parse_net_options > "$logs.suppressions"
export ASAN_OPTIONS=log_path="$logs/asan" LSAN_OPTIONS=suppressions="$logs.suppressions":print_suppressions=0 \
    UBSAN_OPTIONS=log_path="$logs/ubsan":print_stacktrace=1

status=0
"$build/run_tests" --jobs 2 || status=1
# Darknet's programs free next to nothing before they end, nor does ours behind an error; tests ask for memory that is not there.
# One loads a library in front of all others. mallinfo, by which check knows the memory of a net, is not the sanitizer's allocator's.
ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0:allocator_may_return_null=1:verify_asan_link_order=0
export SANITIZED=1
for script in commands training tune moments reconstruct compress bad_input kills family ranks; do
    sh tests/$script.sh "$build" || status=1
done
sh tests/export.sh "$build" "${CC:-gcc}" || status=1
sh tests/library.sh "$build" "${CC:-gcc} -fsanitize=address,undefined" || status=1
# A process that is forked from a test and exits has no other threads to stop, which the leak checker only remarks on.
! find "$logs" -type f -exec cat {} + | grep -v 'was not suspended. False leaks are possible' >&2 || status=1
exit $status
