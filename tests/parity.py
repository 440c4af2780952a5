"""Compares imported nets with torchvision's own. Usage: parity.py BUILD [--first | ARCHITECTURE...], --first of each family

For each architecture: a model with random weights and randomised BatchNorm statistics is saved and imported, and all
logits on fixed inputs must agree to 1e-5 (largest difference over largest value), with equal argmax. Both formats of files
are read, and the head is replaced. Exits with 1 when anything is not as it should be.
"""
import contextlib
import json
import os
import re
import struct
import subprocess
import sys
import time

import numpy
import PIL.Image
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


def make_inputs(out, name):
    size = 299 if name == "inception_v3" else 224
    x = torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(2))
    numpy.save(f"{out}/x.npy", x.numpy())
    return x


def logits_of(model, x):
    with torch.no_grad():
        return model((x - MEAN) / STD).numpy()


def run(build, out, net):
    structnet(build, "run", f"{net}.cfg", f"{net}.weights", "--input", f"{out}/x.npy", "-o", f"{out}/y.npy")
    return numpy.load(f"{out}/y.npy")


def difference(found, expected):
    return numpy.abs(found - expected).max() / numpy.abs(expected).max()


def lines(path):
    with open(path) as file:
        return file.read().splitlines()


def payload(net):
    with open(f"{net}.weights", "rb") as file:
        return file.read()[20:]


def approximates(build, out, name):
    """The head of the imported net can be replaced; the net still runs, and every other weight keeps its bits."""
    net, small = f"{out}/{name}", f"{out}/small"
    report = json.loads(structnet(build, "approx", f"{net}.cfg", f"{net}.weights", "--type", "sss", "--share", "0.2", "--effort",
                                  "quick", "-o", small, "--json"))
    before, after = payload(net), payload(small)
    rest = len(before) - report["dense_bytes"]  # The head's matrix is the last thing in the file.
    return (numpy.isfinite(run(build, out, small)).all() and len(after) == rest + report["bytes"]
            and after[:rest] == before[:rest])


def check_options(build, out):
    """What import does beside: prefixes, containers, number formats, kept BatchNorm, classes, freezing."""
    name, failed = "mobilenet_v2", []
    model = make_model(name)
    x = make_inputs(out, name)
    expected = logits_of(model, x)
    file, net = f"{out}/options.pth", f"{out}/options"

    def check(what, holds):
        print(f"{what:44} {'holds' if holds else 'FAILED'}")
        failed.extend([] if holds else [what])

    def imported(state, *options):
        torch.save(state, file)
        structnet(build, "import", name, file, "-o", net, *options)
        return run(build, out, net)

    state = model.state_dict()
    check("module. and backbone. within state_dict", difference(imported(
        {"epoch": 1, "state_dict": {"module.backbone." + key: value for key, value in state.items()}}), expected) <= LIMIT)
    check("--keep-batchnorm", difference(imported(state, "--keep-batchnorm"), expected) <= LIMIT)
    names = lines(f"{net}.names")
    check("names in torchvision's order", names == torchvision.models.MobileNet_V2_Weights.DEFAULT.meta["categories"])
    double = {key: value.double() for key, value in state.items()}
    check("float64", difference(imported(double), expected) <= LIMIT)
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    model.load_state_dict({key: value.float() for key, value in half.items()})
    expected = logits_of(model, x)  # state shares the model's tensors, which are rounded now.
    check("float16", difference(imported(half), expected) <= LIMIT)
    rows = [7, 3, 999]
    with open(f"{out}/classes", "w") as classes:
        classes.write("".join(names[row] + "\n" for row in rows))
    check("--classes", difference(imported(state, "--classes", f"{out}/classes"), expected[:, rows]) <= LIMIT)
    check("names of --classes", lines(f"{net}.names") == [names[row] for row in rows])
    imported(state, "--freeze")
    cfg = "\n".join(lines(f"{net}.cfg")).split("\n[")
    matrices = [section for section in cfg if section.startswith(("convolutional", "connected"))]
    check("--freeze", all("learning_rate=0" in section for section in matrices[:-1])
          and "learning_rate=0" not in matrices[-1] and sum("stopbackward=1" in section for section in cfg) == 1)
    return failed


