#!/bin/sh
# Writes the man page of structnet or of one of its commands: what --help prints, which is the one place that explains them.
# Usage: tools/man.sh STRUCTNET [COMMAND] > PAGE
set -eu

name=structnet${2:+-$2}
version=$("$1" --version | head -n 1)
if [ $# = 2 ]; then
    summary=$("$1" --help | sed -n "s/^  $2  *//p")
else
    summary='structured-matrix layers for Darknet'
fi
"$1" ${2:+"$2"} --help | awk -v name="$name" -v version="$version" -v summary="$summary" '
    BEGIN {
        printf ".TH %s 1 \"\" \"%s\" \"User Commands\"\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.nf\n", toupper(name), version,
            name, summary
    }
    { gsub(/\\/, "\\e"); gsub(/-/, "\\-"); sub(/^\./, "\\\\\\&.") }
    NR == 1 { sub(/^usage: /, "") }
    !described && NR > 1 && /^       / { sub(/^ +/, "") }
    !described && /^$/ { print ".fi\n.SH DESCRIPTION\n.nf"; described = 1; next }
    { print }
    END { print ".fi\n.SH SEE ALSO\n.BR structnet (1),\n.BR darknet (1)" }'
