#!/bin/sh
# The runtime of exported nets as a package for Arduino, PlatformIO, Zephyr and ESP-IDF. Usage: tools/micro/package.sh DIRECTORY
# [NET.c NET.h], from the repository's root: DIRECTORY, which must not exist, becomes the package, with an example around NET.
set -eu

[ $# = 1 ] || [ $# = 3 ] || {
    echo 'usage: tools/micro/package.sh DIRECTORY [NET.c NET.h]' >&2
    exit 2
}
out=$1
[ ! -e "$out" ] || {
    echo "tools/micro/package.sh: $out: there is one already" >&2
    exit 1
}
version=$(sed -n 's/^#define STRUCTNET_VERSION "\(.*\)"/\1/p' layers/structnet.h)
mkdir -p "$out/src"
cp layers/micro*.[ch] "$out/src"
cp LICENSE tools/micro/CMakeLists.txt "$out"
cp -R tools/micro/zephyr "$out"
for file in library.properties library.json idf_component.yml; do
    sed "s/@VERSION@/$version/" "tools/micro/$file" > "$out/$file"
done
[ $# = 3 ] || exit 0
cp -R tools/micro/examples "$out"
name=$(basename "$2" .c)
for file in "$2" "$3"; do
    sed "s/\\b$name\\b/net/g; s/\\b${name}_/net_/g" "$file" > "$out/examples/SelfTest/net.${file##*.}"
done
