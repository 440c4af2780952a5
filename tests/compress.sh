#!/bin/sh
# structnet compress as a user calls it, on a net of some thousand values. Usage: tests/compress.sh BUILD [browser], from the
# repository's root; with "browser" Chromium shows the pages too.
set -u

build=$1
out=$build/test-compress
structnet=$build/structnet
darknet=$build/darknet
. tests/checks.sh

three_colours
colour_net net <<'END_CFG'
[connected]
output=16
activation=leaky
END_CFG

compress() { try "$structnet" compress "$out/net.cfg" "$out/net.weights" "$out/task.data" "$@"; }
# column FILE NAME: of the table, without its head.
column() { awk -F '\t' -v name="$2" '/^#/ { next } !c { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } { print $c }' "$1"; }
rows() { grep -v '^#' "$1" | tail -n +2; }

# ---- a share
compress --share 0.6 --types psm,dense --bits 32,8 -o "$out/small" --json
ok "compress" is 0
cp "$out/stdout" "$out/first"
ok "... says how many steps it ran" [ "$(value steps_run "$out/first")" -gt 20 ]
ok "... tries every type, number of bits and size of blocks" [ "$(rows "$out/small.report.tsv" | cut -f 2,3,4 | sort | tr '\t\n' ' ;')" = \
    'dense 32 1;dense 8 1;psm 32 1;psm 32 4;psm 32 8;psm 8 1;psm 8 4;psm 8 8;' ]
ok "... keeps to the budget" [ "$(awk -F '\t' '/^1\t/ && $15 != 0 { print ($5 <= 0.6 * 4 * 16 * 3) }' "$out/small.report.tsv")" = 1 ]
ok "... says what it chose" [ "$(value bytes "$out/first")" = "$(awk -F '\t' '$15 == 1 { print $5 }' "$out/small.report.tsv")" ]
figures_of_full() { awk -F '\t' "/^1\\t/ && $1 { printf \"%s\\t%.12g\\n\", \$13, -\$14 }" "$out/small.report.tsv" | sort -t '	' -k 1gr -k 2gr; }
ok "... which is the best of those that were trained to the end" [ "$(figures_of_full '$12 != ""' | head -n 1)" = "$(figures_of_full '$15 == 1')" ]
ok "... four of them" [ "$(column "$out/small.report.tsv" top1_full | grep -c .)" = 4 ]
try "$structnet" check "$out/small.cfg" "$out/small.weights"
ok "... the net is whole" says 0 '^ok$'
ok "... the layer before stays" same_bytes "$out/net.weights" 20 "$out/small.weights" 20 $((4 * (16 + 16 * 108)))
try "$structnet" eval "$out/small.cfg" "$out/small.weights" "$out/task.data" --json
ok "... eval finds the same top-1" [ "$(value top1 "$out/stdout")" = "$(value top1 "$out/first")" ]
parts=$(echo "$out"/small.parts-*)
ok "... no image that chooses trains" [ "$(cat "$parts/train.txt" "$parts/held.txt" | sort -u | wc -l) $(wc -l < "$parts/held.txt")" = '21 4' ]
ok "... of the candidates' nets the chosen one stays" [ "$(ls "$parts"/*.weights | wc -l)" = 1 ]

