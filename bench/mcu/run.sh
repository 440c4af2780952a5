#!/bin/sh
# An exported net on an emulated microcontroller. Usage: bench/mcu/run.sh BUILD TARGET NET INPUTS OUTPUTS, from the repository's
# root: NET has net.c and net.h of structnet export, INPUTS the numbers of one input after another, OUTPUTS gets the net's.
# Targets: m0, m3, m4, m7, m55, rv32. Prints, with tabs between them, the target, the instructions of one run, the bytes of flash
# of net and runtime (-O2, without the layers a net lacks), the bytes of inputs, outputs and scratch, those of the stack below
# sn_micro_run's caller, and the bytes of code of the net's runtime, of integers or of floats, with -Os, which
# BUILD/TARGET/sizes.txt has file by file.
# TIMEOUT: seconds for the emulator, 600 unless it says otherwise.
set -eu

fail() {
    echo "bench/mcu/run.sh: $*" >&2
    exit 1
}
[ $# = 5 ] || fail 'usage: run.sh BUILD TARGET NET INPUTS OUTPUTS'
target=$2 net=$3 inputs=$4 outputs=$5
out=$1/$target
[ -r "$net/net.c" ] && [ -r "$net/net.h" ] || fail "$net: no net.c and net.h"
[ -r "$inputs" ] || fail "$inputs: cannot be read"

# Of each target: flags, machine, bytes of flash and RAM, and how the emulator counts. With -icount shift=N an instruction takes
# 2^N ns, which are ticks / 1000 ticks of SysTick at 16, 25 or 32 MHz; the one of lm3s6965evb stands still, so that m3 has a
# machine with another, and lm3s6965evb's sizes.
tools=arm-none-eabi emulator=qemu-system-arm libraries= flash_at=0 ram_at=0x20000000 vectors= syntax=-masm-syntax-unified
case $target in
m0) flags='-mcpu=cortex-m0 -mthumb' machine=microbit flash=256K ram=16K shift=8 ticks=4096 ;;
m3) flags='-mcpu=cortex-m3 -mthumb' machine=mps2-an385 flash=256K ram=64K shift=8 ticks=6400 ;;
m4)
    flags='-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard'
    machine=mps2-an386 flash=4M ram=4M shift=8 ticks=6400
    ;;
m7)
    flags='-mcpu=cortex-m7 -mthumb -mfpu=fpv5-d16 -mfloat-abi=hard'
    machine=mps2-an500 flash=4M ram=4M shift=8 ticks=6400
    ;;
m55) # 512 KB at 0, where the vectors have to be, are not enough for all nets.
    flags='-mcpu=cortex-m55 -mthumb -mfloat-abi=hard'
    machine=mps3-an547 flash=2M ram=512K shift=7 ticks=4096 flash_at=0x01000000
    vectors='vectors (rx) : ORIGIN = 0, LENGTH = 1K'
    ;;
rv32) # The compiler knows its libraries by names without zicsr, the registers of which start.c reads.
    flags='-march=rv32imac_zicsr -mabi=ilp32 -mcmodel=medany -msmall-data-limit=0'
    tools=riscv64-unknown-elf syntax= emulator='qemu-system-riscv32 -bios none'
    libraries=-march=rv32imac machine=virt flash=16M ram=16M shift=0 ticks=1000 flash_at=0x80000000 ram_at=0x81000000
    ;;
*) fail "$target: not m0, m3, m4, m7, m55 or rv32" ;;
esac

rm -rf "$out"
mkdir -p "$out"
{
    echo "MEMORY { $vectors"
    echo "flash (rx) : ORIGIN = $flash_at, LENGTH = $flash"
    echo "ram (rwx) : ORIGIN = $ram_at, LENGTH = $ram }"
    [ "$vectors" ] || echo 'REGION_ALIAS("vectors", flash)'
} > "$out/memory.ld"

# compile SOURCE OBJECT FLAGS...
compile() {
    from=$1 to=$2
    shift 2
    $tools-gcc -std=c99 -ffreestanding -Wall -Wextra $flags $syntax -Ilayers -I"$net" -ffunction-sections -fdata-sections "$@" \
        -c "$from" -o "$to" 2> "$out/errors.txt" || fail "$from: $(grep -m 1 -i error "$out/errors.txt")"
}
mkdir "$out/small"
for source in layers/micro*.c; do
    name=$(basename "$source" .c)
    compile "$source" "$out/$name.o" -O2
    compile "$source" "$out/small/$name.o" -Os
done
compile "$net/net.c" "$out/net.o" -O2
for name in start main; do # Their loops must not become calls of memcpy and memset, which are missing.
    compile bench/mcu/$name.c "$out/$name.o" -std=c11 -O2 -DTICKS=$ticks -fno-tree-loop-distribute-patterns
done

# Floats need the compiler's own functions.
undefined=$(ls "$out"/micro*.o "$out"/small/*.o | grep -v micro_float | xargs $tools-nm -u | awk '$1 == "U" && $2 !~ /^sn_micro_/ { print $2 }' | sort -u)
[ -z "$undefined" ] || fail "$target: the runtime needs" $undefined
$tools-gcc $flags $libraries -nostdlib -nostartfiles -L"$out" -T bench/mcu/sections.ld -Wl,--gc-sections -Wl,-Map="$out/map.txt" \
    "$out"/*.o -lgcc -o "$out/net.elf" 2> "$out/errors.txt" ||
    fail "$target: $(sed -n -e 's/^[^ ]*: //' -e '/overflowed/p' -e '/^the net/p' -e '/undefined/p' "$out/errors.txt" | head -n 1)"

cp "$inputs" "$out/inputs.bin"
status=0
(cd "$out" && timeout "${TIMEOUT:-600}" $emulator -M $machine -nographic -monitor none -serial none -icount shift=$shift \
    -semihosting-config enable=on,target=native -kernel net.elf) < /dev/null > "$out/log.txt" 2>&1 || status=$?
[ $status != 124 ] || fail "$target: the emulator took more than ${TIMEOUT:-600} seconds"
[ $status = 0 ] || fail "$target: $(tail -n 1 "$out/log.txt")"
cp "$out/outputs.bin" "$outputs"

$tools-size "$out"/small/*.o > "$out/sizes.txt"
kind=$(grep -c 'include "micro_float.h"' "$net/net.h" || true)
small=$(awk -v kind="$kind" 'NR > 1 && ($NF ~ /micro_float/) == kind || $NF ~ /micro_run/ { sum += $1 } END { print sum }' "$out/sizes.txt")
bytes=$($tools-size -A "$out/net.elf" | awk '$1 == ".net" { print $2 }')
awk -v OFS='\t' -v target="$target" -v bytes="$bytes" -v small="$small" '
    { value[$1] = $2 }
    END { print target, value["instructions"], bytes, value["memory"], value["stack"], small }' "$out/log.txt"
