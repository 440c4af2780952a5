"""Writes tests/checkpoints/: small files of every format, and expected.json, what torch reads from them. Needs torch.
Usage: /usr/bin/python3 tests/make_checkpoints.py"""
import json
import os
import struct
import zlib

import torch

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "checkpoints")
torch.manual_seed(0)
shared = torch.randn(60)
STATE = {
    "module.float32": torch.randn(3, 2, 2),
    "module.float64": torch.randn(5, dtype=torch.float64),
    "module.float16": torch.tensor([1.5, -6e-8, 6.1e-5, 65504.0, float("inf")]).half(),
    "module.bfloat16": torch.randn(4).bfloat16(),
    "module.uint8": torch.arange(250, 256, dtype=torch.uint8),
    "module.int8": torch.tensor([-128, 127], dtype=torch.int8),
    "module.int16": torch.tensor([-3, 300], dtype=torch.int16),
    "module.int32": torch.tensor([[1 << 20]], dtype=torch.int32),
    "module.int64": torch.tensor(7),
    "module.bool": torch.tensor([True, False, True]),
    "module.transposed": torch.randn(3, 4).t(),
    "module.strided": shared[4:40:3],
    "module.block": shared.view(6, 10)[1:5, 2:7],
    "module.permuted": torch.randn(2, 3, 4).permute(2, 0, 1),
    "module.empty": torch.zeros(0, 3),
    "module.parameter": torch.nn.Parameter(torch.randn(2)),
}
DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.uint8: "U8",
          torch.int8: "I8", torch.int16: "I16", torch.int32: "I32", torch.int64: "I64", torch.bool: "BOOL"}


def safetensors(path):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in STATE.items():
        tensor = tensor.detach().contiguous()
        raw = (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().tobytes()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    os.makedirs(OUT, exist_ok=True)
    nested = {"epoch": 3, "best": torch.tensor(0.5), "state_dict": STATE,
              "optimizer": {"state": {0: {"step": 10, "momentum": torch.ones(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}}
    for is_zip in (True, False):
        for protocol in (2, 4):
            torch.save(nested, f"{OUT}/{'zip' if is_zip else 'legacy'}{protocol}.pth", pickle_protocol=protocol,
                       _use_new_zipfile_serialization=is_zip)
    safetensors(f"{OUT}/plain.safetensors")
    expected = {}
    for name, tensor in STATE.items():
        values = tensor.detach().to(torch.float32).contiguous().numpy().tobytes()
        expected[name] = {"type": str(tensor.dtype).replace("torch.", ""), "shape": list(tensor.shape),
                          "crc32": zlib.crc32(values)}
    with open(f"{OUT}/expected.json", "w") as file:
        json.dump(expected, file, indent=1)
        file.write("\n")


main()