# ---- the report
ok "the table says what was asked" grep -q '^# command: structnet compress .* --share 0.6 --types psm,dense --bits 32,8 ' "$out/small.report.tsv"
ok "... and has the classes" grep -q '^# class blue: 7 images, [0-7] right, dense [0-7]$' "$out/small.report.tsv"
try python3 tests/page.py "$out/small.report.html" "$out/small.report.tsv"
ok "the page's pictures show the table" says 0 '^2$'
sed 's/translate([0-9.]*,/translate(3,/' "$out/small.report.html" > "$out/wrong.html"
try python3 tests/page.py "$out/wrong.html" "$out/small.report.tsv"
ok "... which one that is moved does not" [ "$status" != 0 ]
ok "the page fits a narrow screen" grep -q 'name="viewport" content="width=device-width' "$out/small.report.html"
sed -n 's/^\(<pre>\)*structnet \(approx\|tune\|features\) //p' "$out/small.report.html" > "$out/commands"
ok "the page has the commands of the chosen net" [ "$(wc -l < "$out/commands")" = 5 ]
ok "... as they are given" grep -q -e '--seed 0 -o .*-full --teacher' "$out/commands"
mv "$parts" "$out/moved"
mkdir "$parts"
cp "$out/moved"/*.txt "$parts"
sed -n "s#^\(<pre>\)*structnet \([aft].*\)#$structnet \2#p" "$out/small.report.html" > "$out/again.sh"
try sh -e "$out/again.sh"
ok "... and they give its bytes again" cmp -s "$(ls "$parts"/*-full.weights)" "$out/small.weights"
rm -r "$parts"
mv "$out/moved" "$parts"

# shown PAGE: in a frame of 400 pixels; the title says how wide the page is then.
shown() {
    sed 's|</body>|<script>top.postMessage(document.documentElement.scrollWidth, "*")</script>&|' "$1" > "$out/inner.html"
    echo '<script>onmessage = e => document.title = "width " + e.data</script><iframe src="inner.html" width="400" height="9000"></iframe>' \
        > "$out/outer.html"
    try chromium --headless --no-sandbox --disable-gpu --user-data-dir="$out/profile" --virtual-time-budget=5000 --enable-logging=stderr \
        --dump-dom "file://$(pwd)/$out/outer.html"
}
if [ "${2-}" = browser ]; then
    shown "$out/small.report.html"
    ok "the page is as wide as its frame" says 0 '<title>width 400</title>'
    ok "... and has no errors" [ "$(grep -c CONSOLE "$out/stderr")" = 0 ]
    sed 's|<p>|<p style="width: 900px">|; s|</body>|<script>wrong()</script>&|' "$out/small.report.html" > "$out/wrong.html"
    shown "$out/wrong.html"
    ok "... which one that is wider has not" says 0 '<title>width 9[0-9]*</title>'
    ok "... nor one with an error" grep -q CONSOLE "$out/stderr"
fi

# ---- again
cp "$out/small.weights" "$out/first.weights"
compress --share 0.6 --types psm,dense --bits 32,8 -o "$out/small" --json
ok "the same command finds all steps there" [ "$(value steps_run "$out/stdout")" = 0 ]
ok "... and the same net" cmp -s "$out/first.weights" "$out/small.weights"
rm "$parts"/*-full.weights
compress --share 0.6 --types psm,dense --bits 32,8 -o "$out/small" --json
ok "what is missing is made anew" cmp -s "$out/first.weights" "$out/small.weights"
compress --share 0.6 --types dense --bits 8 -o "$out/small"
ok "most steps of one of the candidates are there too" says 0 '^steps *[0-4] run, '
compress --share 0.6 --types dense --bits 8 --seed 1 -o "$out/small" --json
ok "another seed draws other images" [ "$(ls -d "$out"/small.parts-* | wc -l)" = 2 ]
interruptible "$structnet" compress "$out/net.cfg" "$out/net.weights" "$out/task.data" --share 0.6 --bits 32 -o "$out/part"
is_under_way() { ls "$out"/part.parts-*/*-brief.json > "$out/listed" 2>&1; }
within 60 is_under_way
interrupt
finish
ok "Ctrl-C ends compress" is 130
ok "... without a net" [ ! -e "$out/part.cfg" ]
compress --share 0.6 --types psm --bits 32 -o "$out/part" --json
ok "... and it goes on from there" at_least "$(ls "$out"/part.parts-*/*.json | wc -l)" "5 + $(value steps_run "$out/stdout")"

# ---- the smallest, several layers, a list for the test
compress --max-drop 0 --types lowrank --bits 8 -o "$out/least" --json
ok "--max-drop" is 0
ok "... keeps to it" at_least "$(value held_top1 "$out/stdout")" "$(value dense_held_top1 "$out/stdout")"
ok "... with the fewest bytes that it found" [ "$(awk -F '\t' -v top1="$(value dense_held_top1 "$out/stdout")" \
    '/^1\t/ && $3 == 8 && $12 != "" && $12 >= top1 { print $5 }' "$out/least.report.tsv" | sort -g | head -n 1)" = "$(value bytes "$out/stdout")" ]
