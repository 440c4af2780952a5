#!/bin/sh
# Runs the tests built with AddressSanitizer. Leaks leave the exit status at 0, so every report is a file, and any file is
# a failure. Usage: tests/asan.sh RUN_TESTS.
set -eu
logs=$(dirname "$1")/logs
rm -rf "$logs"
mkdir -p "$logs"
ASAN_OPTIONS=log_path="$logs/asan" UBSAN_OPTIONS=log_path="$logs/ubsan":print_stacktrace=1 "$1" --jobs 2
if [ -n "$(ls "$logs")" ]; then
    cat "$logs"/* >&2
    exit 1
fi
