#!/usr/bin/env python3
"""Question: how does a LightGBM ranker (lambdarank) compare with the DeepFM that `martlet train` fits, in quality and in cost?

Exports examples of a data set, trains LightGBM on them (docs/examples/lightgbm_ranker.py), brings the model into a bundle, and
fits DeepFM to the same data. Prints what `martlet train` says of both on the users and choices that neither learned from, and what
`martlet-bench ranking` says of the cost of 200 candidates, the bundles in turns. Seeds vary: the differences between rankers are
small beside the chance of which users are kept apart.

usage: tree_ranker.py --input RATINGS [--seeds 1,2,3] [--objective lambdarank] [--leaves 31] [--rounds 3] [--work FOLDER]
Needs lightgbm and numpy, and `swift build -c release` of martlet and martlet-bench.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RELEASE = os.path.join(ROOT, ".build", "release")
FITTING = os.path.join(ROOT, "docs", "examples", "lightgbm_ranker.py")


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def line(output, start):
    """The line of an output that begins so."""
    return next(line for line in output.splitlines() if line.startswith(start))


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--input", required=True)
    flags.add_argument("--seeds", default="1,2,3")
    flags.add_argument("--objective", default="lambdarank")
    flags.add_argument("--leaves", default="31")
    flags.add_argument("--users", default="20000")
    flags.add_argument("--rounds", type=int, default=3)
    flags.add_argument("--core", default="0", help="core of the measurements of cost")
    flags.add_argument("--martlet", default=os.path.join(RELEASE, "martlet"))
    flags.add_argument("--bench", default=os.path.join(RELEASE, "martlet-bench"))
    flags.add_argument("--work", help="keep the files here (default: a folder that is removed)")
    own = flags.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = own.work or temporary
        os.makedirs(work, exist_ok=True)
        bundles = {}
        for seed in own.seeds.split(","):
            place = os.path.join(work, f"seed-{seed}")
            data = ["--input", own.input, "--seed", seed]
            run(own.martlet, "ranker", "export-examples", *data, "--output", place + ".csv", "--write-features", place + ".json",
                "--users", own.users)
            print(f"seed {seed}: " + run(
                sys.executable, FITTING, "--examples", place + ".csv", "--features", place + ".json", "--output", place + ".txt",
                "--objective", own.objective, "--leaves", own.leaves, "--seed", seed).strip().split(": ", 1)[1])
            os.remove(place + ".csv")
            run(own.martlet, "ranker", "import", "--trees", place + ".txt", "--features", place + ".json", "--output",
                place + ".ranker")
            ways = {"lightgbm": ["--ranker-file", place + ".ranker"], "deepfm": ["--ranker", "deepfm"]}
            for name, way in ways.items():
                bundles[name] = f"{place}.{name}"
                said = run(own.martlet, "train", *data, "--output", bundles[name], "--force-ranker", *way)
                print(f"  {name:9}" + re.sub(r"^ranker: ", "", line(said, "ranker: ")), flush=True)
        for _ in range(own.rounds):
            for name, bundle in bundles.items():
                said = run("taskset", "-c", own.core, own.bench, "ranking", "--bundle", bundle)
                print(f"{name:9}" + line(said, "  ").strip(), flush=True)


if __name__ == "__main__":
    main()
