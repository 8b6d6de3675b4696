#!/usr/bin/env python3
"""Writes the small ONNX models of the tests into onnx/, with rows and what onnxruntime says of them (expected.json).

usage: make_onnx.py [FOLDER]
Needs torch, onnx, onnxscript, onnxruntime, scikit-learn, skl2onnx. The models in the repository were written with torch 2.15,
onnx 1.23, onnxscript 0.7, onnxruntime 1.31, scikit-learn 1.9, skl2onnx 1.20.
"""
import json
import os
import sys
import warnings

import numpy
import onnx
import onnxruntime
import torch
from torch import nn

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "onnx")
TABLES = [5, 8, 4]  # rows of each field's table, the row of unknown values counted
DENSE = 2
ROWS = 40
expected = {}


def schema(categorical, dense):
    fields = [
        {"name": f"c{n}", "from": f"context:c{n}", "categorical": {"hashed": rows - 1}}
        for n, rows in enumerate(categorical)
    ]
    fields += [{"name": f"d{n}", "from": f"context:d{n}", "dense": "none", "missing": 0} for n in range(dense)]
    return {"format": "martlet-features", "version": 1, "fields": fields}


class DeepFM(nn.Module):
    """One table for all fields, the pairs by the trick of Rendle."""

    def __init__(self, tables=TABLES, dense=DENSE, width=3, hidden=(6, 5), norm=False, deep=True):
        super().__init__()
        rows = sum(tables)
        self.register_buffer("offsets", torch.tensor([0, *numpy.cumsum(tables)[:-1]], dtype=torch.int64))
        self.embedding = nn.Embedding(rows, width)
        self.linear = nn.Embedding(rows, 1)
        self.dense_linear = nn.Linear(dense, 1)
        layers, inputs = [], len(tables) * width + dense
        for outputs in hidden:
            layers += [nn.Linear(inputs, outputs)] + ([nn.BatchNorm1d(outputs)] if norm else [])
            layers += [nn.ReLU(), nn.Dropout(0.2)]
            inputs = outputs
        self.mlp = nn.Sequential(*layers, nn.Linear(inputs, 1)) if deep else None

    def pairs(self, e):
        return 0.5 * (e.sum(1).pow(2) - e.pow(2).sum(1)).sum(1, keepdim=True)

    def embed(self, ids):
        return self.embedding(ids), self.linear(ids).sum(1)

    def forward(self, ids, dense):
        e, linear = self.embed(ids + self.offsets)
        y = linear + self.dense_linear(dense) + self.pairs(e)
        if self.mlp is not None:
            y = y + self.mlp(torch.cat([e.flatten(1), dense], 1))
        return y.squeeze(1)


class FieldTables(DeepFM):
    """A table for each field, batch norm, the pairs one by one."""

    def __init__(self):
        super().__init__(norm=True)
        self.embedding = nn.ModuleList(nn.Embedding(rows, 3) for rows in TABLES)
        self.linear = nn.ModuleList(nn.Embedding(rows, 1) for rows in TABLES)

    def pairs(self, e):
        return sum((e[:, i] * e[:, j]).sum(1, keepdim=True) for i in range(len(TABLES)) for j in range(i))

    def forward(self, ids, dense):
        e = torch.stack([table(ids[:, n]) for n, table in enumerate(self.embedding)], 1)
        linear = sum(table(ids[:, n]) for n, table in enumerate(self.linear))
        y = linear + self.dense_linear(dense) + self.pairs(e)
        return torch.sigmoid(y + self.mlp(torch.cat([e.flatten(1), dense], 1)))


class Products(DeepFM):
    """The pairs out of a matrix of all inner products."""

    def pairs(self, e):
        products = torch.bmm(e, e.transpose(1, 2))
        i, j = numpy.triu_indices(len(TABLES), 1)
        return products[:, i, j].sum(1, keepdim=True)


