#!/usr/bin/env python3
"""Question: does Martlet score a DeepFM as PyTorch and onnxruntime do, and how many times as fast?

Makes a DeepFM in PyTorch (26 categorical fields x 10 000 values x 16, 13 numbers, a perceptron), exports it to ONNX and to
a ranker's file, and has onnxruntime (f32 and dynamic int8), torch and Martlet's tool score the same rows, in turns, on one
pinned core, one thread, in --rounds rounds; medians of the rounds are told. Logits are compared, and what a precision
costs in AUC, with labels drawn from the f32 probabilities.

usage: networks.py [--hidden 400,400,400] [--rounds 5] [--core 0] [--json FILE]
Needs torch, onnx, onnxruntime, safetensors, numpy and `swift build -c release --product martlet-bench`.
"""
import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import json
import statistics
import subprocess
import tempfile
import time

import numpy
import onnxruntime
import safetensors.numpy
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = os.path.join(os.path.dirname(os.path.dirname(HERE)), ".build", "release", "martlet-bench")
FIELDS, VALUES, WIDTH, DENSE = 26, 10_000, 16, 13
BATCHES = (1, 8, 32, 200, 256)


class DeepFM(torch.nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.embedding = torch.nn.Embedding(FIELDS * VALUES, WIDTH)
        self.linear = torch.nn.Embedding(FIELDS * VALUES, 1)
        self.dense_linear = torch.nn.Linear(DENSE, 1)
        torch.nn.init.normal_(self.embedding.weight, std=.1)
        torch.nn.init.normal_(self.linear.weight, std=.1)
        layers, width = [], FIELDS * WIDTH + DENSE
        for outputs in hidden:
            layers += [torch.nn.Linear(width, outputs), torch.nn.ReLU()]
            torch.nn.init.kaiming_normal_(layers[-2].weight)
            width = outputs
        self.mlp = torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))

    def forward(self, ids, dense):
        embedded = self.embedding(ids)
        total = embedded.sum(1)
        pairs = .5 * (total * total - (embedded * embedded).sum(1)).sum(1, keepdim=True)
        deep = self.mlp(torch.cat([embedded.flatten(1), dense], 1))
        return torch.sigmoid(self.linear(ids).sum(1) + self.dense_linear(dense) + pairs + deep)


def ranker_file(model, hidden, path):
    """The weights as docs/bundle-format.md describes a ranker's file."""
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    tensors = {
        "embedding.weight": state["embedding.weight"], "linear.weight": state["linear.weight"].ravel(),
        "dense_linear.weight": state["dense_linear.weight"].ravel(),
        "output.weight": state[f"mlp.{2 * len(hidden)}.weight"].ravel(),
        "bias": state["dense_linear.bias"] + state[f"mlp.{2 * len(hidden)}.bias"],
    }
    for number in range(len(hidden)):
        for part in ("weight", "bias"):
            tensors[f"mlp.{number}.{part}"] = state[f"mlp.{2 * number}.{part}"]
    fields = [{"name": f"c{n}", "from": f"column:c{n}", "categorical": {"hashed": VALUES - 1}} for n in range(FIELDS)]
    fields += [{"name": f"d{n}", "from": f"column:d{n}", "dense": "none"} for n in range(DENSE)]
    shape = {"embedding_width": WIDTH, "hidden": hidden, "linear": True, "pairs": True}
    features = {"format": "martlet-features", "version": 1, "fields": fields}
    safetensors.numpy.save_file(
        {name: numpy.ascontiguousarray(value, dtype="f4") for name, value in tensors.items()}, path,
        metadata={"kind": "network", "shape": json.dumps(shape), "features": json.dumps(features)})


def median_call(call, seconds):
    for _ in range(5):
        call()
    start = time.perf_counter()
    call()
    count = max(5, int(seconds / max(time.perf_counter() - start, 1e-6)))
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count * 1e6


