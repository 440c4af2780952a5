#!/bin/sh
# Installs the Debian packages that are missing, saying which and why; sudo only when not root.
# Usage: tools/deps.sh COMPILER [browser|parity|fuzz|arm|asan|valgrind|bench|lint|mcu], for what these targets need beside
set -eu

compiler=${1%% *}  # CC may hold options.

# package: what it is for
packages='
libc6-dev: C library
libopenblas-dev: matrix products (BLAS)
liblapacke-dev: singular values (LAPACK)
libcjson-dev: --json output, safetensors headers
libminizip-dev: PyTorch checkpoints, which are zip archives
zlib1g-dev: headers that those of minizip include
libdeflate-dev: CRC-32
gnuplot-nox: plots of structnet sweep and compress
libopenmpi-dev: training over several processes
openmpi-bin: training over several processes
libcriterion-dev: tests
pkg-config: tests of the installed library
python3: tests of the page that structnet compress writes
cmake: tests of the package for microcontrollers
g++: tests of the package for microcontrollers
libstb-dev: drawing the glyphs (stb_truetype, stb_image_write)
git: checking the tree of Darknet
xz-utils: unpacking Darknet
ca-certificates: fetching Darknet
fonts-dejavu: glyphs
fonts-liberation2: glyphs
fonts-freefont-ttf: glyphs
fonts-noto-core: glyphs
fonts-roboto-unhinted: glyphs
fonts-open-sans: glyphs
fonts-lato: glyphs
fonts-linuxlibertine: glyphs
fonts-hack: glyphs
fonts-jetbrains-mono: glyphs
fonts-inter: glyphs
fonts-sil-gentiumplus: glyphs
fonts-firacode: glyphs
fonts-vollkorn: glyphs
fonts-oldstandard: glyphs
'
case ${compiler##*/} in
clang) packages="$packages
libomp-dev: threads of make_glyphs with clang
" ;;
clang-*) packages="$packages
libomp-${compiler##*clang-}-dev: threads of make_glyphs with clang
" ;;
esac
case ${2-} in
browser) packages="$packages
chromium: showing the page that structnet compress writes
" ;;
parity) packages="$packages
python3-numpy: comparison with torchvision
python3-pil: comparison with torchvision
python3-torch: comparison with torchvision
python3-torchvision: comparison with torchvision
" ;;
fuzz) packages="$packages
clang: fuzzing
libclang-rt-dev: fuzzing
llvm: fuzzing, coverage
" ;;
arm) packages="$packages
gcc-aarch64-linux-gnu: kernels for ARM
libc6-dev-arm64-cross: kernels for ARM
qemu-user-static: running them
" ;;
mcu) packages="$packages
gcc-arm-none-eabi: exported nets for Cortex-M
libnewlib-arm-none-eabi: headers of that compiler
gcc-riscv64-unknown-elf: exported nets for RISC-V
qemu-system-arm: running them
qemu-system-misc: running them
" ;;
asan) case ${compiler##*/} in clang*) packages="$packages
libclang-rt-dev: sanitizers of clang
llvm: names of functions in their reports
" ;; esac ;;
valgrind) packages="$packages
valgrind: values that nobody set
" ;;
bench) packages="$packages
libgraphblas-dev: sparse products of another library
librsb-dev: sparse products of another library
" ;;
lint) packages="$packages
libgraphblas-dev: headers that the benchmark includes
librsb-dev: headers that the benchmark includes
clang-format: layout of the sources
clang-tidy: faults in the sources
cppcheck: faults in the sources
" ;;
esac

if ! command -v dpkg-query > /dev/null; then
    echo "deps: not a Debian system; these packages are needed under their names here:$packages" >&2
    exit 0
fi

missing=
if ! command -v "$compiler" > /dev/null; then
    echo "deps: missing $compiler: C compiler"
    missing=$compiler
fi
while IFS=: read -r package why; do
    [ -n "$package" ] || continue
    if ! dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q '^install ok installed'; then
        echo "deps: missing $package:$why"
        missing="$missing $package"
    fi
done <<EOF
$packages
EOF
[ -n "$missing" ] || exit 0

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get -q -q update
# shellcheck disable=SC2086
$sudo apt-get -q -q install -y --no-install-recommends $missing > /dev/null
