#!/bin/sh
# Installs the programs, the library, its header, man pages, and the completion of commands.
# Usage: tools/install.sh BUILD DESTDIR PREFIX VERSION LIBS, from the repository's root; LIBS is what the library needs.
set -eu

build=$1
case $3 in
/*) prefix=$3 ;;
*) prefix=$(pwd)/$3 ;;
esac
to=$2$prefix
version=$4
libs=$5

install -d "$to/bin" "$to/lib/pkgconfig" "$to/include" "$to/share/man/man1" "$to/share/bash-completion/completions"
install "$build/darknet" "$build/structnet" "$to/bin"
install -m 644 "$build/libstructnet.a" "$to/lib"
install -m 755 "$build/libstructnet.so.0" "$to/lib"
ln -sf libstructnet.so.0 "$to/lib/libstructnet.so"
install -m 644 layers/structnet.h "$to/include"
install -m 644 tools/structnet.bash "$to/share/bash-completion/completions/structnet"

# A prefix may hold spaces, which pkg-config wants escaped.
escaped=$(printf '%s' "$prefix" | sed 's/ /\\ /g')
cat > "$to/lib/pkgconfig/structnet.pc" <<END
prefix=$escaped
includedir=\${prefix}/include
libdir=\${prefix}/lib

Name: structnet
Description: Structured matrices (sequentially semiseparable, products of sparse matrices) and approximation by them
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -lstructnet
Libs.private: $libs
END

install -m 644 tools/darknet.1 "$to/share/man/man1"
sh tools/man.sh "$build/structnet" > "$to/share/man/man1/structnet.1"
for command in $("$build/structnet" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'); do
    sh tools/man.sh "$build/structnet" "$command" > "$to/share/man/man1/structnet-$command.1"
done
