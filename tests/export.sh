#!/bin/sh
# structnet export as a user calls it, and what it writes: compiled without a library, and run by the definition of its arithmetic.
# Usage: tests/export.sh BUILD CC.
set -u

build=$1
cc=$2
out=$build/test-export
structnet=$build/structnet
darknet=$build/darknet
. tests/checks.sh
three_colours

# Every layer that can be exported.
cat > "$out/net.cfg" <<'END'
[net]
batch=8
height=6
width=6
channels=3
learning_rate=0.01
max_batches=100

[convolutional]
filters=6
size=3
stride=1
pad=1
batch_normalize=1
activation=leaky

[convolutional]
filters=6
groups=6
size=3
stride=1
pad=1
activation=relu

[shortcut]
from=-2
activation=linear

[maxpool]
size=2
stride=2

[psm]
output=8
size=1
factors=2
inner=6
nonzeros=24,18
bits=8
batch_normalize=1
activation=logistic

[psm]
filters=9
size=3
stride=2
pad=1
nonzeros=176
block=8
bits=8
batch_normalize=1
activation=relu

[sss]
filters=8
size=2
padding=1
stages=3
states=2
order=both
activation=leaky

[route]
layers=-1,-4

[sss]
output=30
stages=3
states=4
batch_normalize=1
activation=relu

[dropout]
probability=.5

[psm]
output=21
factors=1
nonzeros=200
block=4
bits=4
activation=tanh

[sss]
output=3
stages=2
states=2
bits=8
activation=linear

[softmax]
END

# runs NAME: the exported net compiles as strict C99 without a library, and gives what the definition says.
runs() {
    sed "s/#include \"$1.h\"/#include \"net.h\"/; s/\\b$1\\b/net/g; s/\\b$1_/net_/g" "$out/$1.c" > "$out/c/net.c"
    sed "s/\\b$1\\b/net/g; s/\\b$1_/net_/g" "$out/$1.h" > "$out/c/net.h"
    $cc -std=c99 -ffreestanding -Wall -Wextra -Wshadow -pedantic -Werror -Ilayers -c "$out/c/net.c" -o "$out/c/net.o" &&
        $cc -std=c11 -O1 -Ilayers -Itests -I"$out/c" bench/mcu/reference.c tests/micro_reference.c layers/micro_*.c "$out/c/net.o" -o "$out/c/run" &&
        "$out/c/run" "$out/$1.inputs" "$out/c/outputs" && cmp -s "$out/$1.outputs" "$out/c/outputs"
}
mkdir -p "$out/c"

try "$darknet" classifier train "$out/task.data" "$out/net.cfg"
ok "darknet trains every kind of layer that can be exported" is 0
net="$out/backup/net.weights"
try "$structnet" export "$out/net.cfg" "$net" --images "$out/images.txt" -o "$out/whole" --vectors
ok "export takes them" says 0 '^same largest  *[0-9]'
try "$structnet" export "$out/net.cfg" "$net" --images "$out/images.txt" -o "$out/whole" --vectors --json
ok "the error is small" at_least 0.08 "$(value error "$out/stdout")"
ok "the classes are the same" at_least "$(value agreement "$out/stdout")" 0.9
ok "a net gives the bits of the definition" runs whole
for file in micro_rows micro_sss micro_psm micro_layers micro_patches micro_run; do
    $cc -std=c99 -ffreestanding -Os -Ilayers -c layers/$file.c -o "$out/c/$file.o"
done
nm -u "$out"/c/micro_*.o | grep -v -e ':$' -e '^$' -e ' sn_micro_' > "$out/undefined"
ok "the runtime needs no library" [ ! -s "$out/undefined" ]
size "$out"/c/micro_*.o | awk 'NR > 1 { bytes += $2 + $3 } END { exit bytes > 0 }'
ok "... and has no variables" [ $? = 0 ]

