#!/bin/sh
# Runs the Criterion tests of the kernels under valgrind, which finds what AddressSanitizer does not: values that nobody set. It
# knows no AVX-512, whose kernels AddressSanitizer tests alone. Large products of OpenBLAS (panel_products) would take hours. Usage:
# tests/valgrind.sh BUILD.
set -eu

build=$1 logs=$1/valgrind
rm -rf "$logs"
mkdir -p "$logs"
status=0
for suite in families few_bits every_family packed panels pixelwise layer convolution micro micro_float plug_speed psm_tiles \
    psm_dense relu6; do
    start=$(date +%s)
    valgrind -q --trace-children=yes --log-file="$logs/$suite.%p" \
        "$build/run_tests" --jobs 2 --filter "$suite/*" > "$logs/$suite" 2>&1 || { status=1; echo "$suite: a test failed" >&2; }
    echo "$suite: $(($(date +%s) - start)) s"
done
find "$logs" -name '*.*' -size +0 -exec cat {} + >&2
[ -z "$(find "$logs" -name '*.*' -size +0)" ] || status=1
exit $status
