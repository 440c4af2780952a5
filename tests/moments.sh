#!/bin/sh
# Fits from moments, and batch normalisation taken again, as a user has them computed. Usage: tests/moments.sh BUILD.
set -u

build=$1
out=$build/test-moments
structnet=$(cd "$build" && pwd)/structnet  # called from another directory too
darknet=$build/darknet
. tests/checks.sh

three_colours
# More images, so that a layer sees several times more vectors than it has inputs; a fifth of them is a whole number.
cat "$out/images.txt" "$out/images.txt" "$out/images.txt" | head -n 60 > "$out/more.txt"
colour_net net <<'END_CFG'
[convolutional]
batch_normalize=1
filters=12
size=3
stride=1
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=8
size=1
stride=1
activation=leaky
END_CFG
net="$out/net.cfg $out/net.weights"

# ---- moments in place of rows
try "$structnet" features $net "$out/more.txt" --layer 1 -o "$out/rows"
ok "rows of a 1x1 convolution" says 0 '^rows     2160$'
try "$structnet" features $net "$out/more.txt" --layer 1 --moments -o "$out/f"
ok "moments of it" says 0 '^rows     2160$'
ok "... in one file" says 0 'files    .*/f.moments.npy$'
ok "... of two parts" grep -aqs "(2, 14, 12," "$out/f.moments.npy"
OPENBLAS_NUM_THREADS=3 "$structnet" features $net "$out/more.txt" --layer 1 --moments -o "$out/three" > "$out/stdout"
ok "... the same from three threads" cmp -s "$out/f.moments.npy" "$out/three.moments.npy"
for type in psm lowrank dense; do
    budget='--share 0.4'
    [ $type != dense ] || budget=
    for from in '--features rows --holdout 0' '--moments f.moments.npy'; do
        # shellcheck disable=SC2086
        (cd "$out" && "$structnet" approx net.cfg net.weights --layer 1 --type $type --bits 4 $budget $from -o fit --json) > "$out/$type.json" 2> "$out/stderr"
        status=$?
        ok "$type ${from%% *}" is 0
        cp "$out/fit.cfg" "$out/$type-${from%% *}.cfg"
        value shrinkage "$out/$type.json" > "$out/$type-${from%% *}.shrinkage"
        value error "$out/$type.json" > "$out/$type-${from%% *}.error"
    done
    ok "$type: moments choose the shrinkage that rows do" cmp -s "$out/$type---features.shrinkage" "$out/$type---moments.shrinkage"
    ok "... and the same structure" cmp -s "$out/$type---features.cfg" "$out/$type---moments.cfg"
    ok "... and fit as well" awk "BEGIN { a = $(cat "$out/$type---features.error"); b = $(cat "$out/$type---moments.error"); d = a - b; exit !(d < 1e-3 * a && -d < 1e-3 * a) }"
done
try "$structnet" features $net "$out/images.txt" --layer 0 --moments --augment 2 -o "$out/first"
ok "moments of a 3x3 convolution" says 0 '^inputs   27$'

# ---- judged by other images
try "$structnet" approx $net --layer 1 --type psm --share 0.4 --moments "$out/f.moments.npy" --judge "$out/f.moments.npy" -o "$out/judged" --json
ok "--judge" is 0
ok "... gives the error of outputs" at_least 0.9 "$(value output_error "$out/stdout")"
ok "... the bias has its part in it" at_least "$(value output_error_uncorrected "$out/stdout")" "$(value output_error "$out/stdout")"

# ---- a layer behind a replaced one makes up for it
try "$structnet" features $net "$out/more.txt" --layer 2 --moments -o "$out/float"
ok "moments of the net as it was" is 0
small="$out/judged.cfg $out/judged.weights"
try "$structnet" features $small "$out/more.txt" --layer 2 --moments --reference $net -o "$out/both"
ok "moments with a reference" is 0
ok "... of twice the numbers" grep -aqs "(2, 578, 576," "$out/both.moments.npy"
try "$structnet" approx $small --layer 2 --type psm --share 0.3 --moments "$out/both.moments.npy" --judge "$out/both.moments.npy" -o "$out/fitted" --json
ok "approx to the reference's outputs" is 0
error=$(value output_error "$out/stdout")
try "$structnet" features $small "$out/more.txt" --layer 2 --moments -o "$out/own"
try "$structnet" approx $small --layer 2 --type psm --share 0.3 --moments "$out/own.moments.npy" -o "$out/plain" --dense-out "$out/plain.npy" --json
ok "approx to the layer's own" is 0
ok "... which is another matrix" [ "$(cksum < "$out/plain.weights")" != "$(cksum < "$out/fitted.weights")" ]
ok "the reference is approached" at_least 0.5 "$error"

# ---- calibrate
try "$structnet" calibrate "$out/fitted.cfg" "$out/fitted.weights" "$out/images.txt" -o "$out/calibrated.weights"
ok "calibrate" says 0 '^layers   2, 20 channels$'
try "$structnet" check "$out/fitted.cfg" "$out/calibrated.weights"
ok "... writes a whole file" is 0
try "$structnet" calibrate "$out/fitted.cfg" "$out/calibrated.weights" "$out/task.data" -o "$out/again.weights" --json
ok "... of the train list of a .data file" is 0
ok "... and once more changes nothing" at_least 1e-4 "$(value change "$out/stdout")"
try "$structnet" calibrate "$out/fitted.cfg" "$out/fitted.weights" "$out/images.txt" --images 7 -o "$out/few.weights"
ok "... of a few images" says 0 '^images   7$'
sed 's/batch_normalize=1//' "$out/net.cfg" > "$out/folded.cfg"
head -c $((20 + 4 * (12 + 324 + 8 + 96 + 3 + 864))) "$out/net.weights" > "$out/folded.weights"
try "$structnet" calibrate "$out/folded.cfg" "$out/folded.weights" "$out/images.txt" -o "$out/x.weights"
ok "a net without batch normalisation" complains 1 'folded.cfg: expected a layer with batch_normalize=1'

# ---- what is wrong
try "$structnet" features $net "$out/images.txt" --moments --check -o "$out/x"
ok "--moments with --check" complains 2 '--moments: expected no --check with it'
try "$structnet" features $net "$out/images.txt" --reference $net -o "$out/x"
ok "--reference without --moments" complains 2 '--reference: expected --moments with it'
try "$structnet" approx $net --type psm --share 0.4 --judge "$out/f.moments.npy" -o "$out/x"
ok "--judge without --moments" complains 2 '--judge: expected --moments with it'
try "$structnet" approx $net --layer 2 --type psm --share 0.4 --moments "$out/f.moments.npy" -o "$out/x"
ok "moments of another layer" complains 1 'f.moments.npy: expected moments of 288 inputs, 2 x 290 x 288 or 2 x 578 x 576 values, found 2 x 14 x 12'
try "$structnet" approx $small --layer 2 --type psm --share 0.3 --moments "$out/both.moments.npy" --judge "$out/own.moments.npy" -o "$out/x"
ok "another kind of moments to judge by" complains 1 'own.moments.npy: expected moments with a reference, as'
ok "nothing is left" [ ! -e "$out/x.cfg" ]

summary moments
