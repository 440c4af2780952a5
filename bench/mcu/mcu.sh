#!/bin/sh
# Products and nets of integers on six emulated microcontrollers (run.sh): instructions, bytes, and that every target gives the
# bits of the arithmetic's definition (tests/micro_reference.c) for 1000 inputs. Usage: bench/mcu/mcu.sh BUILD [NAME CFG WEIGHTS
# SAMPLES.npy]..., from the repository's root; make mcu calls it, with the nets of make demo where there are some. The table goes
# to bench/results/mcu.tsv where there is none; else the instructions must not exceed those in it by more than a hundredth.
set -eu

build=$1
shift
work=$build/mcu
results=bench/results/mcu.tsv
table=$work/table.tsv
mkdir -p "$work"
export OPENBLAS_NUM_THREADS=1
# The same kernels on every x86 that has them, so that fits, and with them the counts, are the same.
! grep -q '^flags.* avx2 ' /proc/cpuinfo || export OPENBLAS_CORETYPE=Zen
: > "$table"

fail() {
    echo "bench/mcu/mcu.sh: $*" >&2
    exit 1
}

# The number under a key of a JSON object.
value() { sed -n "s/.*\"$1\":[[:space:]]*\([-+.0-9e]*\).*/\1/p" "$2"; }

# Exports a net and runs it: run NAME "TARGETS" CFG WEIGHTS SAMPLES.npy [LAYER].
run() {
    name=$1 targets=$2
    net=$work/$name
    mkdir -p "$net"
    "$build/structnet" export "$3" "$4" --features "$5" ${6:+--layer "$6"} --vectors --json -o "$net/net" > "$net/export.json"
    ${CC:-gcc} -std=c11 -O2 -Ilayers -Itests -I"$net" bench/mcu/reference.c tests/micro_reference.c layers/micro_*.c "$net/net.c" -o "$net/reference"
    "$net/reference" "$net/net.inputs" "$net/reference.outputs"
    cmp -s "$net/net.outputs" "$net/reference.outputs" || fail "$name: the host differs from the definition"
    for target in $targets; do
        row=$(sh bench/mcu/run.sh "$work/build" "$target" "$net" "$net/net.inputs" "$net/$target.outputs")
        cmp -s "$net/$target.outputs" "$net/reference.outputs" || fail "$name on $target: outputs differ from the definition"
        printf '%s\t%s\t%s\t%s\n' "$name" "$row" "$(value error "$net/export.json" | cut -c 1-7)" "$(value agreement "$net/export.json")" >> "$table"
        [ ! -t 2 ] || printf '%s on %s\n' "$name" "$target" >&2
    done
}

# A head of few bits from a matrix: fit NAME MATRIX OPTION...
fit() {
    name=$1 matrix=$2
    shift 2
    "$build/structnet" approx --matrix "$matrix.w.npy" --bits 8 -o "$work/$name" "$@" > /dev/null
}

${CC:-gcc} -O2 bench/mcu/make_matrix.c -o "$work/make_matrix" -lm
"$work/make_matrix" 256 512 1000 "$work/small"
"$work/make_matrix" 1000 512 1000 "$work/large"
all='m0 m3 m4 m7 m55 rv32'
fit dense "$work/small" --type dense
fit sss "$work/small" --type sss --stages 8 --params 26214
fit psm-blocks "$work/small" --type psm --factors 1 --block 4 --params 26214
fit psm-entries "$work/small" --type psm --factors 1 --params 26214
for name in dense sss psm-blocks psm-entries; do
    run "$name" "$all" "$work/$name.cfg" "$work/$name.weights" "$work/small.x.npy"
done
fit sss-large "$work/large" --type sss --stages 8 --params 102400
run sss-large "$all" "$work/sss-large.cfg" "$work/sss-large.weights" "$work/large.x.npy"
while [ $# -ge 4 ]; do
    run "$1" 'm4 m7' "$2" "$3" "$4"
    shift 4
done

heading='net\ttarget\tinstructions\tflash\tRAM\tstack\truntime -Os\terror\tsame largest\n'
if [ ! -f "$results" ]; then
    {
        sh bench/environment.sh
        echo "# command: make mcu; $(arm-none-eabi-gcc --version | head -n 1), $(qemu-system-arm --version | head -n 1)"
        echo "# dense, sss, psm: 512 inputs, 256 outputs, a fifth of the values; sss-large: 1000 outputs; bytes, flash with the runtime at -O2"
        printf "$heading"
        cat "$table"
    } > "$results.new"
    mv "$results.new" "$results"
fi
{ printf "$heading"; cat "$table"; } | awk -F '\t' '{ printf "%-14s %-6s %13s %8s %7s %6s %12s %8.8s %8s\n", $1, $2, $3, $4, $5, $6, $7, $8, $9 }'
awk -F '\t' 'NR == FNR { if (!/^#/) before[$1, $2] = $3; next }
    ($1, $2) in before && $3 > 1.01 * before[$1, $2] { print $1 " on " $2 ": " $3 " instructions, committed " before[$1, $2]; bad = 1 }
    END { exit bad }' "$results" "$table" >&2
