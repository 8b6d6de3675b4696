#!/usr/bin/env python3
"""Makes vectors to compare indexes on: a synthetic shape, a bundle's factors, or another file's as .fbin.

  als      64 columns, for inner product (or, with --unit, rows of length 1): rows from 1,000 directions of unequal
           popularity with noise around them and a long tail of norms; queries mix one to four directions. A few rows
           answer many queries, as popular items do.
  pixels   784 columns, for l2: grey pictures of 28 x 28, 0 to 255, mostly dark; ten kinds, each a few blurred outlines
           that bend in two dozen smooth ways.

A shape is the same on every machine with the same numpy: seeds are fixed, and fewer rows are the first of more (als: of
a million; pixels: for the same number of queries).

usage: shapes.py --shape als --rows 100000 --queries 10000 OUT     writes OUT.fbin and OUT.q.fbin
       shapes.py --shape pixels --rows 60000 --queries 10000 OUT
       shapes.py --from-bundle BUNDLE OUT                          item factors, and a sample of the users'
       shapes.py --from-file FILE OUT                              any file that measure.py reads; OUT.fbin only
"""
import argparse
import os
import sys

import numpy

import vectors

MILLION = 1_000_000


def als(rows, queries, unit, seed=20261121):
    """Rows and queries like the factors of an alternating-least-squares model."""
    columns, directions, drawn = 64, 1000, max(MILLION, rows)
    random = numpy.random.Generator(numpy.random.PCG64(seed))
    spectrum = numpy.arange(1.0, columns + 1) ** -0.35
    spectrum = (spectrum / numpy.linalg.norm(spectrum)).astype("f4")
    centres = vectors.normalised(random.standard_normal((directions, columns), dtype="f4") * spectrum)
    popularity = numpy.arange(1.0, directions + 1) ** -0.8
    popularity /= popularity.sum()
    kind = random.choice(directions, size=drawn, p=popularity)
    items = random.standard_normal((drawn, columns), dtype="f4")
    length = numpy.minimum(0.3 * (1.0 + random.pareto(10.0, size=drawn)), 3.0).astype("f4")[:rows]
    items, kind = items[:rows], kind[:rows]
    items *= numpy.float32(0.8)
    items *= spectrum
    items += centres[kind]
    items = vectors.normalised(items)
    if not unit:
        items *= length[:, None]
    tastes = random.integers(1, 5, size=10_000)
    users = numpy.zeros((len(tastes), columns), "f4")
    for user, count in zip(users, tastes):
        chosen = random.choice(directions, size=count, p=popularity)
        user[:] = (centres[chosen] * random.dirichlet(numpy.ones(count))[:, None]).sum(0)
    noise = random.standard_normal(users.shape, dtype="f4")
    users = vectors.normalised(vectors.normalised(users) + numpy.float32(0.7) * noise * spectrum)
    return items, users[:queries]


def pixels(rows, queries, seed=20261122):
    """Rows and queries like small pictures of ten kinds of things."""
    side, kinds, outlines, bends, block = 28, 10, 6, 24, 10_000
    random = numpy.random.Generator(numpy.random.PCG64(seed))

    def blurred(count, width):
        """Smooth random fields, about -1 to 1."""
        across = numpy.exp(-0.5 * ((numpy.arange(side)[:, None] - numpy.arange(side)) / width) ** 2)
        field = across @ random.standard_normal((count, side, side)) @ across
        return (field / field.std(axis=(1, 2), keepdims=True)).reshape(count, -1)

    centred = numpy.abs(numpy.linspace(-1, 1, side)) ** 3
    vignette = 1.6 * (centred[:, None] + centred).ravel()
    shape = blurred(kinds, 4)[:, None] + 0.5 * blurred(kinds * outlines, 3).reshape(kinds, outlines, -1) + 0.9 - vignette
    basis = blurred(kinds * bends, 2).reshape(kinds, bends, -1) * (numpy.arange(1, bends + 1) ** -0.5)[:, None]
    made = []
    for start in range(0, rows + queries, block):
        kind, outline = random.integers(kinds, size=block), random.integers(outlines, size=block)
        bend = 0.4 * random.standard_normal((block, bends))
        bright = random.uniform(80, 160, size=(block, 1))
        grain = random.standard_normal((block, side * side))
        picture = shape[kind, outline]
        for each in range(kinds):
            picture[kind == each] += bend[kind == each] @ basis[each]
        light = bright * numpy.maximum(picture, 0)
        made.append(numpy.clip(numpy.rint(light + 20 * grain * (light > 0)), 0, 255).astype("f4")[:rows + queries - start])
    # Queries come first, so that they are the same for any number of rows.
    made = numpy.concatenate(made)
    return made[queries:], made[:queries]


def factors(bundle, queries):
    """Item factors and a sample of user factors of a bundle."""
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    import retrieval
    path, found = os.path.join(bundle, "als.safetensors"), []
    for name in ("item_factors", "user_factors"):
        kind, shape, offset = retrieval.tensor(path, name)
        found.append(numpy.memmap(path, {"F32": "<f4", "F16": "<f2"}[kind], "r", offset, tuple(shape)))
    items, users = found
    chosen = numpy.random.Generator(numpy.random.PCG64(1)).permutation(len(users))[:queries]
    return items.astype("f4"), users[numpy.sort(chosen)].astype("f4")


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = flags.add_mutually_exclusive_group(required=True)
    source.add_argument("--shape", choices=["als", "pixels"])
    source.add_argument("--from-bundle", metavar="BUNDLE")
    source.add_argument("--from-file", metavar="FILE")
    flags.add_argument("out", metavar="OUT", help="name of the output without its suffix")
    flags.add_argument("--rows", type=int, default=100_000)
    flags.add_argument("--queries", type=int, default=10_000, help="at most 10,000 for als")
    flags.add_argument("--unit", action="store_true", help="als: rows of length 1")
    options = flags.parse_args()
    if options.rows < 1 or options.queries < 1:
        flags.error("--rows and --queries are counts from 1")
    if options.shape == "als" and options.queries > 10_000:
        flags.error("--queries is at most 10000 for als")
    if options.from_file:
        rows, queries = vectors.read(options.from_file), None
    elif options.from_bundle:
        rows, queries = factors(options.from_bundle, options.queries)
    elif options.shape == "als":
        rows, queries = als(options.rows, options.queries, options.unit)
    else:
        rows, queries = pixels(options.rows, options.queries)
    if len(rows) == 0 or not numpy.isfinite(rows).all():
        sys.exit("shapes.py: there are no rows, or one holds a NaN or an infinity")
    for suffix, part in ((".fbin", rows), (".q.fbin", queries)):
        if part is not None:
            vectors.write(options.out + suffix, part)
            print(f"{options.out}{suffix}: {part.shape[0]} x {part.shape[1]}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KeyError, IndexError, EOFError) as fault:
        sys.exit(f"shapes.py: {fault}")
