"""Writes tests/corpus/: files that no honest program writes, and files with what only their programs can read, and expected.txt,
one line per file: its name and a part of the line with which the reader must refuse it; or "reads KEY", when it must find the
tensor w under that key, "-" for none. Usage: python3 tests/make_corpus.py"""
import argparse
import io
import json
import os
import pathlib
import pickle
import struct
import zipfile

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
FILES = {}
MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
HEADER = MAGIC + b"\x80\x02M\xe9\x03." + b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s."


def text(string):
    return b"X" + struct.pack("<I", len(string)) + string.encode()


def number(n):
    return b"\x8a\x08" + struct.pack("<q", n)


def storage(n=4, kind=b"ctorch\nFloatStorage\n", key="0", extra=b""):
    return b"(" + text("storage") + kind + text(key) + text("cpu") + number(n) + extra + b"tQ"


def tensor(offset=0, shape=(2, 2), stride=(2, 1), of=None):
    sizes = b"(" + b"".join(map(number, shape)) + b"t(" + b"".join(map(number, stride)) + b"t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + (of or storage()) + number(offset) + sizes + b"\x89}tR"


def state(value=None):
    return b"}" + text("w") + (value or tensor()) + b"s"


def legacy(body, keys=("0",), tail=struct.pack("<q", 4) + bytes(16)):
    return HEADER + b"\x80\x02" + body + b".\x80\x02](" + b"".join(map(text, keys)) + b"e." + tail


def archive(body, entries=(("a/data/0", bytes(16)),), method=zipfile.ZIP_STORED, program="a/data.pkl"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in [(program, b"\x80\x02" + body + b"."), *entries]:
            file.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def safetensors(header, data=bytes(16), length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(**changes):
    return {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16], **changes}}


def both(name, body, reason, **options):
    """The same pickle in the old format and in an archive."""
    FILES[f"legacy-{name}.pth"] = legacy(body, **options), reason
    FILES[f"zip-{name}.pth"] = archive(body), reason


