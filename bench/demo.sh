#!/bin/sh
# Runs the demo and keeps its table in bench/results/demo.txt.
set -eu
make demo
mkdir -p bench/results
{ sh bench/environment.sh; echo "# command: make demo"; cat build/demo/table.txt; } > bench/results/demo.txt.new
mv bench/results/demo.txt.new bench/results/demo.txt
