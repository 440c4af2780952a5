#!/bin/sh
# The kernels on an ARM processor with NEON, emulated by qemu: the same products and gradients as on this one, with its best
# instruction set and in plain C, to 1e-6. Usage: tests/arm.sh BUILD, from the repository's root.
set -eu

out=$1/arm
rm -rf "$out"
mkdir -p "$out"
sources="tests/arm/products.c $(ls layers/*.c | grep -v layers/product.c)"
flags='-std=c11 -O3 -ffp-contract=fast -Wno-psabi -Ilayers'

aarch64-linux-gnu-gcc $flags -static $sources -o "$out/arm" -lm -pthread
case $(uname -m) in
aarch64) run= ;;
*) run=qemu-aarch64-static ;;
esac
$run "$out/arm" > "$out/arm.txt"

# What is compared with: the kernels as the Makefile compiles them.
objects=$(ls "$1"/layers/*.o | grep -v /product.o)
${CC:-cc} -std=c11 -O2 -Ilayers -Iapprox tests/arm/products.c $objects -o "$out/here" -lm -pthread
"$out/here" > "$out/best.txt"
STRUCTNET_ISA=plain "$out/here" > "$out/plain.txt"

# same A B: every number of one line is that of the other to 1e-6 of the larger of it and 1.
same() {
    paste -d ' ' "$1" "$2" | awk -v names="$1 $2" '
        {
            half = NF / 2
            for (i = 1; i <= half; i++) {
                a = $i; b = $(half + i)
                if (a + 0 == a && b + 0 == b) {
                    size = a < 0 ? -a : a
                    difference = a < b ? b - a : a - b
                    if (difference > 1e-6 * (size > 1 ? size : 1)) { print names ": " $0; bad++ }
                } else if (a != b) { print names ": " $0; bad++ }
            }
        }
        END { exit bad > 0 || NR == 0 }'
}
same "$out/plain.txt" "$out/best.txt"
same "$out/plain.txt" "$out/arm.txt"
echo "arm: $(wc -l < "$out/arm.txt") matrices have the same products and gradients"
