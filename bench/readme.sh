#!/bin/sh
# Brings the tables of a README up to date: copies stdin to stdout and puts what FILE holds now between the lines
# `<!-- FILE -->` and `<!-- end -->`, a .tsv as a table, a .txt as it is. Run from the repository's root:
#   sh bench/readme.sh < README.md > README.new && mv README.new README.md
set -eu
awk -F '\t' '
function fail(message) { print "readme.sh: line " NR ": " message > "/dev/stderr"; exit 1 }

# The lines that open a result with # say what it was measured on; of these the first, the CPU, is repeated.
function put(file,   line, fields, i, n, rule, count, cpu) {
    if (file ~ /txt$/) print "```"
    while ((getline line < file) > 0) {
        count++
        if (line ~ /^#/) {
            if (line ~ /^# cpu: /) cpu = substr(line, 8)
            continue
        }
        if (file ~ /txt$/) { print line; continue }
        n = split(line, fields, "\t")
        line = "|"
        for (i = 1; i <= n; i++) line = line " " fields[i] " |"
        print line
        if (rule) continue
        rule = "|"
        for (i = 1; i <= n; i++) rule = rule (i == 1 ? "---|" : "---:|")
        print rule
    }
    close(file)
    if (!count) fail("cannot read " file)
    if (file ~ /txt$/) print "```"
    print ""
    print "(`" file "`, " cpu ")"
}

/^<!-- end -->$/ { within = 0 }
!within { print }
/^<!-- bench\/results\/.* -->$/ {
    file = $0
    gsub(/^<!-- | -->$/, "", file)
    print ""
    put(file)
    within = 1
}
END { if (within) fail("no <!-- end -->") }
'
