#!/bin/sh
# The library as others use it: installed under a prefix with a space, found by pkg-config, linked shared and static; and
# what it must not do. Usage: tests/library.sh BUILD COMPILER, from the repository's root.
set -u

build=$1
compiler=$2
out=$build/test-library
. tests/checks.sh
prefix="$(cd "$out" && pwd)/a prefix"
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"

try make -s BUILD="$build" CC="$compiler" PREFIX="$prefix" install
ok "make install" is 0
for file in bin/darknet bin/structnet include/structnet.h lib/libstructnet.a lib/libstructnet.so lib/pkgconfig/structnet.pc \
    share/man/man1/darknet.1 share/man/man1/structnet.1 share/bash-completion/completions/structnet; do
    ok "... puts $file" [ -s "$prefix/$file" ]
done
for command in $("$build/structnet" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'); do
    ok "... and a page for $command" grep -q "^structnet .*$command .*" "$prefix/share/man/man1/structnet-$command.1"
done
ok "one header is installed" [ "$(ls "$prefix/include")" = structnet.h ]
try "$prefix/bin/structnet" --version
ok "the version is pkg-config's" says 0 "^structnet $(pkg-config --modversion structnet)\$"

# W = [1 | 4 I], which the pruned head holds exactly; x = 0 1 2 3 4, and a bias of 1 1 2 1.
{ npy '<f4' '4, 5'; f32 1 4 0 0 0  1 0 4 0 0  1 0 0 4 0  1 0 0 0 4; } > "$out/w.npy"
{ npy '<f4' '4,'; f32 1 1 2 1; } > "$out/b.npy"
try "$build/structnet" approx --matrix "$out/w.npy" --bias "$out/b.npy" --type pruned --bytes 64 -o "$out/head"
ok "approx writes a head" is 0

# compile NAME FLAG...: the example in an empty folder, by pkg-config's words alone, which quote the space.
compile() {
    program=$1
    shift
    mkdir -p "$out/empty"
    cp tests/library/example.c "$out/empty/x.c"
    try sh -c "cd '$out/empty' && $compiler $(pkg-config --cflags structnet) -Wall -Werror x.c -o ../$program $*"
}
compile shared "$(pkg-config --libs structnet)"
ok "a program compiles against the shared library" is 0
compile static "$(pkg-config --libs --static structnet | sed 's/-lstructnet/-l:libstructnet.a/')"
ok "... and against the static one" is 0
export LD_LIBRARY_PATH="$prefix/lib"
ok "the first needs the library at run time" sh -c 'ldd "$1" | grep -q libstructnet.so.0' - "$out/shared"
ok "the other does not" sh -c '! ldd "$1" | grep -q libstructnet' - "$out/static"
for program in shared static; do
    try "$out/$program" "$out/head.cfg" "$out/head.weights"
    ok "$program: multiplies and approximates" says 0 '^5 9 14 17 psm 0\.[0-9]*$'
    try "$out/$program" "$out/head.cfg" "$out/w.npy"
    ok "$program: refuses what is no head's weights" complains 1 'w.npy: expected a header and 52 bytes'
    try "$out/$program" "$out/w.npy" "$out/head.weights"
    ok "$program: refuses what is no cfg" complains 1 'w.npy'
done

# names FILE OPTION...: what a library offers.
names() { file=$1; shift; nm "$@" --defined-only "$file" | awk 'NF == 3 { print $3 }'; }
for library in libstructnet.a libstructnet.so; do
    option=-g
    [ $library = libstructnet.a ] || option=-D
    names "$prefix/lib/$library" $option | sort > "$out/names"
    ok "$library exports names" [ "$(wc -l < "$out/names")" -ge 15 ]
    ok "... of its own alone" [ -z "$(grep -v -e '^sn_' -e '^sss_' -e '^psm_' -e '^structnet_' "$out/names")" ]
    ok "... which the header declares" [ -z "$(while read -r name; do grep -q "\\b$name(" "$prefix/include/structnet.h" ||
        echo "$name"; done < "$out/names")" ]
done
nm -u "$build/libstructnet.a" | awk '{ print $2 }' | sort -u > "$out/needs"
ok "the library neither prints nor exits" [ -z "$(grep -x -e exit -e _exit -e abort -e printf -e puts -e putchar -e perror \
    -e stdout -e stderr "$out/needs")" ]
ok "it sees no header of Darknet's" [ -z "$(grep -l darknet "$build"/layers/*.d "$build"/approx/*.d)" ]
for file in layers/*.c approx/*.c; do
    try sh -c "$compiler -std=c11 -Ilayers -Iapprox -fsyntax-only -Werror=implicit-function-declaration $file"
    ok "$file compiles as C11 without Darknet's headers" is 0
done

# complete WORD...: what bash offers for the last word.
complete() {
    PATH="$prefix/bin:$PATH" bash -c '
        . "$1/share/bash-completion/completions/structnet"
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _structnet 2> /dev/null
        echo "${COMPREPLY[*]}"' - "$prefix" "$@"
}
ok "bash completes commands" [ "$(complete structnet fe)" = features ]
ok "... and the words of options" [ "$(complete structnet compress --tune w) $(complete structnet compress --target m)" = 'whole madds' ]
ok "... options" [ "$(complete structnet approx --sh)" = "--share --shrinkage" ]
ok "... and types" [ "$(complete structnet approx --type p)" = "psm pruned" ]

summary library
