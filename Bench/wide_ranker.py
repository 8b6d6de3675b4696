#!/usr/bin/env python3
"""A copy of a bundle whose ranker has many fields: for measurements of what a first layer costs. Its weights are random.

The DeepFM of docs/ranking.md: 26 categorical fields with embeddings of 16 (13 of the item, 13 of the user and the request),
8 numbers, layers of 400. The fields are the IDs, hashed in several ways.

    Bench/wide_ranker.py BUNDLE OUTPUT [--item-fields 13] [--user-fields 13] [--hidden 400,400,400]
"""
import argparse
import hashlib
import json
import os
import random
import shutil
import struct
from array import array


def fields(options, bundle):
    def categorical(name, source):
        return {"name": name, "from": source, "categorical": {"hashed": options.buckets}}

    def number(name, source):
        return {"name": name, "from": source, "dense": {"log": {"mean": 1, "deviation": 1}}, "missing": 0}

    found = [categorical(f"item{n}", "item.id") for n in range(options.item_fields)]
    found += [categorical(f"user{n}", "user.id") for n in range(max(options.user_fields - 3, 1))]
    found += [categorical(name, f"context:{name}") for name in ("hour", "device", "country")[: options.user_fields - 1]]
    found += [number("popularity", "item.popularity"), number("recent", "item.recent_popularity"),
              number("history", "user.history"), number("score", "retrieval.score"), number("rank", "retrieval.rank")]
    if os.path.exists(os.path.join(bundle, "als.safetensors")):
        found.append(number("product", "cross.product:als"))
    return found


def write(path, metadata, tensors):
    header, parts, at = {"__metadata__": metadata}, [], 0
    for name, shape, values in tensors:
        data = values.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
        parts.append(data)
        rest = -at % 64
        if rest:
            header[f"_pad{len(parts)}"] = {"dtype": "U8", "shape": [rest], "data_offsets": [at, at + rest]}
            parts.append(bytes(rest))
            at += rest
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("bundle")
    flags.add_argument("output")
    flags.add_argument("--item-fields", type=int, default=13)
    flags.add_argument("--user-fields", type=int, default=13)
    flags.add_argument("--buckets", type=int, default=10_000)
    flags.add_argument("--width", type=int, default=16)
    flags.add_argument("--hidden", default="400,400,400")
    options = flags.parse_args()
    hidden = [int(one) for one in options.hidden.split(",")]
    shutil.copytree(options.bundle, options.output)
    schema = fields(options, options.bundle)
    categorical = sum("categorical" in field for field in schema)
    dense = len(schema) - categorical
    rows = categorical * (options.buckets + 1)
    draw = random.Random(1)

    def values(count, size):
        return array("f", (draw.uniform(-size, size) for _ in range(count)))

    tensors = [("embedding.weight", [rows, options.width], values(rows * options.width, 0.3)),
               ("linear.weight", [rows], values(rows, 0.1)), ("dense_linear.weight", [dense], values(dense, 0.1))]
    inputs = categorical * options.width + dense
    for number, outputs in enumerate(hidden):
        tensors.append((f"mlp.{number}.weight", [outputs, inputs], values(outputs * inputs, (3 / inputs) ** 0.5)))
        tensors.append((f"mlp.{number}.bias", [outputs], values(outputs, 0.1)))
        inputs = outputs
    tensors += [("output.weight", [inputs], values(inputs, 0.2)), ("bias", [1], values(1, 0.1))]
    shape = {"embedding_width": options.width, "hidden": hidden, "linear": True, "pairs": True}
    path = os.path.join(options.output, "ranker.safetensors")
    features = {"format": "martlet-features", "version": 1, "fields": schema}
    write(path, {"kind": "network", "shape": json.dumps(shape), "features": json.dumps(features)}, tensors)
    # The manifest names every file's size and checksum, and a file beside it the manifest's.
    place = os.path.join(options.output, "manifest.json")
    with open(place) as file:
        manifest = json.load(file)
    with open(path, "rb") as file:
        data = file.read()
    entries = manifest["files"]
    entry = next((one for one in entries if one["path"] == "ranker.safetensors"), None)
    if entry is None:
        entry = {"path": "ranker.safetensors"}
        entries.append(entry)
        entries.sort(key=lambda one: one["path"])
    # Checked whole.
    for key in ("chunks", "chunk_bytes"):
        entry.pop(key, None)
    entry["bytes"], entry["sha256"] = len(data), hashlib.sha256(data).hexdigest()
    text = json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n"
    with open(place, "wb") as file:
        file.write(text)
    with open(os.path.join(options.output, "manifest.sha256")) as file:
        before = file.read()
    with open(os.path.join(options.output, "manifest.sha256"), "w") as file:
        file.write(hashlib.sha256(text).hexdigest() + before[64:])


if __name__ == "__main__":
    main()