compress --share 0.3 --layers all --types lowrank --bits 32 -o "$out/all" --json
ok "--layers all" is 0
ok "... replaces both" [ "$(grep -c '^\[sss\]' "$out/all.cfg")" = 2 ]
ok "... within the budget" at_least "0.3 * $(value dense_bytes "$out/stdout")" "$(sed -n 's/^	"bytes":	\([0-9]*\),$/\1/p' "$out/stdout")"
expected=$(value top1 "$out/stdout")
ok "... top-1 of the whole net" [ "$("$structnet" eval "$out/all.cfg" "$out/all.weights" "$out/task.data" --json | sed -n 's/.*"top1":[^0-9]*\([0-9.]*\).*/\1/p')" = "$expected" ]
cp "$out/all.report.tsv" "$out/both.tsv"
ok "... a page with four pictures" [ "$(grep -c '<svg' "$out/all.report.html")" = 4 ]
awk '/^\[connected\]/ && !n++ { print "[convolutional]\nfilters=3\nsize=1\nactivation=linear\n" } { sub(/^output=16$/, "output=200") } 1' "$out/net.cfg" \
    | sed 's/^max_batches=.*/max_batches=4/' > "$out/wide.cfg"
try env STRUCTNET_SEED=1 "$darknet" classifier train "$out/task.data" "$out/wide.cfg"
try "$structnet" compress "$out/wide.cfg" "$out/backup/wide.weights" "$out/task.data" --share 0.5 --layers all --types dense --bits 8 -o "$out/large"
ok "... but not what holds next to nothing" says 0 '^layer *1, dense'
ok "... all others" [ "$(grep -c '^layer' "$out/stdout")" = 2 ]
compress --bytes 100 --layers 1 --types dense --bits 4 -o "$out/named"
ok "--layers and --bytes" says 0 '^layer *1, dense, 4 bits, [0-9]* bytes of 192$'
head -n 6 "$out/images.txt" > "$out/test.txt"
{ cat "$out/task.data"; echo "test=$out/test.txt"; } > "$out/three.data"
try "$structnet" compress "$out/net.cfg" "$out/net.weights" "$out/three.data" --share 0.6 --types dense --bits 8 -o "$out/three"
ok "with a test list valid chooses" says 0 '^held .*, 21 images$'
ok "... and test judges" grep -q '^test .*, 6 images$' "$out/stdout"

# ---- a whole net, convolutions included
colour_net whole <<'END_CFG'
[convolutional]
batch_normalize=1
filters=12
size=3
stride=1
pad=1
activation=leaky

[convolutional]
filters=8
size=1
stride=1
activation=leaky
END_CFG
whole() { try "$structnet" compress "$out/whole.cfg" "$out/whole.weights" "$out/task.data" --layers all "$@"; }
whole --share 0.2 --madds 0.4 -o "$out/w" --json
ok "a whole net" is 0
cp "$out/stdout" "$out/w.json"
ok "... keeps to the budget of bytes" at_least "0.2 * $(value dense_bytes "$out/w.json")" "$(sed -n 's/^	"bytes":	\([0-9]*\),$/\1/p' "$out/w.json")"
ok "... and of multiply-adds" at_least "0.4 * $(value dense_multiply_adds "$out/w.json")" "$(sed -n 's/^	"multiply_adds":	\([0-9]*\),$/\1/p' "$out/w.json")"
ok "... which are those of the layers" [ "$(value dense_multiply_adds "$out/w.json")" = $((36 * (12 * 27 + 8 * 12) + 3 * 288)) ]
try "$structnet" check "$out/w.cfg" "$out/w.weights"
ok "... the net is whole" says 0 '^ok$'
ok "... beside it those of 4, 3 and 2 bits" [ "$(grep -c '"net":	"dense, [432] bits"' "$out/w.json") $(grep -c '^# net ' "$out/w.report.tsv")" = '3 5' ]
row() { sed -n "s/^# net $1: \([0-9]*\) bytes, \([0-9]*\) multiply-adds, .*/\1 \2/p" "$out/w.report.tsv"; }
ok "... whole nets, to the byte" [ "$(row 'this net') $(row 'dense, float')" = "$(for net in w whole; do
    "$structnet" info "$out/$net.cfg" "$out/$net.weights" | awk '/^total/ { print $3, $4 }'; done | tr '\n' ' ' | sed 's/ $//')" ]