def make_pictures(out, sizes):
    """Files of noise on gradients, in all colour modes with 8 bits, and their paths."""
    random = numpy.random.default_rng(3)
    paths = []
    for i, (w, h) in enumerate(sizes):
        gradient = numpy.add.outer(numpy.arange(h) * 255 / h, numpy.arange(w) * 200 / w)[:, :, None] * [1, 0.7, 0.4]
        noise = random.integers(0, 256, (h, w, 3))
        picture = PIL.Image.fromarray(numpy.where(noise % 3, gradient % 256, noise).astype(numpy.uint8))
        mode = ["RGB", "RGB", "L", "RGBA", "P"][i % 5]
        if mode == "RGBA":
            picture.putalpha(PIL.Image.fromarray(noise[:, :, 0].astype(numpy.uint8)))
        paths.append(f"{out}/{w}x{h}.{'ppm' if i % 5 == 1 else 'png'}")
        picture.convert(mode).save(paths[-1])
    with open(f"{out}/pictures.txt", "w") as file:
        file.write("".join(path + "\n" for path in paths))
    return paths


def make_pixel_net(net, w, h):
    """A net whose only matrix sees the pixels."""
    with open(f"{net}.cfg", "w") as file:
        file.write(f"[net]\nbatch=2\nwidth={w}\nheight={h}\nchannels=3\n[connected]\noutput=1\nactivation=linear\n")
    with open(f"{net}.weights", "wb") as file:
        file.write(struct.pack("<iiiQ", 0, 2, 0, 0) + bytes(4 * (1 + 3 * w * h)))


def torchvision_transform(size, crop):
    return torchvision.transforms.Compose([torchvision.transforms.Resize(size), torchvision.transforms.CenterCrop(crop),
                                           torchvision.transforms.ToTensor()])


def check_resize(build, out):
    """--resize gives the bits of torchvision's Resize and CenterCrop on PIL images."""
    failed, net = [], f"{out}/pixels"
    for size, w, h in (256, 224, 224), (342, 299, 299), (64, 64, 64), (37, 32, 17), (9, 1, 8):
        paths = make_pictures(out, [(301, 97), (83, 211), (size, size), (31, 17), (17, 64), (size, size + 3), (size + 1, size),
                                    (1203, 899), (5, 1), (1, 7), (1, 1), (640, 427)])
        make_pixel_net(net, w, h)
        structnet(build, "features", f"{net}.cfg", f"{net}.weights", f"{out}/pictures.txt", "-o", net, "--resize", str(size))
        transform = torchvision_transform(size, (h, w))
        found = numpy.load(f"{net}.x.npy").reshape(len(paths), 3, h, w)
        for path, pixels in zip(paths, found):
            expected = transform(PIL.Image.open(path).convert("RGB")).numpy()
            if not numpy.array_equal(expected, pixels):
                failed.append(f"{os.path.basename(path)} --resize {size}")
    print(f"{'--resize, bit for bit':44} {'FAILED' if failed else 'holds'}")
    return failed


def check_features(build, out):
    """What features writes is what torchvision's head sees: of a connected head, and of one at every pixel."""
    failed, labels = [], ["301x240", "257x313", "224x224", "230x229", "500x300"]
    paths = make_pictures(out, [tuple(map(int, label.split("x"))) for label in labels])
    with open(f"{out}/classes", "w") as file:
        file.write("".join(label + "\n" for label in reversed(labels)))
    transform = torchvision_transform(256, 224)
    x = torch.stack([transform(PIL.Image.open(path).convert("RGB")) for path in paths])
    for name, head in ("resnet18", "fc"), ("squeezenet1_1", "classifier.1"):
        model, net, seen = make_model(name), f"{out}/features", []
        torch.save(model.state_dict(), f"{net}.pth")
        structnet(build, "import", name, f"{net}.pth", "-o", net)
        model.get_submodule(head).register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
        logits_of(model, x)
        expected = seen[0].reshape(*seen[0].shape[:2], -1).transpose(1, 2)  # image, pixel, channel
        structnet(build, "features", f"{net}.cfg", f"{net}.weights", f"{out}/pictures.txt", "-o", net, "--resize", "256",
                  "--labels", f"{out}/classes")
        rows, classes = numpy.load(f"{net}.x.npy"), numpy.load(f"{net}.y.npy")
        holds = (difference(rows, expected.reshape(-1, expected.shape[2]).numpy()) <= LIMIT and classes.dtype == numpy.int32
                 and (classes == numpy.repeat([4, 3, 2, 1, 0], expected.shape[1])).all())
        print(f"{'features of ' + name:44} {'holds' if holds else 'FAILED'}")
        failed += [] if holds else [f"features of {name}"]
    return failed


