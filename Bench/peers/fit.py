#!/usr/bin/env python3
"""Question: how fast is a DeepFM fitted, beside PyTorch, and is it as good?

Draws labelled examples of 26 categorical fields x 10 000 values and 13 numbers from a model of its own (a sum and pairs),
fits the same DeepFM (embeddings of 16, layers 400-400-400, Adam, batches of --batch) with `martlet ranker train` and with
torch, in turns, for --epochs epochs, on --threads threads, and prints examples per second of each epoch (medians) and the
AUC on examples kept apart. torch is run twice: Adam over everything, and Adam with sparse embeddings (SparseAdam).

usage: fit.py [--examples 200000] [--epochs 2] [--threads 2] [--batch 1024]
Needs torch, numpy and `swift build -c release --product martlet`.
"""
import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time

import numpy
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = os.path.join(os.path.dirname(os.path.dirname(HERE)), ".build", "release", "martlet")
FIELDS, VALUES, WIDTH, DENSE, HIDDEN = 26, 10_000, 16, 13, (400, 400, 400)


def auc(scores, labels):
    order = numpy.argsort(scores, kind="stable")
    ranks = numpy.empty(len(scores))
    ranks[order] = numpy.arange(1, len(scores) + 1)
    positives = labels.sum()
    return (ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


class DeepFM(torch.nn.Module):
    def __init__(self, sparse):
        super().__init__()
        self.embedding = torch.nn.Embedding(FIELDS * VALUES, WIDTH, sparse=sparse)
        self.linear = torch.nn.Embedding(FIELDS * VALUES, 1, sparse=sparse)
        self.dense_linear = torch.nn.Linear(DENSE, 1)
        torch.nn.init.normal_(self.embedding.weight, std=.01)
        torch.nn.init.zeros_(self.linear.weight)
        layers, width = [], FIELDS * WIDTH + DENSE
        for outputs in HIDDEN:
            layers += [torch.nn.Linear(width, outputs), torch.nn.ReLU(), torch.nn.Dropout(.2)]
            width = outputs
        self.mlp = torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))

    def forward(self, ids, dense):
        embedded = self.embedding(ids)
        total = embedded.sum(1)
        pairs = .5 * (total * total - (embedded * embedded).sum(1)).sum(1, keepdim=True)
        deep = self.mlp(torch.cat([embedded.flatten(1), dense], 1))
        return (self.linear(ids).sum(1) + self.dense_linear(dense) + pairs + deep)[:, 0]


def fit_torch(sparse, training, test, flags):
    torch.manual_seed(1)
    model = DeepFM(sparse)
    tables = [model.embedding.weight, model.linear.weight]
    others = [value for name, value in model.named_parameters() if not any(value is table for table in tables)]
    optimizers = ([torch.optim.SparseAdam(tables, 1e-3), torch.optim.Adam(others, 1e-3)] if sparse
                  else [torch.optim.Adam(model.parameters(), 1e-3)])
    ids, dense, labels = [torch.from_numpy(values) for values in training]
    rates = []
    for _ in range(flags.epochs):
        model.train()
        start = time.perf_counter()
        for batch in torch.randperm(len(labels)).split(flags.batch):
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(ids[batch], dense[batch]), labels[batch])
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
        rates.append(len(labels) / (time.perf_counter() - start))
    model.eval()
    with torch.inference_mode():
        scores = model(torch.from_numpy(test[0]), torch.from_numpy(test[1])).numpy()
    return statistics.median(rates), auc(scores, test[2])


def fit_martlet(work, flags):
    done = subprocess.run(
        [flags.tool, "ranker", "train", "--examples", f"{work}/train.csv", "--valid", f"{work}/test.csv", "--test",
         f"{work}/test.csv", "--epochs", str(flags.epochs), "--patience", str(flags.epochs), "--batch-rows",
         str(flags.batch), "--hidden", ",".join(map(str, HIDDEN)), "--learning-rate", "1e-3", "--min-count", "1", "--threads", str(flags.threads), "--normalise", "none", "--categorical",
         ",".join(f"c{field}" for field in range(FIELDS))],
        check=True, capture_output=True, text=True)
    rates = [float(rate) * 1000 for rate in re.findall(r"([\d.]+) k examples/s", done.stderr)]
    # The last epoch's, as torch's; --valid is there to be printed.
    quality = re.findall(r"epoch \d+: loss [\d.]+, AUC ([\d.]+)", done.stderr)
    return statistics.median(rates), float(quality[-1])


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--examples", type=int, default=200_000)
    flags.add_argument("--epochs", type=int, default=2)
    flags.add_argument("--threads", type=int, default=2)
    flags.add_argument("--batch", type=int, default=1024)
    flags.add_argument("--tool", default=TOOL)
    flags = flags.parse_args()
    torch.set_num_threads(flags.threads)
    generator = numpy.random.default_rng(5)
    count = flags.examples + 20_000
    # Popular values more often than others.
    own = numpy.minimum((generator.pareto(.6, (count, FIELDS)) * 20).astype("i8"), VALUES - 1)
    dense = generator.standard_normal((count, DENSE)).astype("f4").round(3)
    vectors = generator.standard_normal((FIELDS, VALUES, 4)) * .25
    weights = generator.standard_normal((FIELDS, VALUES)) * .2
    picked = vectors[numpy.arange(FIELDS), own]
    total = picked.sum(1)
    logits = weights[numpy.arange(FIELDS), own].sum(1) + .5 * ((total ** 2).sum(1) - (picked ** 2).sum((1, 2)))
    labels = (generator.random(count) < 1 / (1 + numpy.exp(-(logits - numpy.median(logits)) + dense[:, 0]))).astype("f4")
    parts = slice(0, flags.examples), slice(flags.examples, count)
    sets = [((own + numpy.arange(FIELDS) * VALUES)[part], dense[part], labels[part]) for part in parts]
    with tempfile.TemporaryDirectory() as work:
        header = ",".join(["label", *(f"c{n}" for n in range(FIELDS)), *(f"d{n}" for n in range(DENSE))])
        for name, part in zip(("train", "test"), parts):
            table = numpy.hstack([labels[part, None], own[part], dense[part]])
            numpy.savetxt(f"{work}/{name}.csv", table, "%g", ",", header=header, comments="")
        rows = {"martlet": [], "torch, Adam": [], "torch, sparse": []}
        for _ in range(2):
            rows["martlet"].append(fit_martlet(work, flags))
            rows["torch, Adam"].append(fit_torch(False, *sets, flags))
            rows["torch, sparse"].append(fit_torch(True, *sets, flags))
    print(f"{flags.examples} examples, {flags.threads} threads, batches of {flags.batch}; load {os.getloadavg()[0]:.1f}")
    for name, results in rows.items():
        print(f"{name:14} {statistics.median(r[0] for r in results) / 1000:8.1f} k examples/s, "
              f"AUC after {flags.epochs} epochs {results[-1][1]:.4f}")


main()