def auc(scores, labels):
    order = numpy.argsort(scores, kind="stable")
    ranks = numpy.empty(len(scores))
    ranks[order] = numpy.arange(1, len(scores) + 1)
    positives = labels.sum()
    return (ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--hidden", default="400,400,400")
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--core", type=int, default=0)
    flags.add_argument("--seconds", type=float, default=.25, help="of each round and point")
    flags.add_argument("--tool", default=TOOL)
    flags.add_argument("--json")
    flags = flags.parse_args()
    hidden = [int(width) for width in flags.hidden.split(",")]
    os.sched_setaffinity(0, {flags.core})
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = DeepFM(hidden).eval()
    generator = numpy.random.default_rng(7)
    count = 16_384
    own = generator.integers(0, VALUES, (count, FIELDS)).astype("u4")
    dense = generator.standard_normal((count, DENSE)).astype("f4")
    ids = (own.astype("i8") + numpy.arange(FIELDS) * VALUES)
    with tempfile.TemporaryDirectory() as work:
        path = lambda name: os.path.join(work, name)
        ranker_file(model, hidden, path("ranker.safetensors"))
        safetensors.numpy.save_file({"ids": own, "dense": dense}, path("rows.safetensors"))
        example = (torch.from_numpy(ids[:4]), torch.from_numpy(dense[:4]))
        torch.onnx.export(
            model, example, path("f32.onnx"), input_names=["ids", "dense"], output_names=["y"], opset_version=17,
            dynamic_axes={name: {0: "rows"} for name in ("ids", "dense", "y")}, dynamo=False)
        quantize_dynamic(
            path("f32.onnx"), path("int8.onnx"), op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        sessions = {
            name: onnxruntime.InferenceSession(path(f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
            for name in ("f32", "int8")}
        figures = {}

        def note(key, batch, microseconds):
            figures.setdefault((key, batch), []).append(microseconds)

        for _ in range(flags.rounds):
            for batch in BATCHES:
                parts = [(ids[first:first + batch], dense[first:first + batch]) for first in range(0, 64 * batch, batch)
                         if first + batch <= count]
                place = [0]

                def following():
                    place[0] = (place[0] + 1) % len(parts)
                    return parts[place[0]]

                for name, session in sessions.items():
                    def call():
                        part = following()
                        session.run(None, {"ids": part[0], "dense": part[1]})
                    note(f"onnxruntime {name}", batch, median_call(call, flags.seconds))
                with torch.inference_mode():
                    tensors = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in parts]

                    def torch_call():
                        place[0] = (place[0] + 1) % len(tensors)
                        model(*tensors[place[0]])
                    note("torch", batch, median_call(torch_call, flags.seconds))
            subprocess.run(
                ["taskset", "-c", str(flags.core), flags.tool, "networks", "--ranker", path("ranker.safetensors"), "--rows",
                 path("rows.safetensors"), "--batch", ",".join(map(str, BATCHES)), "--rounds", "3", "--seconds",
                 str(flags.seconds / 3), "--logits", path("logits"), "--json", path("martlet.json")],
                check=True, stdout=subprocess.DEVNULL)
            for point in json.load(open(path("martlet.json")))["points"]:
                note(f"martlet {point['way']} {point['precision']}", point["batch"], point["microsecondsPerCall"])
        expected = sessions["f32"].run(None, {"ids": ids, "dense": dense})[0].ravel()
        labels = (generator.random(count) < expected).astype("i8")
        print(f"DeepFM {FIELDS} x {WIDTH} + {DENSE}, layers {hidden}; core {flags.core}, medians of {flags.rounds} rounds; "
              f"load {os.getloadavg()[0]:.1f}")
        medians = {key: statistics.median(values) for key, values in figures.items()}
        print(f"{'':28}" + "".join(f"{f'batch {batch}':>22}" for batch in BATCHES))
        for name in dict.fromkeys(key for key, _ in medians):
            cells = []
            for batch in BATCHES:
                value = medians.get((name, batch))
                base = medians[("onnxruntime f32", batch)]
                cells.append(f"{'-' if value is None else f'{value:.1f} us ({base / value:.2f}x)':>22}")
            print(f"{name:28}" + "".join(cells))
        best = sessions["int8"].run(None, {"ids": ids, "dense": dense})[0].ravel()
        print(f"AUC of f32 {auc(expected, labels):.5f}, of onnxruntime's int8 {auc(best, labels):.5f}")
        for precision in ("f32", "bf16", "int8"):
            if os.path.exists(path(f"logits.{precision}")):
                logits = numpy.fromfile(path(f"logits.{precision}"), "f4")
                found = 1 / (1 + numpy.exp(-logits.astype("f8")))
                print(f"martlet {precision}: probabilities differ by at most {abs(found - expected).max():.2e}, "
                      f"AUC {auc(logits, labels):.5f}")
        if flags.json:
            json.dump([{"what": key, "batch": batch, "microseconds": value} for (key, batch), value in medians.items()],
                      open(flags.json, "w"), indent=1)


main()
