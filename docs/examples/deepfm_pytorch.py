#!/usr/bin/env python3
"""Trains a DeepFM in PyTorch on a CSV file and hands it to Martlet.

Writes into --output: schema.json (the features and how they are encoded), model.safetensors (the weights), model.onnx with
--onnx, test.csv (examples that were kept back). With --martlet it imports them, has Martlet score test.csv, and fails when
a score is not PyTorch's.

usage: deepfm_pytorch.py [--examples FILE.csv] [--output FOLDER] [--epochs 3] [--martlet PATH] [--onnx]
Needs torch, numpy, safetensors (--onnx: onnx, onnxscript). Without --examples, examples are made up.
"""
import argparse
import csv
import json
import math
import os
import subprocess
import sys

import numpy
import torch
from safetensors.torch import save_file
from torch import nn

SEPARATOR = "|"  # between the values of one cell


def make_examples(path, count=6000):
    """Made-up visits: who, what kind of item, its price, when; and whether it was bought."""
    generator = numpy.random.default_rng(1)
    genres = ["action", "comedy", "crime", "drama", "history", "music"]
    taste = generator.standard_normal((40, len(genres)))
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["label", "user", "genres", "hour", "price", "age"])
        for _ in range(count):
            user, hour = generator.integers(40), generator.integers(24)
            own = generator.choice(len(genres), generator.integers(0, 4), replace=False)
            price, age = generator.lognormal(2, 1), generator.normal(40, 15)
            score = taste[user, own].sum() - price / 20 + math.sin(hour / 4) + generator.normal()
            out.writerow([
                int(score > 0), f"u{user}", SEPARATOR.join(genres[g] for g in own), hour, f"{price:.2f}",
                "" if generator.random() < 0.1 else f"{age:.1f}",
            ])


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def make_schema(rows, categorical, multivalued, numbers):
    """A feature for each column, fitted to the training examples. The first row of a field's table is for what is missing
    or in no dictionary; value n of the dictionary has row n + 1."""
    fields = []
    for name in categorical + multivalued:
        seen = {value for row in rows for value in row[name].split(SEPARATOR) if value}
        fields.append({"name": name, "from": f"column:{name}", "categorical": {"dictionary": sorted(seen)}})
        if name in multivalued:
            fields[-1]["multivalued"] = True
    for name in numbers:
        values = numpy.array([float(row[name]) for row in rows if row[name]])
        missing = float(numpy.median(values))
        scaled = numpy.sign(values) * numpy.log1p(numpy.abs(values))
        fields.append({
            "name": name, "from": f"column:{name}", "missing": missing,
            "dense": {"log": {"mean": float(scaled.mean()), "deviation": float(scaled.std())}},
        })
    return {"format": "martlet-features", "version": 1, "fields": fields}


def encode(schema, rows):
    """Table rows (a list for each field and example) and numbers, as Martlet computes them from the same schema."""
    ids, dense = [], []
    for field in schema["fields"]:
        name = field["name"]
        if "categorical" in field:
            known = {value: n + 1 for n, value in enumerate(field["categorical"]["dictionary"])}
            split = field.get("multivalued", False)
            cells = [[v for v in row[name].split(SEPARATOR) if v] if split else [row[name]] for row in rows]
            ids.append([[known.get(value, 0) for value in cell] or [0] for cell in cells])
        else:
            form = field["dense"]["log"]
            values = numpy.array([float(row[name] or field["missing"]) for row in rows])
            scaled = numpy.sign(values) * numpy.log1p(numpy.abs(values))
            dense.append((scaled - form["mean"]) / form["deviation"])
    return ids, torch.tensor(numpy.stack(dense, 1), dtype=torch.float32)


def bag(lists):
    """What an EmbeddingBag takes: all values one after the other, and where each example's begin."""
    lengths = torch.tensor([len(values) for values in lists])
    return torch.tensor([value for values in lists for value in values]), lengths.cumsum(0) - lengths


class DeepFM(nn.Module):
    """Linear part, pairs of embeddings, layers. The names of the modules are those that the import knows."""

    def __init__(self, tables, numbers, width=8, hidden=(32, 16)):
        super().__init__()
        self.embeddings = nn.ModuleList(nn.EmbeddingBag(rows, width, mode="mean") for rows in tables)
        self.linear = nn.ModuleList(nn.EmbeddingBag(rows, 1, mode="mean") for rows in tables)
        self.dense_linear = nn.Linear(numbers, 1)
        layers, inputs = [], len(tables) * width + numbers
        for outputs in hidden:
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(0.1)]
            inputs = outputs
        self.mlp = nn.Sequential(*layers, nn.Linear(inputs, 1))
        for table in list(self.embeddings) + list(self.linear):
            nn.init.normal_(table.weight, std=0.05)

    def forward(self, bags, dense):
        e = torch.stack([table(*values) for table, values in zip(self.embeddings, bags)], 1)
        linear = sum(table(*values) for table, values in zip(self.linear, bags)) + self.dense_linear(dense)
        pairs = 0.5 * (e.sum(1).pow(2) - e.pow(2).sum(1)).sum(1, keepdim=True)
        return (linear + pairs + self.mlp(torch.cat([e.flatten(1), dense], 1))).squeeze(1)


