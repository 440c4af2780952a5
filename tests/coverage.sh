#!/bin/sh
# The lines and branches of our files, not Darknet's, that the Criterion tests and those of the commands reach: a table of directories
# and a total; BUILD/files holds one of files. Fails under 90 % of lines. Usage: tests/coverage.sh BUILD, from the repository's root,
# where BUILD is one of make coverage. Takes about twice as long as the tests.
set -eu

build=$1 least=90
# Processes add their counts to one file for each program.
rm -rf "$build/counts"
mkdir -p "$build/counts"
LLVM_PROFILE_FILE=$(cd "$build" && pwd)/counts/%m.profraw
export LLVM_PROFILE_FILE
# Whether tests pass is not asked: those that limit the size of files limit that of the counts too.
"$build/run_tests" --jobs 2 > "$build/log" 2>&1 || true
for script in commands training tune moments compress bad_input kills family; do
    sh tests/$script.sh "$build" >> "$build/log" 2>&1 || true
done

llvm-profdata merge "$build"/counts/*.profraw -o "$build/profile"
# Programs and dependencies of ours; single files of others lie in darknet/ and system folders.
llvm-cov report "$build/run_tests" -object "$build/structnet" -object "$build/darknet" -instr-profile="$build/profile" \
    $(git ls-files 'layers/*.[ch]' 'approx/*.[ch]' 'tools/*.[ch]') > "$build/files"
awk -v least=$least '
    function row(name) {
        printf "%-18s %7d %7.1f %%  %9d %7.1f %%\n", name, lines[name], 100 * (1 - missed[name] / lines[name]), branches[name],
            branches[name] ? 100 * (1 - untaken[name] / branches[name]) : 100
    }
    function add(name) { lines[name] += $8; missed[name] += $9; branches[name] += $11; untaken[name] += $12 }
    $1 ~ /[.][ch]$/ {
        directory = $1
        sub("/[^/]*$", "", directory)
        if (!(directory in lines)) order[++n] = directory
        add(directory)
        add("all")
    }
    END {
        printf "%-18s %7s %9s  %9s %9s\n", "directory", "lines", "reached", "branches", "reached"
        for (i = 1; i <= n; i++) row(order[i])
        row("all")
        if (100 * (1 - missed["all"] / lines["all"]) >= least) exit 0
        print "coverage: expected " least " % of lines, found less" > "/dev/stderr"
        exit 1
    }' "$build/files"