class Columns(nn.Module):
    """Inputs by the fields' names, tables of different widths, numbers before embeddings, two towers."""

    def __init__(self):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(rows, width) for rows, width in zip(TABLES, (2, 4, 3)))
        self.left = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(), nn.BatchNorm1d(3))
        self.right = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU())
        self.out = nn.Linear(5, 1)

    def forward(self, c0, c1, c2, d0, d1):
        e = [table(c) for table, c in zip(self.tables, (c0, c1, c2))]
        left = self.left(torch.cat([d0[:, None], d1[:, None], e[0], e[1]], dim=1))
        return self.out(torch.cat([left, self.right(e[2])], 1))


class GlobalIDs(DeepFM):
    """A factorization machine whose IDs count over all tables."""

    def forward(self, ids, dense):
        e, linear = self.embed(ids)
        return linear + self.dense_linear(dense) + self.pairs(e)


class OneInput(DeepFM):
    """All columns in one tensor of floats, two classes."""

    def __init__(self):
        super().__init__()
        self.mlp[-1] = nn.Linear(5, 2)

    def forward(self, features):
        e, _ = self.embed(features[:, :3].long() + self.offsets)
        return torch.softmax(self.mlp(torch.cat([e.flatten(1), features[:, 3:]], 1)), 1)


def rows(generator):
    ids = numpy.stack([generator.integers(0, count, ROWS) for count in TABLES], 1)
    return ids, generator.standard_normal((ROWS, DENSE)).astype("f4")


def record(name, feeds, ids, dense, categorical, kind, output=-1):
    """kind: what the model's output is, logit or probability (of the last class)."""
    path = os.path.join(FOLDER, name + ".onnx")
    onnx.checker.check_model(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    fixed = session.get_inputs()[0].shape[0] == 1
    if fixed:
        parts = [session.run(None, {k: v[r : r + 1] for k, v in feeds.items()})[output] for r in range(len(dense))]
        said = numpy.concatenate([numpy.asarray(part).reshape(1, -1) for part in parts])
    else:
        said = session.run(None, feeds)[output]
        if isinstance(said, list):
            said = numpy.array([[row[key] for key in sorted(row)] for row in said])
        said = numpy.asarray(said).reshape(len(dense), -1)
    model = onnx.load(path)
    operators = sorted({node.op_type for node in model.graph.node})
    print(name, os.path.getsize(path), operators, [str(o.version) for o in model.opset_import], len(model.functions))
    expected[name] = {
        "schema": schema(categorical, dense.shape[1]), "ids": ids.tolist(), "dense": dense.tolist(), "kind": kind,
        "outputs": [float(x) for x in said[:, -1]],
    }


def export(name, model, arguments, inputs, dynamic=True, dynamo=False, opset=17):
    model = model.eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            with torch.no_grad():
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-1, 1)
    path = os.path.join(FOLDER, name + ".onnx")
    batch = torch.export.Dim("batch", min=1, max=1 << 20)
    if dynamo:
        torch.onnx.export(
            model, arguments, path, dynamo=True, opset_version=opset, input_names=inputs, verbose=False,
            dynamic_shapes=tuple({0: batch} for _ in arguments) if dynamic else None, external_data=False)
    else:
        if not dynamic:
            arguments = tuple(a[:1] for a in arguments)
        torch.onnx.export(
            model, arguments, path, dynamo=False, opset_version=opset, input_names=inputs, output_names=["score"],
            dynamic_axes={name: {0: "batch"} for name in inputs + ["score"]} if dynamic else None)


def slim(path):
    """Leaves out what only explains: the traces of the exporter are most of a small file."""
    model = onnx.load(path)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in list(model.graph.value_info) + list(model.graph.input) + list(model.graph.output):
        del value.metadata_props[:]
    onnx.save(model, path)