def train(model, ids, dense, labels, epochs, batch=128):
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for chunk in torch.randperm(len(labels)).split(batch):
            bags = [bag([field[i] for i in chunk]) for field in ids]
            loss = nn.functional.binary_cross_entropy_with_logits(model(bags, dense[chunk]), labels[chunk])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chunk)
        print(f"epoch {epoch + 1}: loss {total / len(labels):.4f}")


class OneValueEach(nn.Module):
    """For ONNX, where a field has one value: the same weights, looked up by plain table rows `[rows, fields]`."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, dense):
        m = self.model
        e = torch.stack([nn.functional.embedding(ids[:, n], t.weight) for n, t in enumerate(m.embeddings)], 1)
        linear = sum(nn.functional.embedding(ids[:, n], t.weight) for n, t in enumerate(m.linear))
        pairs = 0.5 * (e.sum(1).pow(2) - e.pow(2).sum(1)).sum(1, keepdim=True)
        return (linear + m.dense_linear(dense) + pairs + m.mlp(torch.cat([e.flatten(1), dense], 1))).squeeze(1)


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--examples")
    flags.add_argument("--output", default="deepfm")
    flags.add_argument("--epochs", type=int, default=3)
    flags.add_argument("--martlet")
    flags.add_argument("--onnx", action="store_true", help="leave the field of several values out, and write ONNX too")
    options = flags.parse_args()
    os.makedirs(options.output, exist_ok=True)

    def path(name):
        return os.path.join(options.output, name)

    if not options.examples:
        options.examples = path("examples.csv")
        make_examples(options.examples)
    torch.manual_seed(1)
    rows = read(options.examples)
    cut = len(rows) * 4 // 5
    with open(path("test.csv"), "w", newline="") as file:
        out = csv.DictWriter(file, rows[0].keys())
        out.writeheader()
        out.writerows(rows[cut:])
    schema = make_schema(rows[:cut], ["user", "hour"], [] if options.onnx else ["genres"], ["price", "age"])
    ids, dense = encode(schema, rows[:cut])
    labels = torch.tensor([float(row["label"]) for row in rows[:cut]])
    tables = [len(f["categorical"]["dictionary"]) + 1 for f in schema["fields"] if "categorical" in f]
    model = DeepFM(tables, dense.shape[1])
    train(model, ids, dense, labels, options.epochs)

    model.eval()
    with open(path("schema.json"), "w") as file:
        json.dump(schema, file)
    save_file(model.state_dict(), path("model.safetensors"))
    ids, dense = encode(schema, rows[cut:])
    with torch.no_grad():
        expected = model([bag(field) for field in ids], dense).numpy()
    ways = [("weights", ["--weights", path("model.safetensors"), "--ranker", "deepfm"])]
    if options.onnx:
        single = torch.tensor([[cell[0] for cell in field] for field in ids]).T.contiguous()
        batch = torch.export.Dim("batch", min=1, max=1 << 20)
        torch.onnx.export(
            OneValueEach(model), (single, dense), path("model.onnx"), dynamo=True, external_data=False,
            input_names=["ids", "dense"], dynamic_shapes=({0: batch}, {0: batch}))
        ways.append(("onnx", ["--onnx", path("model.onnx")]))
    if not options.martlet:
        print(f"martlet ranker import {' '.join(ways[0][1])} --features {path('schema.json')} --output ranker.safetensors")
        return
    for name, arguments in ways:
        ranker, scores = path(f"{name}.ranker.safetensors"), path(f"{name}.scores")
        if os.path.exists(ranker):
            os.remove(ranker)
        command = [options.martlet, "ranker"]
        subprocess.run(
            command + ["import"] + arguments + ["--features", path("schema.json"), "--output", ranker], check=True)
        subprocess.run(
            command + ["evaluate", "--ranker", ranker, "--test", path("test.csv"), "--scores", scores], check=True)
        difference = float(numpy.abs(numpy.loadtxt(scores) - expected).max())
        print(f"{name}: the largest difference of {len(expected)} scores is {difference:.1e}")
        if difference > 1e-5 * max(1, float(numpy.abs(expected).max())):
            sys.exit(1)


if __name__ == "__main__":
    main()
