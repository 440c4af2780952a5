"""Compares imported nets with torchvision's own. Usage: parity.py BUILD [ARCHITECTURE...]

For each architecture: a model with random weights and randomised BatchNorm statistics is saved in the zip and in the old
format, both files are imported, and all logits on fixed inputs must agree to 1e-5 (largest difference over largest
value), with equal argmax. Exits with 1 when any does not.
"""
import contextlib
import os
import subprocess
import sys
import time

import numpy
import torch
import torchvision

ARCHITECTURES = """alexnet googlenet inception_v3 mobilenet_v2 resnet18 resnet34 resnet50 resnet101 resnet152 squeezenet1_0
squeezenet1_1 vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn""".split()
LIMIT = 1e-5
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def make_model(name):
    options = {"transform_input": True, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    torch.manual_seed(1)
    model = getattr(torchvision.models, name)(weights=None, **options)
    for module in model.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            # Activations keep their size through the layers, and every bias takes part.
            fan_in = module.weight[0].numel()
            torch.nn.init.normal_(module.weight, std=(2 / fan_in) ** 0.5)
            if module.bias is not None:
                torch.nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.weight, 0.5, 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def structnet(build, *arguments):
    result = subprocess.run([os.path.join(build, "structnet"), *arguments], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"parity: structnet {' '.join(arguments)}: status {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def compare(build, out, name):
    """One row of the table, and whether the net agrees."""
    model = make_model(name)
    size = 299 if name == "inception_v3" else 224
    x = torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(2))
    numpy.save(f"{out}/x.npy", x.numpy())
    with torch.no_grad():
        expected = model((x - MEAN) / STD).numpy()
    worst, same, seconds = 0, True, 0
    for is_zip in (True, False):
        file, net = f"{out}/{name}.pth", f"{out}/{name}"
        torch.save(model.state_dict(), file, _use_new_zipfile_serialization=is_zip)
        start = time.monotonic()
        structnet(build, "import", name, file, "-o", net)
        seconds = max(seconds, time.monotonic() - start)
        structnet(build, "run", f"{net}.cfg", f"{net}.weights", "--input", f"{out}/x.npy", "-o", f"{out}/y.npy")
        found = numpy.load(f"{out}/y.npy")
        worst = max(worst, numpy.abs(found - expected).max() / numpy.abs(expected).max())
        same = same and (found.argmax(1) == expected.argmax(1)).all()
    parameters = sum(p.numel() for p in model.parameters())
    row = f"{name:14} {parameters:12} {os.path.getsize(file):12} {seconds:9.2f} {worst:11.2e}"
    for suffix in ("pth", "cfg", "weights", "names", "labels"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(f"{out}/{name}.{suffix}")
    return row, worst <= LIMIT and same


def main():
    build, names = sys.argv[1], sys.argv[2:] or ARCHITECTURES
    out = os.path.join(build, "parity")
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(2)
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    print(f"{'net':14} {'parameters':>12} {'bytes':>12} {'import, s':>9} {'difference':>11}")
    failed = []
    for name in names:
        if not hasattr(torchvision.models, name):
            print(f"{name:14} not in this torchvision")
            continue
        row, agrees = compare(build, out, name)
        print(row, "" if agrees else "FAILED", flush=True)
        failed += [] if agrees else [name]
    if failed:
        sys.exit(f"parity: differs from torchvision: {', '.join(failed)}")


main()