SYSTEM = b"cposix\nsystem\n" + b"(" + text("touch /tmp/structnet-was-here") + b"tR"
both("os-system", SYSTEM, "found an object of 'posix.system'", keys=())
both("eval", b"c__builtin__\neval\n(" + text("1") + b"tR", "found an object of '__builtin__.eval'", keys=())
both("stack-global", text("os") + text("system") + b"\x93(" + text("id") + b"tR", "found an object of 'os.system'", keys=())
both("call-storage", b"ctorch\nFloatStorage\n(tR", "refused to call 'torch.FloatStorage'")
both("getattr-name", b"ctorch\nload\n(tR", "found an object of 'torch.load'", keys=())
both("newline-name", b"ca\x1b[31m\nb\n", "found an object of 'a?[31m.b'", keys=())
both("inst", b"(i__main__\nx\n", "opcode INST")
both("obj", b"(N(o", "opcode OBJ")
both("newobj", b"ccollections\nOrderedDict\n)\x81", "expected tensors, found none", keys=())
both("ext", b"\x82\x01", "opcode EXT1")
both("persid", b"Px\n", "opcode PERSID")
both("text-int", b"I1\n", "opcode INT")
both("unknown-opcode", b"\xff", "0xff is no opcode")
both("protocol", b"\x80\x63", "protocol 99")
both("stack-empty", b"0", "the stack is empty")
both("reduce-empty", b"R", "expected a tuple of arguments")
both("append-empty", b"Na", "expected a list")
both("setitem-list", b"]NNs", "expected a dict")
both("odd-setitems", b"}(Nu", "in pairs")
both("no-mark", b"Nt", "expected a mark")
both("pop-mark", b"(0", "found a mark")
both("memo-get", b"h\x07", "memo has no entry 7")
both("memo-long-get", b"j\xff\xff\xff\x7f", "memo has no entry 2147483647")
both("memo-huge-put", b"Nr\xff\xff\xff\xff", "memo index 4294967295 is too large")
both("memo-put-empty", b"q\x00", "expected a value to remember")
both("huge-string", b"X\xff\xff\xff\xff", "expected 4294967295 more bytes")
both("huge-string8", b"\x8d" + b"\xff" * 8, "expected 18446744073709551615 more bytes")
both("huge-long", b"\x8b\xff\xff\xff\x7f", "expected 2147483647 more bytes")
both("zero-in-string", b"X\x01\x00\x00\x00\x00", "expected tensors, found none", keys=())
both("build-none", b"NNb", "expected a dict to give attributes")
both("no-tensors", b"}", "expected tensors, found none", keys=())
both("negative-shape", state(tensor(shape=(-2, 2))), "negative size")
both("negative-stride", state(tensor(stride=(-2, 1))), "negative size or stride")
both("negative-offset", state(tensor(offset=-1)), "outside its storage")
both("huge-shape", state(tensor(shape=(1 << 62, 1 << 62))), "too large")
both("huge-stride", state(tensor(stride=(1 << 62, 1))), "outside its storage")
both("huge-offset", state(tensor(offset=(1 << 63) - 1)), "outside its storage")
both("out-of-storage", state(tensor(offset=1)), "elements 1 to 4 lie outside its storage of 4")
both("repeated", state(tensor(shape=(1 << 40,), stride=(0,))), "repeat a storage of 4")
both("many-dimensions", state(tensor(shape=(1,) * 9, stride=(1,) * 9)), "at most 8 sizes")
both("shape-stride", state(tensor(shape=(2, 2), stride=(1,))), "as many strides")
both("negative-storage", state(tensor(of=storage(n=-4))), "a size of -4")
both("huge-storage", state(tensor(of=storage(n=1 << 62))), "a size of 4611686018427387904")
both("storage-type", state(tensor(of=storage(kind=b"ctorch\nQUInt8Storage\n"))), "torch.QUInt8Storage")
both("storage-name", state(tensor(of=storage(kind=b"ccollections\nOrderedDict\n"))), "expected ('storage', type, key")
both("two-types", state() + text("v") + tensor(of=storage(kind=b"ctorch\nIntStorage\n")) + b"s", "two types or sizes")
both("two-names", b"}" + text("w") + tensor() + b"s" + text("w") + tensor() + b"s", "two tensors of the name 'w'")
both("control-name", b"}" + text("a\nb") + tensor() + b"s", "control characters")
both("list-key", b"}]" + tensor() + b"s", "neither string nor whole number")
both("deep", b"]" * 200 + tensor() + b"a" * 200, "nested more than 64 deep")
# What training scripts keep beside the tensors: objects, which are passed over.
ARGS = pickle.dumps(argparse.Namespace(lr=0.1, betas=(0.9, 0.99), seen={1}, path=pathlib.PurePosixPath("a/b")), 2)[2:-1]
DTYPE = b"cnumpy\ndtype\n(" + text("f8") + b"K\x00K\x01tR(K\x03" + text("<") + b"NNN" + number(-1) + number(-1) + b"K\x00tb"
SCALAR = b"cnumpy.core.multiarray\nscalar\n(" + DTYPE
SCALAR_2 = SCALAR + b"c_codecs\nencode\n(" + text("\0\0\0") + text("latin1") + b"tRtR"
SCALAR_4 = SCALAR + b"C\x08" + struct.pack("<d", 76.5) + b"tR"
LIGHTNING = b"cpl.utilities\nAttributeDict\n)\x81}" + text("lr") + number(1) + b"sb(" + text("lr") + number(1) + b"u"
SETS = b"\x8f(K\x01K\x02\x90(K\x01\x91\x96" + struct.pack("<Q", 2) + b"ab\x87"
MODULE_STATE = b"}(" + text("_parameters") + b"}" + text("weight") + tensor() + b"s" + text("_modules") + b"}ub"
MODULE = b"ctorchvision.models.resnet\nResNet\n)\x81" + MODULE_STATE
OLD_MODULE = b"(" + text("module") + b"ctorchvision.models.resnet\nResNet\n" + text("r.py") + text("class") + b"tQ)\x81" + MODULE_STATE


def entries(**values):
    return b"}" + b"".join(text(key) + value + b"s" for key, value in values.items())


both("namespace", entries(args=ARGS, model=state()), "reads model")
both("scalar2", entries(state_dict=state(), best_prec1=SCALAR_2), "reads state_dict")
both("scalar4", entries(state_dict=state(), best_prec1=SCALAR_4), "reads state_dict")
both("lightning", entries(hyper_parameters=LIGHTNING, state_dict=state()), "reads state_dict")
both("sets", entries(sets=SETS, weights=state()), "reads weights")
both("object-key", entries(callbacks=b"}cpl\nStop\n}" + text("best") + tensor() + b"ss", state_dict=state()), "reads state_dict")
both("state-first", state() + text("args") + ARGS + b"s", "reads -")
both("two-models", entries(model_ema=state(), model=state()), "reads model")
both("subclass", state(b"ctorch._tensor\n_rebuild_from_type_v2\n(" + tensor().replace(b"(", b"(", 1)[:-1].replace(
    b"_rebuild_tensor_v2\n(", b"_rebuild_tensor_v2\ncmine\nTensor\n(", 1) + b"}tR"), "reads -")
