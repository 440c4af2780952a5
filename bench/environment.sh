#!/bin/sh
# Prints the lines that open every file of bench/results/: what the figures were measured on.
set -eu
# of KEY: what /proc/cpuinfo says of the first processor; another kernel than x86's has no such keys.
of() { sed -n "s/^$1[^:]*: //p" /proc/cpuinfo | head -n 1; }
echo "# cpu: $(of 'model name'), family $(of 'cpu family') model $(of 'model	'), $(nproc --all) cores"
echo "# compiler: $(${CC:-gcc} --version | head -n 1)"
echo "# flags: $(sed -n 's/^CFLAGS = //p' Makefile) ours, $(sed -n 's/^DARKNET_FLAGS = \([^$]*\)-g.*/\1/p' Makefile)Darknet"
echo "# openblas: $(dpkg-query -W -f '${Version}' libopenblas0-pthread 2>/dev/null || echo unknown), threads ${OPENBLAS_NUM_THREADS:-all}, core $(build/structnet --version | sed -n 's/^OpenBLAS core //p'), kernels $(build/structnet --version | sed -n 's/^kernels //p')"
echo "# commit: $(git rev-parse --short HEAD)$(git diff --quiet HEAD -- layers approx tools cfg bench || echo ' with changes')"
