#!/bin/sh
# Slow proofs. Usage: tests/long.sh BUILD, from the repository's root. Takes over three hours; logs go to BUILD/long.
#
# What is committed is cloned into a directory with a space in its name. There, with gcc and with clang, the tests must
# pass, no compiler may warn, and the demo must reach its figures in time. Its nets classify all test images alike on the host and on
# emulated microcontrollers. Then come the limits of time and memory (tests/limits.sh), installation, lint, all of
# torchvision's nets, memory over a long training, coverage, AddressSanitizer and valgrind; the limits of large matrices are last,
# since they take longest.
set -eu

build=$1 out=$1/long
rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)

fail() { echo "FAILED: $*" >&2; exit 1; }

# The table's top-1 of a net.
top1() { awk -v net="$1" '$1 == net { print $2 }' "$2"; }

for compiler in gcc clang; do
    clone="$out/a clone by $compiler"
    git clone -q . "$clone"
    for target in test demo; do
        echo "make CC=$compiler $target, log in $out/$compiler-$target.log"
        start=$(date +%s)
        make -C "$clone" CC=$compiler $target > "$out/$compiler-$target.log" 2>&1 || fail "make CC=$compiler $target"
        echo "    $(($(date +%s) - start)) s"
    done
    ! grep -h 'warning:' "$out/$compiler"-*.log || fail "$compiler warns"
    table="$clone/build/demo/table.txt"
    dense=$(top1 dense "$table")
    cat "$table"
    [ $(($(date +%s) - start)) -lt 360 ] || fail "the demo takes more than 6 minutes"
    awk "BEGIN { exit !($dense >= 85) }" || fail "dense top-1: expected at least 85 %, found $dense"
    for type in sss psm; do
        awk "BEGIN { exit !($(top1 $type "$table") >= $dense - 1.5) }" || fail "$type is more than 1.5 points below dense"
    done
done

# limits SIZE: large or small matrices.
limits() {
    echo "limits of time and memory of $1 matrices, log in $out/limits-$1.log"
    sh tests/limits.sh "$build" "$1" > "$out/limits-$1.log" 2>&1 || fail "tests/limits.sh, $1: $(tail -n 1 "$out/limits-$1.log")"
    cat "$out/limits-$1.log"
}

sh tools/deps.sh gcc mcu
echo "the demo's nets on emulated microcontrollers, all test images, log in $out/glyphs.log"
sh bench/mcu/glyphs.sh "$build" "$clone/build/demo" 5000 > "$out/glyphs.log" 2>&1 || fail "bench/mcu/glyphs.sh: $(tail -n 1 "$out/glyphs.log")"
limits small
echo "twenty trainings of which a rank is killed, log in $out/ranks.log"
sh tests/ranks.sh "$build" 20 > "$out/ranks.log" || fail "tests/ranks.sh"
echo "two hundred trainings and approximations that are killed, log in $out/kills.log"
sh tests/kills.sh "$build" 200 > "$out/kills.log" || fail "tests/kills.sh"
make -s install PREFIX="$out/an installation" > "$out/install.log"
"$out/an installation/bin/structnet" --help > /dev/null
echo "make lint, log in $out/lint.log"
make lint > "$out/lint.log" 2>&1 || fail "make lint"
echo "make parity, log in $out/parity.log"
make parity > "$out/parity.log" 2>&1 || fail "make parity"
echo "ten thousand batches of training, log in $out/soak.log"
sh bench/soak.sh "$build" > "$out/soak.log" 2>&1 || fail "bench/soak.sh: $(tail -n 1 "$out/soak.log")"
echo "make coverage, log in $out/coverage.log"
make coverage > "$out/coverage.log" 2>&1 || fail "make coverage"
echo "make asan, log in $out/asan.log"
make asan > "$out/asan.log" 2>&1 || fail "make asan"
echo "make valgrind, log in $out/valgrind.log"
make valgrind > "$out/valgrind.log" 2>&1 || fail "make valgrind"
limits large
echo "all long proofs hold"