both("module", MODULE, "found a whole module, 'torchvision.models.resnet.ResNet'; load it in PyTorch and torch.save")
both("old-module", OLD_MODULE, "found a whole module, 'torchvision.models.resnet.ResNet'")
both("module-within", entries(model=MODULE, optimizer=state()), "found a whole module")
# A small file that would copy one dict until memory ends.
COPIES = b"}q\x00(" + b"K\x01N" * 2000 + b"u" + b"ccollections\nCounter\nh\x00\x85R0" * 1100
both("copies", COPIES, "more than 4194304 values")
FILES["legacy-view.pth"] = legacy(state(tensor(of=storage(extra=b"(" + text("v") + number(9) + number(1) + b"t")))), "a view"
FILES["legacy-magic.pth"] = b"\x80\x02K\x01." + legacy(state())[len(MAGIC):], "expected the magic number"
FILES["legacy-protocol.pth"] = MAGIC + b"\x80\x02K\x01.", "expected PyTorch's protocol 1001"
FILES["legacy-big-endian.pth"] = legacy(state()).replace(b"endian\x88", b"endian\x89"), "little-endian"
FILES["legacy-no-key.pth"] = legacy(state(), keys=()), "storage '0' is not in the file"
FILES["legacy-other-key.pth"] = legacy(state(), keys=("1",)), "storage key '1'"
FILES["legacy-key-twice.pth"] = legacy(state(), keys=("0", "0"), tail=(struct.pack("<q", 4) + bytes(16)) * 2), "once"
FILES["legacy-short.pth"] = legacy(state())[:-1], "expected 16 bytes, found 15"
FILES["legacy-size.pth"] = legacy(state(), tail=struct.pack("<q", 1 << 60) + bytes(16)), "expected 4 elements"
FILES["legacy-no-size.pth"] = legacy(state(), tail=b""), "found the end"
FILES["zip-compressed.pth"] = archive(state(), method=zipfile.ZIP_DEFLATED), "compressed"
FILES["zip-bomb.pth"] = archive(state(), [("a/data/0", bytes(1 << 20))], zipfile.ZIP_DEFLATED), "compressed"
FILES["zip-no-entry.pth"] = archive(state(), []), "expected an entry 'data/0'"
FILES["zip-short-entry.pth"] = archive(state(), [("a/data/0", bytes(15))]), "expected 16 bytes, found 15"
FILES["zip-no-pickle.pth"] = archive(state(), program="a/other.pkl"), "expected an entry data.pkl"
FILES["zip-torchscript.pth"] = archive(state(), [("a/constants.pkl", b"\x80\x02).")]), "TorchScript"
FILES["zip-big-endian.pth"] = archive(state(), [("a/data/0", bytes(16)), ("a/byteorder", b"big")]), "byte order"
FILES["zip-parent.pth"] = archive(state(tensor(of=storage(key="../../../../etc/passwd")))), "expected an entry"
broken = archive(state())
FILES["zip-cut.pth"] = broken[:-30], "the file is cut or broken"
FILES["zip-crc.pth"] = broken.replace(bytes(16), bytes(15) + b"\x01", 1), "CRC-32"
at = broken.index(b"PK\x01\x02")
size = struct.pack("<I", 0x7fffffff)
FILES["zip-huge-entry.pth"] = broken[:at + 20] + size + size + broken[at + 28:], "a broken header"
FILES["zip-two-entries.pth"] = broken.replace(b"a/data/0", b"a/data.p"), "expected an entry 'data/0'"
FILES["st-header-length.safetensors"] = safetensors(entry(), length=1 << 60), "safetensors header: expected 1152921504606846976"
FILES["st-json.safetensors"] = safetensors(b'{"w": '), "expected a JSON object"
FILES["st-deep.safetensors"] = safetensors(b'{"w":' + b"[" * 5000), "expected a JSON object"
FILES["st-empty.safetensors"] = safetensors({}), "expected tensors, found none"
FILES["st-dtype.safetensors"] = safetensors(entry(dtype="F8_E4M3")), "dtype: expected"
FILES["st-shape.safetensors"] = safetensors(entry(shape=[2, -2])), "shape: expected"
FILES["st-huge-shape.safetensors"] = safetensors(entry(shape=[1 << 40, 1 << 40])), "too large"
FILES["st-fraction.safetensors"] = safetensors(entry(shape=[2.5, 2])), "shape: expected"
FILES["st-offsets.safetensors"] = safetensors(entry(data_offsets=[0, 17])), "data_offsets"
FILES["st-backwards.safetensors"] = safetensors(entry(data_offsets=[16, 0])), "data_offsets"
FILES["st-bytes.safetensors"] = safetensors(entry(data_offsets=[0, 12])), "outside its storage of 3"
FILES["st-more-bytes.safetensors"] = safetensors(entry(shape=[2])), "expected 8 bytes, found 16"
FILES["st-twice.safetensors"] = safetensors(b'{"w":%s,"w":%s}' % ((json.dumps(entry()["w"]).encode(),) * 2)), "found byte 0 in two"
FILES["empty.pth"] = b"", "an empty file"
FILES["text.pth"] = b"<html>404 not found</html>\n", "expected a PyTorch checkpoint"
FILES["tar.pth"] = bytes(257) + b"ustar" + bytes(250), "tar format"


def main():
    os.makedirs(OUT, exist_ok=True)
    for name in os.listdir(OUT):
        os.remove(f"{OUT}/{name}")
    with open(f"{OUT}/expected.txt", "w") as expected:
        for name, (data, reason) in sorted(FILES.items()):
            with open(f"{OUT}/{name}", "wb") as file:
                file.write(data)
            expected.write(f"{name} {reason}\n")


main()
