#!/bin/sh
# Runs the tests built with AddressSanitizer. Leaks leave the exit status at 0, so every report goes to a file, and any
# is a failure. Usage: tests/asan.sh RUN_TESTS.
set -eu
logs=$(dirname "$1")/logs
rm -rf "$logs"
mkdir -p "$logs"
# What Darknet's free_network and free_layer forget.
printf 'leak:%s\n' make_network make_softmax_layer make_connected_layer make_convolutional_layer parse_net_options > "$logs.suppressions"
ASAN_OPTIONS=log_path="$logs/asan" LSAN_OPTIONS=suppressions="$logs.suppressions":print_suppressions=0 \
    UBSAN_OPTIONS=log_path="$logs/ubsan":print_stacktrace=1 "$1" --jobs 2
# A process that is forked from a test and exits has no other threads to stop, which the leak checker only remarks on.
! cat /dev/null "$logs"/* | grep -v 'was not suspended. False leaks are possible' >&2
