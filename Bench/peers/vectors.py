"""Files of vectors, and the exact answer.

  .fbin .ibin .u8bin   u32 rows, u32 columns, then Float32, Int32 or UInt8 values
  .fvecs .ivecs .bvecs each row: u32 columns, then its Float32, Int32 or UInt8 values
  .npy                 numpy's own
  ...idx3-ubyte        fashion-mnist's images: big-endian magic, counts and sides, then UInt8 pixels

All little-endian but the last; vectors come out as Float32, neighbours as Int32.
"""
import os
import struct

import numpy

BIN = {".fbin": "<f4", ".ibin": "<i4", ".u8bin": "u1"}
VECS = {".fvecs": "<f4", ".ivecs": "<i4", ".bvecs": "u1"}


def read(path, kind="<f4"):
    """The file's rows as an array of `kind`."""
    suffix = os.path.splitext(path)[1]
    if suffix in BIN:
        with open(path, "rb") as file:
            rows, columns = struct.unpack("<II", file.read(8))
        found = numpy.fromfile(path, BIN[suffix], offset=8).reshape(rows, columns)
    elif suffix in VECS:
        with open(path, "rb") as file:
            columns = struct.unpack("<I", file.read(4))[0]
        width = numpy.dtype(VECS[suffix]).itemsize * columns
        records = numpy.fromfile(path, numpy.dtype([("columns", "<u4"), ("row", f"V{width}")]))
        found = numpy.ascontiguousarray(records["row"]).view(VECS[suffix]).reshape(-1, columns)
    elif suffix == ".npy":
        found = numpy.load(path)
    elif path.endswith("ubyte"):
        with open(path, "rb") as file:
            magic = file.read(4)
            shape = struct.unpack(f">{magic[3]}I", file.read(4 * magic[3]))
        found = numpy.fromfile(path, "u1", offset=4 + 4 * len(shape)).reshape(shape[0], -1)
    else:
        raise SystemExit(f"{path}: not a file of vectors known here ({', '.join([*BIN, *VECS])}, .npy, idx3-ubyte)")
    return numpy.ascontiguousarray(found, dtype=kind)


def write(path, rows):
    """Writes .fbin or .ibin, at once or not at all."""
    with open(path + ".part", "wb") as file:
        file.write(struct.pack("<II", *rows.shape))
        numpy.ascontiguousarray(rows, dtype=BIN[os.path.splitext(path)[1]]).tofile(file)
    os.replace(path + ".part", path)


def normalised(rows):
    """Rows of length 1; rows of zeros stay."""
    lengths = numpy.linalg.norm(rows, axis=1, keepdims=True)
    return rows / numpy.where(lengths > 0, lengths, 1)


def nearest(rows, queries, metric, k, values=4_000_000):
    """For each query its `k` nearest rows, best first, from a full scan in blocks of about `values` products."""
    squares = (rows.astype("f8") ** 2).sum(1).astype("f4") if metric == "l2" else None
    block, answer = max(1, values // len(rows)), numpy.empty((len(queries), k), "<i4")
    for start in range(0, len(queries), block):
        score = queries[start:start + block] @ rows.T
        if metric == "l2":
            score = 2 * score - squares
        best = numpy.argpartition(score, -k, axis=1)[:, -k:] if k < len(rows) else numpy.argsort(score, axis=1)
        order = numpy.argsort(-numpy.take_along_axis(score, best, 1), axis=1, kind="stable")
        answer[start:start + block] = numpy.take_along_axis(best, order, 1)
    return answer


def truth(path, rows, queries, metric, k):
    """True neighbours from `path`; computed and kept there where the file is missing or holds too few."""
    if os.path.exists(path):
        known = read(path, "<i4")
        if len(known) >= len(queries) and known.shape[1] >= k:
            return known[:len(queries)]
    known = nearest(rows, queries, metric, max(100, k) if len(rows) >= 100 else k)
    write(path, known)
    return known