def check_training(build, out):
    """What --freeze left to train changes in training, and nothing else does."""
    net, n_classes = f"{out}/frozen", 3
    torch.manual_seed(1)
    model = torchvision.models.squeezenet1_1(weights=None, num_classes=n_classes)
    torch.save(model.state_dict(), f"{net}.pth")
    structnet(build, "import", "squeezenet1_1", f"{net}.pth", "-o", net, "--freeze")
    before = payload(net)
    cfg = "\n".join(lines(f"{net}.cfg"))
    # At this rate weight decay shows within three batches.
    for key, value in ("batch", 4), ("subdivisions", 1), ("learning_rate", 0.1), ("max_batches", 3):
        cfg = re.sub(f"(?m)^{key}=.*", f"{key}={value}", cfg, count=1)
    with open(f"{net}.cfg", "w") as file:
        file.write(cfg + "\n")
    make_pictures(out, [(300, 260), (240, 300)])
    with open(f"{net}.labels", "w") as file:
        file.write("300x260\n240x300\nnone\n")
    with open(f"{net}.data", "w") as file:
        file.write(f"classes={n_classes}\ntrain={out}/pictures.txt\nlabels={net}.labels\nbackup={out}\n")
    result = subprocess.run([os.path.join(build, "darknet"), "classifier", "train", f"{net}.data", f"{net}.cfg",
                             f"{net}.weights"], capture_output=True, text=True)
    after = payload(net)
    head = 4 * n_classes * (1 + model.classifier[1].in_channels)  # Its biases and weights are the last thing in the file.
    holds = (result.returncode == 0 and "batch 3 of 3:" in result.stdout and len(after) == len(before)
             and after[:-head] == before[:-head] and after[-head:] != before[-head:]
             and numpy.isfinite(numpy.frombuffer(after[-head:], "<f4")).all())
    print(f"{'--freeze, trained':44} {'holds' if holds else 'FAILED'}")
    return [] if holds else ["--freeze, trained"]


def compare(build, out, name):
    """One row of the table, and whether the net agrees."""
    model = make_model(name)
    x = make_inputs(out, name)
    expected = logits_of(model, x)
    worst, same, seconds = 0, True, 0
    for is_zip in (True, False):
        file, net = f"{out}/{name}.pth", f"{out}/{name}"
        torch.save(model.state_dict(), file, _use_new_zipfile_serialization=is_zip)
        start = time.monotonic()
        structnet(build, "import", name, file, "-o", net)
        seconds = max(seconds, time.monotonic() - start)
        found = run(build, out, net)
        worst = max(worst, difference(found, expected))
        same = same and (found.argmax(1) == expected.argmax(1)).all()
    parameters = sum(p.numel() for p in model.parameters())
    agrees = worst <= LIMIT and same and approximates(build, out, name)
    row = f"{name:14} {parameters:12} {os.path.getsize(file):12} {seconds:9.2f} {worst:11.2e}"
    for suffix in ("pth", "cfg", "weights", "names", "labels"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(f"{out}/{name}.{suffix}")
    return row, agrees


def main():
    build, names = sys.argv[1], sys.argv[2:]
    has_checks = names in ([], ["--first"])
    if names == ["--first"]:
        families = {re.match("[a-z]+", name)[0]: name for name in reversed(ARCHITECTURES)}
        names = [name for name in ARCHITECTURES if name in families.values()]
    out = os.path.join(build, "parity")
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(2)
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    print(f"{'net':14} {'parameters':>12} {'bytes':>12} {'import, s':>9} {'difference':>11}")
    failed = []
    for name in names or ARCHITECTURES:
        if not hasattr(torchvision.models, name):
            print(f"{name:14} not in this torchvision")
            continue
        row, agrees = compare(build, out, name)
        print(row, "" if agrees else "FAILED", flush=True)
        failed += [] if agrees else [name]
    if has_checks:
        for check in check_options, check_resize, check_features, check_training:
            failed += check(build, out)
    if failed:
        sys.exit(f"parity: differs from torchvision: {', '.join(failed)}")


main()
