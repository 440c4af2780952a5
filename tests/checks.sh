# What the scripts of tests share. Sourced; $out is the folder of the script's files, which is made anew.
passed=0
failed=0
rm -rf "$out"
mkdir -p "$out/backup"

# ok NAME CONDITION...: counts one test.
ok() {
    name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        echo "    status $status"
        head -n 5 "$out/stdout" "$out/stderr" | sed 's/^/    /'
    fi
}

# try COMMAND...: runs it, keeping status, stdout and stderr.
try() {
    "$@" > "$out/stdout" 2> "$out/stderr" < /dev/null
    status=$?
}

is() { [ "$status" = "$1" ]; }
says() { is "$1" && grep -q -e "$2" "$out/stdout"; }
complains() { is "$1" && grep -q -e "$2" "$out/stderr" && [ "$(wc -l < "$out/stderr")" = 1 ] && ! [ -s "$out/stdout" ]; }
value() { sed -n "s/^.*\"$1\":[^0-9-]*\([0-9.e+-]*\).*/\1/p" "$2" | head -n 1; }
at_least() { awk "BEGIN { exit !($1 >= $2) }"; }

# bytes FILE OFFSET COUNT
bytes() { tail -c +$(($2 + 1)) "$1" | head -c "$3"; }
same_bytes() { [ "$(bytes "$1" "$2" "$5" | cksum)" = "$(bytes "$3" "$4" "$5" | cksum)" ]; }

# Arrays of NumPy: a header, then values in binary.
npy() { printf '\223NUMPY\1\0v\0%-117s\n' "{'descr': '$1', 'fortran_order': False, 'shape': ($2), }"; }
f32() {
    for number in "$@"; do
        case $number in
        0) printf '\0\0\0\0' ;; 1) printf '\0\0\200\077' ;; 2) printf '\0\0\0\100' ;; 4) printf '\0\0\200\100' ;;
        -1) printf '\0\0\200\277' ;;
        nan) printf '\0\0\300\177' ;;
        esac
    done
}
i32() { for number in "$@"; do printf "\\00$number\\0\\0\\0"; done; }
i64() { for number in "$@"; do i32 "$number" 0; done; }
floats() { od -An -v -tf4 -j128 "$1" | tr -s ' \n' ' '; }

# three_colours: a task of three classes, 6 x 6 pixels, as PPM files.
pixels() { i=0; while [ $i -lt 36 ]; do printf "$1"; i=$((i + 1)); done; }
three_colours() {
    mkdir -p "$out/images/red" "$out/images/green" "$out/images/blue"
    for n in 1 2 3 4 5 6 7; do
        { printf 'P6\n6 6\n255\n'; pixels "\\35$n\\02$n\\01$n"; } > "$out/images/red/$n.ppm"
        { printf 'P6\n6 6\n255\n'; pixels "\\02$n\\35$n\\01$n"; } > "$out/images/green/$n.ppm"
        { printf 'P6\n6 6\n255\n'; pixels "\\02$n\\01$n\\35$n"; } > "$out/images/blue/$n.ppm"
    done
    ls "$out"/images/*/*.ppm > "$out/images.txt"
    printf 'red\ngreen\nblue\n' > "$out/labels.txt"
    printf 'classes=3\ntrain=%s\nvalid=%s\nlabels=%s\nbackup=%s\ntop=2\n' "$out/images.txt" "$out/images.txt" \
        "$out/labels.txt" "$out/backup" > "$out/task.data"
}

# colour_net NAME: a net for three_colours, of the layers on stdin and an output for each class, as NAME.cfg, and trained, NAME.weights.
colour_net() {
    {
        printf '[net]\nbatch=4\nheight=6\nwidth=6\nchannels=3\nlearning_rate=0.01\nmax_batches=60\n\n'
        cat
        printf '\n[connected]\noutput=3\nactivation=linear\n\n[softmax]\n'
    } > "$out/$1.cfg"
    try env STRUCTNET_SEED=1 "$darknet" classifier train "$out/task.data" "$out/$1.cfg"
    ok "a net trains" is 0
    cp "$out/backup/$1.weights" "$out/$1.weights"
}

# Programs to be ended by Ctrl-C. A shell starts its background jobs so that they ignore it; these do not, and each is a process group of
# its own, as a terminal's foreground job is.
interruptible() { setsid env --default-signal=INT "$@" > "$out/stdout" 2> "$out/stderr" < /dev/null & process=$!; }
interrupt() { kill -s INT -- "-$process"; }
# within SECONDS CONDITION...: waits for it.
within() {
    tries=$(($1 * 50))
    shift
    until "$@"; do
        [ $((tries -= 1)) -gt 0 ] || return 1
        sleep 0.02
    done
}
ended() { ! grep -qs '^State:.[^Z]' "/proc/$process/status"; }
# Once the program runs in place of the shell that started it, the second bit of its mask is SIGINT's.
catches() { grep -qsx structnet "/proc/$process/comm" && grep -qs '^SigCgt:.*[2367abef]$' "/proc/$process/status"; }
dies_at_once() { ended || ! catches; }
finish() {
    within 30 ended || kill -KILL "$process"
    wait "$process"
    status=$?
}

# summary NAME: the closing line of a script, and its status.
summary() {
    echo "$1: $passed passed, $failed failed"
    [ $failed = 0 ]
}
