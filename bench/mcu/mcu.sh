#!/bin/sh
# Products on six emulated microcontrollers (run.sh): instructions, bytes, and that every target gives of integers the bits of the
# arithmetic's definition (tests/micro_reference.c) for 1000 inputs, of nets with convolutions for 10, and of floats what the host
# gives, to 1e-6. Usage: bench/mcu/mcu.sh BUILD, from the repository's root; make mcu calls it. The table and its picture go to
# bench/results/mcu where there is none; else the instructions must not exceed those in it by more than a hundredth.
set -eu

build=$1
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

# add NAME TARGET: runs an exported net, and adds a row to the table.
add() {
    net=$work/$1
    row=$(sh bench/mcu/run.sh "$work/build" "$2" "$net" "$net/net.inputs" "$net/$2.outputs")
    printf '%s\t%s\t%s\t%s\n' "$1" "$row" "$(value error "$net/export.json" | awk '{ printf "%.3g", $1 }')" "$(value agreement "$net/export.json")" >> "$table"
    [ ! -t 2 ] || printf '%s on %s\n' "$1" "$2" >&2
}

# Exports a net of integers and runs it: run NAME "TARGETS" CFG WEIGHTS SAMPLES.npy.
run() {
    name=$1 targets=$2
    net=$work/$name
    mkdir -p "$net"
    "$build/structnet" export "$3" "$4" --features "$5" --vectors --json -o "$net/net" > "$net/export.json"
    ${CC:-gcc} -std=c11 -O2 -Ilayers -Itests -I"$net" bench/mcu/reference.c tests/micro_reference.c layers/micro_*.c "$net/net.c" -o "$net/reference"
    "$net/reference" "$net/net.inputs" "$net/reference.outputs"
    cmp -s "$net/net.outputs" "$net/reference.outputs" || fail "$name: the host differs from the definition"
    for target in $targets; do
        add "$name" "$target"
        cmp -s "$net/$target.outputs" "$net/reference.outputs" || fail "$name on $target: outputs differ from the definition"
    done
}

# Exports a net of floats and runs it where there are instructions for them, and on a few of the inputs where there are none:
# run_floats NAME "TARGETS" CFG WEIGHTS SAMPLES.npy, targets with such instructions first.
run_floats() {
    name=$1 targets=$2
    net=$work/$name
    mkdir -p "$net"
    "$build/structnet" export "$3" "$4" --features "$5" --bits 32 --vectors --json -o "$net/net" > "$net/export.json"
    "$build/structnet" run "$3" "$4" --input "$5" -o "$net/host.npy" > /dev/null
    for target in $targets; do
        case $target in
        m0 | m3 | rv32)
            head -c $(($(value inputs "$net/export.json") * 4 * 4)) "$net/net.inputs" > "$net/few"
            mv "$net/few" "$net/net.inputs"
            ;;
        esac
        add "$name" "$target"
        difference=$(sh bench/mcu/difference.sh "$(value outputs "$net/export.json")" "$net/$target.outputs" "$net/host.npy")
        awk -v d="$difference" 'BEGIN { exit !(d <= 1e-6) }' || fail "$name on $target: outputs differ from the host's by $difference, expected at most 1e-6"
    done
}

# A head from a matrix: fit NAME MATRIX OPTION...
fit() {
    name=$1 matrix=$2
    shift 2
    "$build/structnet" approx --matrix "$matrix.w.npy" -o "$work/$name" "$@" > /dev/null
}

${CC:-gcc} -O2 bench/mcu/make_matrix.c -o "$work/make_matrix" -lm
"$work/make_matrix" 256 512 1000 "$work/small"
"$work/make_matrix" 1000 512 1000 "$work/large"
all='m0 m3 m4 m7 m55 rv32'
for kind in dense sss psm-blocks psm-entries; do
    case $kind in
    dense) options='--type dense' ;;
    sss) options='--type sss --stages 8 --params 26214' ;;
    psm-blocks) options='--type psm --factors 1 --block 4 --params 26214' ;;
    psm-entries) options='--type psm --factors 1 --params 26214' ;;
    esac
    fit "$kind" "$work/small" --bits 8 $options
    run "$kind" "$all" "$work/$kind.cfg" "$work/$kind.weights" "$work/small.x.npy"
    fit "$kind-float" "$work/small" --bits 32 $options
    targets='m4 m7 m55 rv32'
    [ $kind = dense ] || targets="$targets m0 m3" # Of a dense one, 512 KB, the flash is too small.
    run_floats "$kind-float" "$targets" "$work/$kind-float.cfg" "$work/$kind-float.weights" "$work/small.x.npy"