ok "... those of few bits keep all multiply-adds" [ "$(row 'dense, 2 bits' | cut -d ' ' -f 2)" = "$(row 'dense, float' | cut -d ' ' -f 2)" ]
ok "... and take fewer bytes by the bit" at_least "$(row 'dense, 3 bits' | cut -d ' ' -f 1)" "1 + $(row 'dense, 2 bits' | cut -d ' ' -f 1)"
cat > "$out/page.py" <<'END_PAGE'
import re, sys
page, rows = open(sys.argv[1]).read(), [l for l in open(sys.argv[2]) if l.startswith('# net ')]
cells = [re.findall('<td>(.*?)</td>', r) for r in re.findall('<tr.*?</tr>', page.split('<h2>')[0]) if '<td>' in r]
facts = [re.match('# net (.*): (\d+) bytes, (\d+) multiply-adds, ([\d.]+) images/s, top-1 ([\d.]+)', r).groups() for r in rows]
assert [(c[0], c[1], c[3], c[5]) for c in cells] == [f[:4] for f in facts]
assert all(abs(float(c[7]) - 100 * float(f[4])) < .006 for c, f in zip(cells, facts))
print(len(cells))
END_PAGE
try python3 "$out/page.py" "$out/w.report.html" "$out/w.report.tsv"
ok "... the page shows the same" says 0 '^5$'
ok "... a tiny layer stays" grep -q '^\[convolutional\]' "$out/w.cfg"
try "$structnet" eval "$out/w.cfg" "$out/w.weights" "$out/task.data" --json
ok "... eval finds the same top-1" [ "$(value top1 "$out/stdout")" = "$(sed -n 's/^	"top1":	\([0-9.]*\),$/\1/p' "$out/w.json")" ]
ok "... the table has the forms" [ "$(grep -c '	alone	' "$out/w.report.tsv") $(grep -c '	net	' "$out/w.report.tsv")" = '30 2' ]
try "$structnet" calibrate "$out/w.cfg" "$out/w.weights" "$(echo "$out"/w.parts-*)/few-256-0.txt" -o "$out/again.weights" --json
ok "... its batch normalisation is that of the images" at_least 1e-4 "$(value change "$out/stdout")"
cp "$out/w.weights" "$out/first.weights"
whole --share 0.2 --madds 0.4 -o "$out/w" --json
ok "... once more, nothing is computed" [ "$(value steps_run "$out/stdout")" = 0 ]
ok "... for the same net" cmp -s "$out/w.weights" "$out/first.weights"
rm "$out"/w.parts-*/*-2.json
whole --share 0.2 --madds 0.4 -o "$out/w" --json
ok "... from the middle on" cmp -s "$out/w.weights" "$out/first.weights"
whole --madds 0.4 --types pruned --bits 4 --baselines none -o "$out/w"
ok "multiply-adds alone" says 0 '^madds .*share 0\.[123]'
ok "... of the types that are asked for" [ -z "$(grep '^\[sss\]' "$out/w.cfg")" ]
whole --madds 0.5 --types pruned --bits 4 --block 4 --images 9 --baselines none -o "$out/w4"
ok "blocks of 4 rows" says 0 '^layers   2, fitted by 9 images$'
ok "... are in the net" [ "$(grep -c '^block=4' "$out/w4.cfg")" = 2 ]
whole --share 1 --types pruned --bits 8 --parts 0.25 --tune layers --tune-images 20 --baselines 8 -o "$out/wt" --json
ok "one part of the entries, tuned" [ "$(grep -c '	alone	' "$out/wt.report.tsv") $(grep -c '	net	' "$out/wt.report.tsv")" = '0 2' ]
ok "... that many entries" [ "$(sed -n 's/^	"multiply_adds":	\([0-9]*\),$/\1/p' "$out/stdout")" = $((36 * (12 * 27 / 4 + 8 * 12) + 3 * 288 / 4)) ]
ok "... by structnet reconstruct, the net of few bits too" [ "$(cat "$out"/wt.parts-*/*.json | grep -c 'structnet reconstruct .* --images 20"')" = 2 ]
whole --share 0.01 --types pruned --bits 8 --parts 0.25 --baselines none -o "$out/wt"
ok "... which does not keep to the budget" complains 1 'expected at most [0-9]* bytes and inf multiply-adds, found'
whole --max-drop 0 --target madds --types pruned --bits 8 --baselines none -o "$out/wd" --json
ok "--max-drop of multiply-adds" is 0
ok "... looks at several nets" at_least "$(ls "$out"/wd.parts-*/eval-held-*.json | wc -l)" 3
ok "... by the held images" [ "$(ls "$out"/wd.parts-*/eval-test-*.json | wc -l)" = 2 ]
ok "... takes a part of them" at_least "$(value dense_multiply_adds "$out/stdout")" "1.5 * $(value multiply_adds "$out/stdout")"
awk '/^\[connected\]/ && !n++ { print "[connected]\noutput=300\nactivation=leaky\n" } { sub(/^filters=8/, "filters=40") } 1' "$out/whole.cfg" \
    | sed 's/^max_batches=.*/max_batches=4/; s/^size=1$/size=3\npad=1/' > "$out/wide.cfg"
