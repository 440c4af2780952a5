#!/bin/sh
# The rules of the sources: layout, lengths, names, and what cppcheck and clang-tidy find. Usage: tests/lint.sh BUILD, from
# the repository's root, after everything is built. Prints what breaks a rule, and exits with 1 when anything does.
set -u

build=$1
out=$build/lint
rm -rf "$out"
mkdir -p "$out"
git ls-files '*.c' '*.h' > "$out/files"
grep -e '^layers/' -e '^approx/' -e '^tools/' "$out/files" > "$out/code"

# Lines as clang-format sets them.
xargs clang-format --dry-run < "$out/files" 2>&1 | grep warning > "$out/format"

# Lines of at most 100 columns, files of 500 lines but for tables, functions of 50.
xargs awk 'length > 100 { print FILENAME ":" FNR ": " length " columns, expected at most 100" }' < "$out/files" > "$out/columns"
grep -v _tables "$out/code" | xargs wc -l | awk '$2 != "total" && $1 > 500 {
    print $2 ": " $1 " lines, expected at most 500" }' > "$out/lines"
# A function begins at a line that starts with a word and holds a bracket, and its body is between { and } in the first column.
xargs awk '
    FNR == 1 { inside = 0 }
    !inside && /^[A-Za-z_].*\(/ && !/;$/ { start = FNR }
    /^\{/ { inside = 1 }
    /^\}/ && inside {
        if (FNR - start + 1 > 50) print FILENAME ":" start ": " FNR - start + 1 " lines of a function, expected at most 50"
        inside = 0
    }' < "$out/files" > "$out/functions"

# A name that others see holds the first word of its file, or begins with that of its family or of what is shared. Hooks keep
# the names that Darknet and the linker call them by.
grep '\.c$' "$out/code" | sed "s#^#$build/#; s#c\$#o#" | while read -r object; do
    word=$(basename "$object" .o | sed 's/_.*//')
    nm -g --defined-only "$object" | awk -v word="$word" -v object="$object" '
        NF == 3 && $3 !~ "^(sn|sss|psm|structnet|plug|stbtt)_" && index($3, word) == 0 \
            && $3 !~ "^(main|__wrap_.*|(load|save)_weights(_upto)?|parse_network_cfg)$" {
            print object ": " $3 ": expected the prefix " word }'
done | sort > "$out/names"

# The tests are left to clang-tidy: their macros are more than cppcheck understands.
cppcheck --quiet --std=c11 --enable=warning,style,performance,portability --inline-suppr --error-exitcode=1 \
    --suppressions-list=tests/cppcheck.txt -j2 -Ilayers -Ilayers/darknet -Iapprox -Itools -Itools/import -Itools/export --library=posix \
    layers approx tools > "$out/cppcheck" 2>&1

# Two files at a time, each with the flags that it is compiled with; but for those of microcontrollers and exported nets.
export library='-std=c11 -Ilayers -Iapprox'
export others='-std=c11 -D_GNU_SOURCE -Ilayers -Ilayers/darknet -Iapprox -Itools -Itools/import -Itools/export -Itools/demo -Itests -isystem darknet/include -isystem darknet/src'
grep '\.c$' "$out/files" | grep -v -e '^tests/fuzz' -e '^bench/mcu/' | xargs -P 2 -I {} sh -c '
    case {} in
    layers/darknet/*) flags=$others ;;
    layers/* | approx/* | tests/family/* | tests/library/*) flags=$library ;;
    *) flags=$others ;;
    esac
    clang-tidy --quiet {} -- $flags 2> /dev/null' > "$out/tidy"

cat "$out/format" "$out/columns" "$out/lines" "$out/functions" "$out/names" "$out/cppcheck" "$out/tidy" > "$out/all"
cat "$out/all"
[ ! -s "$out/all" ] || exit 1
echo "lint: $(wc -l < "$out/files") files keep the rules"