done
fit sss-large "$work/large" --bits 8 --type sss --stages 8 --params 102400
run sss-large "$all" "$work/sss-large.cfg" "$work/sss-large.weights" "$work/large.x.npy"

# One layer more of a convolutional net, dense or approximated: section NAME TYPE STRIDE FILTERS INPUTS OPTION...
section() {
    to=$work/$1 kind=$2 stride=$3 filters=$4 inputs=$5
    shift 5
    matrix=$work/filters$filters-$inputs
    [ -f "$matrix.w.npy" ] || "$work/make_matrix" $filters $inputs 1 "$matrix"
    if [ "$kind" = convolutional ]; then
        printf '[convolutional]\nfilters=%d\nsize=3\nstride=%d\npad=1\nactivation=relu\n\n' $filters $stride >> "$to.cfg"
        head -c $((4 * filters)) /dev/zero >> "$to.weights" # biases
        tail -c +129 "$matrix.w.npy" >> "$to.weights"
    else
        fit layer "$matrix" "$@"
        sed -n '/^\[\(sss\|psm\)\]/,$p' "$work/layer.cfg" | sed "s/^\[.*/&\nsize=3\nstride=$stride\npad=1/; s/^activation=.*/activation=relu/" >> "$to.cfg"
        echo >> "$to.cfg"
        tail -c +21 "$work/layer.weights" >> "$to.weights"
    fi
}

# Of 32 x 32 pixels four convolutions of 3 x 3, the first of them dense: convolutions NAME TYPE OPTION...
convolutions() {
    net=$1 type=$2
    shift 2
    printf '[net]\nbatch=1\nheight=32\nwidth=32\nchannels=3\n\n' > "$work/$net.cfg"
    printf '\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' > "$work/$net.weights"
    section "$net" convolutional 2 16 27
    section "$net" "$type" 1 32 144 --params 921 "$@"
    section "$net" "$type" 2 32 288 --params 1843 "$@"
    section "$net" "$type" 1 64 288 --params 3686 "$@"
    run "$net" 'm3 m4 m7 m55 rv32' "$work/$net.cfg" "$work/$net.weights" "$work/images.x.npy" # Of m0 the RAM is too small.
}
"$work/make_matrix" 1 3072 10 "$work/images"
convolutions conv-dense convolutional
convolutions conv-psm psm --bits 8 --type psm --factors 1 --block 4
convolutions conv-sss sss --bits 8 --type sss --stages 8

heading='net\ttarget\tinstructions\tflash\tRAM\tstack\truntime -Os\terror\tsame largest\n'
if [ ! -f "$results" ]; then
    {
        sh bench/environment.sh
        echo "# command: make mcu; $(arm-none-eabi-gcc --version | head -n 1), $(qemu-system-arm --version | head -n 1)"
        echo "# dense, sss, psm: 512 inputs, 256 outputs, a fifth of the values; sss-large: 1000 outputs; bytes, flash with the runtime at -O2; -float: floats"
        echo "# conv: four convolutions of 3 x 3 from 32 x 32 pixels, 16, 32, 32 and 64 filters, all but the first dense or of a fifth of the values"
        printf "$heading"
        cat "$table"
    } > "$results.new"
    mv "$results.new" "$results"
    sh bench/mcu/plot.sh "$results" "${results%.tsv}"
fi
{ printf "$heading"; cat "$table"; } | awk -F '\t' '{ printf "%-18s %-6s %13s %8s %7s %6s %12s %8.8s %8s\n", $1, $2, $3, $4, $5, $6, $7, $8, $9 }'
awk -F '\t' 'NR == FNR { if (!/^#/) before[$1, $2] = $3; next }
    ($1, $2) in before && $3 > 1.01 * before[$1, $2] { print $1 " on " $2 ": " $3 " instructions, committed " before[$1, $2]; bad = 1 }
    END { exit bad }' "$results" "$table" >&2
