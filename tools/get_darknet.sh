#!/bin/sh
# Fills darknet/ with the commit that the submodule pins, once: by git where the host can be reached, else from Debian's
# source package, whose orig tarball is the same tree. Either way the tree's hash is checked. Nothing outside build/
# and darknet/ is written.
set -eu
# A git hook's settings must not lead the commands below to the repository that runs it.
unset $(git rev-parse --local-env-vars)

tree=2b3b5d8f4f7f5951ddcc609fe840ef18ecc9c711
tarball_sha256=ec536ae11853846aab96183d8ec18730a46cce71f7d935768d235029329f9e93

root=$(pwd)
[ -f "$root/tools/get_darknet.sh" ] || { echo "get_darknet.sh: run it from the repository's root" >&2; exit 1; }
mkdir -p build

# Prints the hash of the tree that darknet/ holds, whatever the user's git settings, and while other builds do the same.
tree_of_darknet() {
    objects=$(mktemp -d build/darknet.git.XXXXXX)
    git init -q --bare "$objects"
    git --git-dir="$objects" --work-tree=darknet -c core.autocrlf=false -c core.fileMode=true \
        -c core.excludesFile=/dev/null add -A -f . ':!.git' 2>/dev/null
    git --git-dir="$objects" write-tree
    rm -rf "$objects"
}

# apt with a source list and state of its own, so that /etc stays as it is.
get_tarball() {
    rm -rf build/apt
    mkdir -p build/apt/lists/partial
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null \
        | sed -n 's/^URIs: *\([^ ]*\/debian\)\/* *$/\1/p; s/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\/debian\)\/*  *.*/\2/p' \
        | head -n 1)
    echo "deb-src ${mirror:-http://deb.debian.org/debian} $suite main" > build/apt/sources.list
    (
        cd build/apt
        own_apt() {
            apt-get -q -q -o Dir::Etc::sourcelist="$root/build/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
                -o Dir::State::Lists="$root/build/apt/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
                -o APT::Get::List-Cleanup=0 -o APT::Sandbox::User=root "$@"
        }
        own_apt update && own_apt source --download-only darknet
    ) >&2
    echo "$tarball_sha256  $(ls build/apt/darknet_*.orig.tar.xz)" | sha256sum --check --quiet
    mkdir -p darknet
    tar -xf build/apt/darknet_*.orig.tar.xz --strip-components=1 -C darknet
    rm -rf build/apt
}

if [ ! -f darknet/src/parser.c ]; then
    if [ -e .git ] && git submodule update --init darknet 2> build/submodule.log; then
        way="git submodule"
    else
        echo "darknet: $(tail -n 1 build/submodule.log 2>/dev/null || echo 'not a git checkout'); taking Debian's source package"
        get_tarball || { echo "get_darknet.sh: neither git nor apt could fetch Darknet" >&2; exit 1; }
        way="Debian's orig tarball"
    fi
else
    way="already there"
fi

found=$(tree_of_darknet)
if [ "$found" != "$tree" ]; then
    echo "get_darknet.sh: darknet/: expected tree $tree, found $found" >&2
    exit 1
fi
echo "darknet: tree $tree ($way)"