def torch_models():
    generator = numpy.random.default_rng(7)
    torch.manual_seed(7)
    ids, dense = rows(generator)
    pair = (torch.from_numpy(ids), torch.from_numpy(dense))
    feeds = {"ids": ids, "dense": dense}
    for name, model, how, kind in [
        ("deepfm_torchscript_11", DeepFM(), dict(opset=11), "logit"),
        ("deepfm_torchscript_17", DeepFM(norm=True), dict(opset=17), "logit"),
        ("deepfm_torchscript_fixed", DeepFM(), dict(opset=13, dynamic=False), "logit"),
        ("deepfm_dynamo_18", DeepFM(norm=True), dict(opset=18, dynamo=True), "logit"),
        ("fields_torchscript_14", FieldTables(), dict(opset=14), "probability"),
        ("fields_dynamo_21", FieldTables(), dict(opset=21, dynamo=True), "probability"),
        ("products_torchscript_17", Products(), dict(opset=17), "logit"),
        ("products_dynamo_18", Products(), dict(opset=18, dynamo=True), "logit"),
        ("fm_dynamo_20", DeepFM(deep=False), dict(opset=20, dynamo=True), "logit"),
    ]:
        export(name, model, pair, ["ids", "dense"], **how)
        slim(os.path.join(FOLDER, name + ".onnx"))
        record(name, feeds, ids, dense, TABLES, kind)
    offsets = numpy.array([0, *numpy.cumsum(TABLES)[:-1]])
    export("global_torchscript_13", GlobalIDs(deep=False), pair, ["ids", "dense"], opset=13)
    record("global_torchscript_13", {"ids": ids + offsets, "dense": dense}, ids, dense, TABLES, "logit")
    columns = {f"c{n}": ids[:, n].copy() for n in range(3)} | {f"d{n}": dense[:, n].copy() for n in range(DENSE)}
    for name, how in [("columns_torchscript_16", dict(opset=16)), ("columns_dynamo_18", dict(opset=18, dynamo=True))]:
        export(name, Columns(), tuple(torch.from_numpy(c) for c in columns.values()), list(columns), **how)
        slim(os.path.join(FOLDER, name + ".onnx"))
        record(name, columns, ids, dense, TABLES, "logit")
    features = numpy.concatenate([ids, dense], 1).astype("f4")
    for name, how in [("one_torchscript_12", dict(opset=12)), ("one_dynamo_19", dict(opset=19, dynamo=True))]:
        export(name, OneInput(), (torch.from_numpy(features),), ["features"], **how)
        slim(os.path.join(FOLDER, name + ".onnx"))
        record(name, {"features": features}, ids, dense, TABLES, "probability")


def sklearn_models():
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    generator = numpy.random.default_rng(8)
    rows = (generator.standard_normal((300, 4)) * [1, 5, 0.2, 40] + [0, 3, 1, -20]).astype("f4")
    wanted = (rows[:, 0] + rows[:, 1] / 5 + generator.standard_normal(300) > 0).astype(int)
    none = numpy.zeros((ROWS, 0), int)
    for name, model, options in [
        ("sklearn_mlp", make_pipeline(StandardScaler(), MLPClassifier((6, 4), max_iter=60, random_state=1)), {}),
        ("sklearn_mlp_arrays", make_pipeline(MinMaxScaler(), MLPClassifier((5,), max_iter=60, random_state=1)), {"zipmap": False}),
        ("sklearn_lr", make_pipeline(StandardScaler(), LogisticRegression()), {}),
        ("sklearn_lr_arrays", LogisticRegression(fit_intercept=False), {"zipmap": False}),
        ("sklearn_lr_raw", LogisticRegression(), {"zipmap": False, "raw_scores": True}),
    ]:
        model.fit(rows, wanted)
        last = model[-1] if hasattr(model, "steps") else model
        made = to_onnx(
            model, initial_types=[("X", FloatTensorType([None, 4]))], options={id(last): options} if options else None,
            target_opset={"": 17, "ai.onnx.ml": 3})
        path = os.path.join(FOLDER, name + ".onnx")
        onnx.save(made, path)
        kind = "logit" if name.endswith("raw") else "probability"
        record(name, {"X": rows[:ROWS]}, none, rows[:ROWS], [], kind)


if __name__ == "__main__":
    os.makedirs(FOLDER, exist_ok=True)
    torch_models()
    sklearn_models()
    with open(os.path.join(FOLDER, "expected.json"), "w") as file:
        json.dump({"models": expected}, file)