# ---- Floats
try "$structnet" export "$out/net.cfg" "$net" --images "$out/images.txt" --bits 32 -o "$out/floats" --vectors
ok "export takes every kind of layer as floats" says 0 '^outputs  *3, float32$'
sed '/^\[softmax\]/,$d' "$out/net.cfg" > "$out/bare.cfg"
{ npy '<f4' "$(wc -l < "$out/images.txt"), 108"; cat "$out/floats.inputs"; } > "$out/floats.npy"
try "$structnet" run "$out/bare.cfg" "$net" --input "$out/floats.npy" -o "$out/floats.y.npy"
difference=$(sh bench/mcu/difference.sh 3 "$out/floats.outputs" "$out/floats.y.npy")
ok "... which give what Darknet does" at_least 1e-6 "$difference"

# ---- One layer
"$structnet" features "$out/net.cfg" "$net" "$out/images.txt" -o "$out/f" > "$out/stdout" 2> "$out/stderr"
try "$structnet" export "$out/net.cfg" "$net" --layer 11 --features "$out/f.x.npy" -o "$out/head" --vectors
ok "one layer, from features" says 0 '^outputs  *3, int16$'
ok "... to the bit" runs head

# ---- Packages
printf '%s\n' '#include <stdio.h>' 'static struct { void begin(long) {} void println(const char *text) { puts(text); } } Serial;' \
    '#include "SelfTest.ino"' 'int main() { setup(); }' > "$out/c/arduino.cpp"
