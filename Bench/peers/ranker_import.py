#!/usr/bin/env python3
"""Question: does an imported network of a size in use score as PyTorch and onnxruntime do, and what does an import cost?

Makes a DeepFM of random weights (26 categorical fields, 13 numbers, layers of 400) in PyTorch, saves it as safetensors and by both of torch's ONNX exporters, imports each file,
and has Martlet score --rows examples. Prints for each the seconds and the memory of the import, and the largest differences from
PyTorch's and onnxruntime's scores. Fails (exit code 1) where a difference is larger than --tolerance of the largest score.

usage: ranker_import.py [--values 4000] [--width 16] [--hidden 400,400,400] [--rows 5000] [--tool MARTLET] [--work FOLDER]
Needs torch, numpy, safetensors, onnx, onnxscript, onnxruntime, and `swift build -c release --product martlet`.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy
import onnxruntime
import torch
from safetensors.torch import save_file
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = os.path.join(os.path.dirname(os.path.dirname(HERE)), ".build", "release", "martlet")
FIELDS, NUMBERS = 26, 13


class DeepFM(nn.Module):
    def __init__(self, rows, width, hidden):
        super().__init__()
        self.embedding = nn.Embedding(rows * FIELDS, width)
        self.linear = nn.Embedding(rows * FIELDS, 1)
        self.dense_linear = nn.Linear(NUMBERS, 1)
        layers, inputs = [], FIELDS * width + NUMBERS
        for outputs in hidden:
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(0.2)]
            inputs = outputs
        self.mlp = nn.Sequential(*layers, nn.Linear(inputs, 1))
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.rows = rows

    def forward(self, ids, dense):
        ids = ids + torch.arange(FIELDS) * self.rows
        e = self.embedding(ids)
        pairs = 0.5 * (e.sum(1).pow(2) - e.pow(2).sum(1)).sum(1, keepdim=True)
        plain = self.linear(ids).sum(1) + self.dense_linear(dense)
        return (plain + pairs + self.mlp(torch.cat([e.flatten(1), dense], 1))).squeeze(1)


def arguments():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--values", type=int, default=4000, help="values of each categorical field")
    flags.add_argument("--width", type=int, default=16)
    flags.add_argument("--hidden", default="400,400,400")
    flags.add_argument("--rows", type=int, default=5000)
    flags.add_argument("--tolerance", type=float, default=1e-5)
    flags.add_argument("--tool", default=TOOL)
    flags.add_argument("--work", help="keep the files here (default: a folder that is removed)")
    return flags.parse_args()


def run(command, log):
    """Seconds and the largest resident memory in MiB of a command, looked at every few milliseconds (what `wait4` tells
    counts this process too, as it was before the command took over)."""
    start = time.monotonic()
    with open(log, "w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    memory = 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status") as status:
                lines = [line for line in status if line.startswith("VmHWM")]
            memory = max([memory] + [int(line.split()[1]) for line in lines])
        except OSError:
            pass
        time.sleep(0.003)
    if process.returncode != 0:
        with open(log) as output:
            sys.exit(f"{' '.join(command)}: {output.read()}")
    return time.monotonic() - start, memory / 1024


def main(options, folder):
    def path(name):
        return os.path.join(folder, name)

    torch.manual_seed(1)
    generator = numpy.random.default_rng(1)
    model = DeepFM(options.values + 1, options.width, [int(part) for part in options.hidden.split(",")])
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
    model.eval()
    fields = [
        {"name": f"c{n}", "from": f"column:c{n}", "categorical": {"dictionary": [f"v{v}" for v in range(options.values)]}}
        for n in range(FIELDS)
    ] + [{"name": f"d{n}", "from": f"column:d{n}", "dense": "none"} for n in range(NUMBERS)]
    with open(path("schema.json"), "w") as file:
        json.dump({"format": "martlet-features", "version": 1, "fields": fields}, file)
    ids = generator.integers(0, options.values + 1, (options.rows, FIELDS))
    dense = generator.standard_normal((options.rows, NUMBERS)).astype("f4")
    with open(path("test.csv"), "w") as file:
        file.write(",".join(["label"] + [field["name"] for field in fields]) + "\n")
        for row in range(options.rows):
            cells = [f"v{value - 1}" if value else "" for value in ids[row]] + [repr(float(x)) for x in dense[row]]
            file.write(",".join([str(row % 2)] + cells) + "\n")
    pair = (torch.from_numpy(ids), torch.from_numpy(dense))
    with torch.no_grad():
        exact = model.double()(pair[0], pair[1].double()).numpy()
        theirs = model.float()(*pair).numpy()
    save_file(model.state_dict(), path("model.safetensors"))
    batch = torch.export.Dim("batch", min=1, max=1 << 20)
    torch.onnx.export(
        model, pair, path("torchscript.onnx"), dynamo=False, opset_version=17, input_names=["ids", "dense"],
        output_names=["score"], dynamic_axes={name: {0: "batch"} for name in ["ids", "dense", "score"]})
    torch.onnx.export(
        model, pair, path("dynamo.onnx"), dynamo=True, external_data=False, verbose=False, input_names=["ids", "dense"],
        dynamic_shapes=({0: batch}, {0: batch}))
    scale = float(numpy.abs(exact).max())
    weights = sum(tensor.numel() for tensor in model.parameters())
    print(f"{weights} weights, scores up to {scale:.2f}; PyTorch itself is {numpy.abs(theirs - exact).max():.1e} from double precision")
    worst = 0.0
    for name, flags in [
        ("model.safetensors", ["--ranker", "deepfm", "--weights"]), ("torchscript.onnx", ["--onnx"]),
        ("dynamo.onnx", ["--onnx"]),
    ]:
        ranker, scores = path(f"{name}.ranker"), path(f"{name}.scores")
        if os.path.exists(ranker):
            os.remove(ranker)
        seconds, memory = run(
            [options.tool, "ranker", "import"] + flags + [path(name), "--features", path("schema.json"), "--output", ranker],
            path("log"))
        run([options.tool, "ranker", "evaluate", "--ranker", ranker, "--test", path("test.csv"), "--scores", scores],
            path("log"))
        found = numpy.loadtxt(scores)
        line = f"{name}: {seconds:.2f} s, {memory:.0f} MiB; from double precision {numpy.abs(found - exact).max():.1e}"
        line += f", from PyTorch {numpy.abs(found - theirs).max():.1e}"
        worst = max(worst, float(numpy.abs(found - theirs).max()))
        if name.endswith(".onnx"):
            session = onnxruntime.InferenceSession(path(name), providers=["CPUExecutionProvider"])
            said = session.run(None, {"ids": ids, "dense": dense})[0]
            line += f", from onnxruntime {numpy.abs(found - said).max():.1e}"
            worst = max(worst, float(numpy.abs(found - said).max()))
        print(line)
    return worst <= options.tolerance * max(1, scale)


if __name__ == "__main__":
    options = arguments()
    if options.work:
        os.makedirs(options.work, exist_ok=True)
        ok = main(options, options.work)
    else:
        with tempfile.TemporaryDirectory() as folder:
            ok = main(options, folder)
    sys.exit(0 if ok else 1)