try env STRUCTNET_SEED=1 "$darknet" classifier train "$out/task.data" "$out/wide.cfg"
try "$structnet" compress "$out/wide.cfg" "$out/backup/wide.weights" "$out/task.data" --layers all --share 0.2 --types pruned --bits 4 --parts 0.2 \
    --baselines 2 -o "$out/ws"
ok "a layer that holds next to nothing of a whole net" is 0
ok "... has 8 bits" [ "$(sed -n '/^\[/{p}; /^bits=/p' "$out/ws.cfg" | tr '\n' ' ')" = '[net] [sss] bits=8 [psm] bits=4 [psm] bits=4 [psm] bits=4 [softmax] ' ]
few=$(grep -l 'bits=2' "$out"/ws.parts-*/*.cfg)
ok "... in the net of few bits too" [ "$(sed -n '/^\[/{p}; /^bits=/p' "$few" | tr '\n' ' ')" = '[net] [sss] bits=8 [sss] bits=2 [sss] bits=2 [sss] bits=2 [softmax] ' ]
whole --share 0.001 -o "$out/bad"
ok "a budget for no form" complains 1 'expected forms of the layers that keep to the budget, found none'
compress --madds 0.5 -o "$out/bad"
ok "--madds for one layer" complains 2 '--madds: expected layers that are a whole net'

# ---- a whole net, trained by Darknet
# A darknet stands beside this structnet that keeps the cfg which it is called with, and what it says.
mkdir "$out/bin"
cp "$structnet" "$out/bin/structnet"
printf '#!/bin/sh\ncp "$4" "%s/trained.cfg"\nexec "%s" "$@" > "%s/trained.log"\n' "$out" "$darknet" "$out" > "$out/bin/darknet"
chmod +x "$out/bin/darknet"
# trained OPTION...: of whole.cfg, for classes in another order than it has learned them in.
printf 'green\nblue\nred\n' > "$out/turned.txt"
sed "s|^labels=.*|labels=$out/turned.txt|" "$out/task.data" > "$out/turned.data"
trained() {
    try "$out/bin/structnet" compress "$out/whole.cfg" "$out/whole.weights" "$out/turned.data" --layers all --share 1 --types pruned --bits 8 \
        --parts 0.25 --baselines none -o "$out/wl" "$@"
}
trained --json
ok "a net that has learned other classes" [ "$(value top1 "$out/stdout")" = 0 ]
trained --tune whole --tune-batches 400 --tune-rate 0.05 --json
ok "--tune whole" is 0
ok "... teaches it those of the task" [ "$(value top1 "$out/stdout")" = 1 ]
try "$structnet" check "$out/wl.cfg" "$out/wl.weights"
ok "... the net is whole" says 0 '^ok$'
seen() { od -A n -t u8 -j 12 -N 8 "$1" | tr -d ' '; }
ok "... and has seen no image, as Darknet counts them" [ "$(seen "$out/wl.weights")" = 0 ]
schedule() { sed -n '/^\[net\]/,/^$/p' "$out/trained.cfg" | grep -e batch -e sub -e rate -e policy -e power -e scales -e steps | tr '\n' ' '; }
ok "... in batches of the cfg's" [ "$(schedule)" = 'batch=4 subdivisions=1 learning_rate=0.05 max_batches=400 policy=poly power=1 ' ]
folder=$(echo "$out"/wl.parts-*)
ok "... by the train list, which has no image that judges" [ "$(grep -e train= -e valid= "$folder/train.data") $(cat "$folder/train.txt" \
    "$folder/held.txt" | sort -u | wc -l) $(wc -l < "$folder/train.txt")" = "train=$folder/train.txt 21 17" ]
step=$folder/$(ls "$folder" | sed -n 's/^\([0-9a-f]*-[0-9]*-whole-[0-9a-f]*\)\.json$/\1/p')
ok "... of what Darknet saves the weights stay" [ "$(ls "$step"* | wc -l) $(ls "$folder" | grep -c -e backup -e '_[0-9]*\.weights')" = '4 0' ]
cp "$out/wl.weights" "$out/first.weights"
trained --tune whole --tune-batches 400 --tune-rate 0.05 --json
ok "... once more, nothing is computed" [ "$(value steps_run "$out/stdout")" = 0 ]
rm "$step.json"
trained --tune whole --tune-batches 400 --tune-rate 0.05 --json
ok "... or the same net" cmp -s "$out/wl.weights" "$out/first.weights"
interruptible "$out/bin/structnet" compress "$out/whole.cfg" "$out/whole.weights" "$out/turned.data" --layers all --share 1 --types pruned --bits 8 \
    --parts 0.25 --baselines none -o "$out/wl" --tune whole --tune-batches 200000
trains() { grep -q '^batch .* of 200000:' "$out/trained.log"; }
within 60 trains
interrupt
finish
ok "Ctrl-C ends the training" is 130
is_saved() { at_least "$(seen "$folder"/*.backup)" 40; }
ok "... which is saved" within 30 is_saved
# Of the count of images in these weights Darknet has no batch left.
cp "$step.weights" "$out/late.weights"
printf '\0\0\200\077' | dd of="$out/late.weights" bs=1 seek=20 conv=notrunc 2> "$out/stderr"
rm "$step.json"
cp "$out/late.weights" "$step.backup"
trained --tune whole --tune-batches 400 --tune-rate 0.05 --json
ok "... and goes on from there" cmp -s "$step.weights" "$out/late.weights"
sed 's/^batch=4/batch=1/; s/^max_batches=.*/&\npolicy=steps\nsteps=1,2\nscales=.5,.5/' "$out/whole.cfg" > "$out/one.cfg"
cp "$out/whole.weights" "$out/one.weights"
try "$out/bin/structnet" compress "$out/one.cfg" "$out/one.weights" "$out/task.data" --layers all --share 1 --types pruned --bits 8 --parts 0.25 \
    --baselines none -o "$out/wo" --tune whole
ok "a cfg of one image is trained by a tenth of its rate in batches of 64 for two passes" [ "$(schedule)" = \
    'batch=64 subdivisions=4 learning_rate=0.001 max_batches=1 policy=poly power=1 ' ]
trained --tune whole --tune-rate 1000
ok "a rate that is too high" complains 1 'darknet: .*-whole-.*: expected a finite loss, found'
colour_net depth <<'END_CFG'
[convolutional]
filters=32
size=3
pad=1
activation=leaky

[convolutional]
batch_normalize=1
groups=32
filters=32
size=3
pad=1
activation=leaky

[convolutional]
filters=32
size=1
activation=leaky
END_CFG
depth() { try "$structnet" compress "$out/depth.cfg" "$out/depth.weights" "$out/task.data" --share 0.3 --types pruned --bits 4 --layers "$1" --baselines 3 -o "$out/wd" --json; }
depth all
ok "a net with a layer of groups" is 0
ok "... which has 8 bits" [ "$(tr '\n' ' ' < "$out/wd.cfg" | grep -c '\[sss\] batch_normalize=1 filters=32 size=3 pad=1 activation=leaky stages=32 states=0 bits=8')" = 1 ]
ok "... in its table" grep -q '^1	dense	8	1	net	352	10368	' "$out/wd.report.tsv"
try "$structnet" check "$out/wd.cfg" "$out/wd.weights"
ok "... the net is whole" says 0 '^ok$'
depth 0,1,2
ok "... asked for by its number" grep -q '^1	dense	8	1	net	352	10368	' "$out/wd.report.tsv"
colour_net pooled <<'END_CFG'
[convolutional]
filters=12
size=3
pad=1
activation=leaky

[convolutional]
filters=12
size=3
pad=1
activation=leaky

[avgpool]
END_CFG
sed 's/^width=6/width=12/' "$out/pooled.cfg" > "$out/broad.cfg"
broad() {
    try "$structnet" compress "$out/broad.cfg" "$out/pooled.weights" "$out/task.data" --layers all --share 1 --types pruned --bits 8 --baselines none \
        -o "$out/wb" "$@"
}
broad --tune whole
ok "a net that Darknet cannot train" complains 1 'broad: \[net\]: expected height = width and 3 channels, .*, found 6 x 12 x 3'
ok "... is refused before a fit" [ -z "$(ls "$out"/wb.parts-*/*.cfg 2> "$out/listed")" ]
broad
ok "... which can be made smaller" is 0
whole --share 1 --tune layers --tune-batches 3 -o "$out/bad"
ok "--tune-batches for layers" complains 2 '--tune-batches: expected --tune whole'
whole --share 1 --tune whole --tune-images 3 -o "$out/bad"
ok "--tune-images for the whole net" complains 2 '--tune-images: expected --tune layers'
whole --share 1 --tune all -o "$out/bad"
ok "--tune with another word" complains 2 "--tune: expected none, layers or whole, found 'all'"

# ---- what is refused
try flock "$parts/search.lock" "$structnet" compress "$out/net.cfg" "$out/net.weights" "$out/task.data" --share 0.6 -o "$out/small"
ok "two at a time in a folder" complains 1 'small.parts-[0-9a-f]*: another search works there'
compress --share 0.01 --types psm --bits 32 -o "$out/bad"
ok "a budget for nothing" complains 1 'layer 1: expected a matrix of at most 1 bytes, found none'
compress -o "$out/bad"
ok "no budget" complains 2 'expected one of --share, --bytes and --max-drop, found none'
compress --share 0.1 --bytes 3 -o "$out/bad"
ok "two budgets" complains 2 'found several'
compress --share 0.1
ok "no name" complains 2 'expected -o NAME'
compress --share 0.1 --types psm,nothing -o "$out/bad"
ok "an unknown type" complains 2 "found 'nothing'"
compress --share 0.1 --layers 7 -o "$out/bad"
ok "a layer that is not there" complains 1 'layer 7: the last layer is 2'
compress --share 0.1 --layers 2 -o "$out/bad"
ok "a layer without a matrix" complains 1 'layer 2 is \[softmax\]'
compress --share 0.1 --holdout 0.001 -o "$out/bad"
ok "nothing held out" complains 1 'expected images to train and images to hold out, found 21 and 0'
sed 's/^valid=.*//' "$out/task.data" > "$out/lone.data"
try "$structnet" compress "$out/net.cfg" "$out/net.weights" "$out/lone.data" --share 0.5 -o "$out/bad"
ok "no valid list" complains 1 'valid'
compress --share 0.6 --types dense --bits 8 -o "$out/net"
ok "compress does not overwrite its input" complains 1 'net.cfg: is an input, expected another output'
ok "... nothing is left" [ -z "$(ls "$out" | grep -e '^bad\.[^p]' -e tmp)" ]

summary compress