# arduino NAME: the package with the exported net NAME as its example.
arduino() {
    rm -rf "$out/package" "$out/c/arduino"
    sh tools/micro/package.sh "$out/package" "$out/$1.c" "$out/$1.h" || return 1
    example=$out/package/examples/SelfTest
    mkdir -p "$out/c/arduino" &&
        for file in "$out"/package/src/*.c "$example/net.c"; do
            $cc -c -I"$out/package/src" "$file" -o "$out/c/arduino/$(basename "$file").o" || return 1
        done && ${CXX:-g++} -I"$out/package/src" -I"$example" "$out/c/arduino.cpp" "$out"/c/arduino/*.o -o "$out/c/arduino/run" &&
        [ "$("$out/c/arduino/run")" = 'outputs are right' ]
}
ok "the Arduino library runs an example of floats" arduino floats
ok "... and of integers" arduino head
printf 'file(READ "%s" text)\nstring(JSON name GET "${text}" name)\nmessage("${name}")\n' "$out/package/library.json" > "$out/c/json.cmake"
try cmake -P "$out/c/json.cmake"
ok "library.json is JSON" [ "$(cat "$out/stderr")" = structnet ]
cmake_builds() { cmake -S "$out/package" -B "$out/c/cmake" > "$out/stdout" 2> "$out/stderr" && cmake --build "$out/c/cmake" >> "$out/stdout" 2>&1; }
ok "CMake builds the runtime" cmake_builds
# ESP-IDF's and Zephyr's commands, as far as the file uses them.
component() {
    printf '%s\n' 'cmake_minimum_required(VERSION 3.16)' 'project(component C)' 'set(ESP_PLATFORM 1)' \
        'function(idf_component_register)' '  cmake_parse_arguments(C "" "" "SRCS;INCLUDE_DIRS" ${ARGN})' \
        '  list(TRANSFORM C_SRCS PREPEND "${CMAKE_CURRENT_LIST_DIR}/")' '  add_library(component STATIC ${C_SRCS})' \
        'endfunction()' "include(\"$(pwd)/$out/package/CMakeLists.txt\")" > "$out/c/idf/CMakeLists.txt"
    cmake -S "$out/c/idf" -B "$out/c/idf/build" > "$out/stdout" 2> "$out/stderr" && cmake --build "$out/c/idf/build" >> "$out/stdout" 2>&1
}
mkdir -p "$out/c/idf"
ok "the ESP-IDF component registers and builds" component
module() {
    printf '%s\n' 'cmake_minimum_required(VERSION 3.16)' 'project(module C)' 'set(ZEPHYR_BASE /none)' 'set(CONFIG_STRUCTNET y)' \
        'macro(zephyr_include_directories)' '  include_directories("${CMAKE_CURRENT_LIST_DIR}/${ARGV0}")' 'endmacro()' \
        'macro(zephyr_library)' 'endmacro()' 'macro(zephyr_library_sources)' \
        '  foreach(file ${ARGN})' '    list(APPEND files "${CMAKE_CURRENT_LIST_DIR}/${file}")' '  endforeach()' \
        '  add_library(module STATIC ${files})' 'endmacro()' "include(\"$(pwd)/$out/package/CMakeLists.txt\")" > "$out/c/zephyr/CMakeLists.txt"
    cmake -S "$out/c/zephyr" -B "$out/c/zephyr/build" > "$out/stdout" 2> "$out/stderr" && cmake --build "$out/c/zephyr/build" >> "$out/stdout" 2>&1
}
mkdir -p "$out/c/zephyr"
ok "the Zephyr module builds" module

# ---- What is refused
refuse() {
    name=$1 pattern=$2 code=$3
    shift 3
    try "$structnet" export "$@" -o "$out/no"
    ok "$name" complains "$code" "$pattern"
    ok "... without a file" [ ! -e "$out/no.c" ]
}
refuse "no samples" 'expected --features X.npy or --images LIST;' 2 "$out/net.cfg" "$net"
refuse "images for a layer" '^structnet export: --images: expected --features with --layer' 2 "$out/net.cfg" "$net" --layer 11 --images "$out/images.txt"
refuse "bits that there are not" '^structnet export: --bits: expected 8 or 32, found 16;' 2 "$out/net.cfg" "$net" --images "$out/images.txt" --bits 16
refuse "features of another size" 'f.x.npy: expected rows of 108 values, found [0-9]* x 21$' 1 "$out/net.cfg" "$net" --features "$out/f.x.npy"
refuse "a layer that there is not" 'net.cfg: --layer 13: the last layer is 12$' 1 "$out/net.cfg" "$net" --layer 13 --features "$out/f.x.npy"
{ npy '<f4' '1, 2'; f32 1 nan; } > "$out/nan.npy"
printf '[net]\ninputs=2\n[connected]\noutput=2\nactivation=linear\n' > "$out/two.cfg"
{ printf '\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'; f32 0 0 1 0 0 1; } > "$out/two.weights"
refuse "features that are no numbers" 'nan.npy: row 0, column 1: found nan, expected a finite number$' 1 "$out/two.cfg" "$out/two.weights" --features "$out/nan.npy"
sed 's/^\[dropout\]/[softmax]/; s/^probability=.*/noloss=1/' "$out/net.cfg" > "$out/other.cfg"
refuse "a layer without integers" 'other.cfg: layer 9, \[softmax\], cannot be exported: no integer form$' 1 "$out/other.cfg" "$net" --images "$out/images.txt"
printf '[net]\nheight=3\nwidth=32\nchannels=700\n[convolutional]\nfilters=1\nsize=3\npad=1\nactivation=linear\n' > "$out/deep.cfg"
{ i32 0 2 0 0 0; head -c $((4 * (1 + 9 * 700))) /dev/zero; } > "$out/deep.weights"
try "$structnet" approx "$out/deep.cfg" "$out/deep.weights" --type pruned --share 0.2 -o "$out/wide"
refuse "rows that a patch's columns cannot number" 'wide.cfg: layer 0, \[psm\], cannot be exported: more than 65535 numbers in the rows of a patch$' 1 \
    "$out/wide.cfg" "$out/wide.weights" --images "$out/images.txt"
try "$structnet" export "$out/net.cfg" "$net" --images "$out/images.txt" -o "$out/9lives"
ok "a name that C does not take" complains 2 "^structnet export: -o: expected a name of C, found '9lives'"

summary export
