#!/usr/bin/env python3
"""Trains a LightGBM ranker on the examples that `martlet ranker export-examples` wrote.

    martlet ranker export-examples --input ratings.csv --output examples.csv --write-features features.json
    docs/examples/lightgbm_ranker.py --examples examples.csv --features features.json --output model.txt
    martlet ranker import --trees model.txt --features features.json --output ranker.safetensors
    martlet train --input ratings.csv --output bundle --ranker-file ranker.safetensors

With --predict FILE it writes the model's prediction for each row of the examples, one a line, to compare with scores of a node.
Needs: pip install lightgbm numpy
"""
import argparse
import csv
import json

import lightgbm
import numpy

COLUMNS = 4  # label, part, user, item; the features follow


def read(path, fields):
    """Labels, parts, users and the features, NaN where one is missing, of a file of examples."""
    labels, parts, users, values = [], [], [], []
    with open(path, newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        header = next(lines)
        names = [field["name"] for field in fields]
        if header[COLUMNS:] != names:
            raise SystemExit(f"{path} has the features {header[COLUMNS:]}; the schema has {names}")
        for line in lines:
            labels.append(int(line[0]))
            parts.append(line[1])
            users.append(line[2])
            values.append(numpy.array([value or "nan" for value in line[COLUMNS:]], dtype=numpy.float64))
    return numpy.array(labels), numpy.array(parts), users, numpy.stack(values)


def group_sizes(users):
    """How many rows each user has; they follow one another."""
    sizes, last = [], None
    for user in users:
        if user != last:
            sizes.append(0)
        sizes[-1] += 1
        last = user
    return sizes


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--examples", required=True)
    flags.add_argument("--features", required=True, help="the schema that export-examples wrote or read")
    flags.add_argument("--output", required=True, help="the model to write")
    flags.add_argument("--objective", default="lambdarank", help="lambdarank, rank_xendcg, binary, regression ...")
    flags.add_argument("--leaves", type=int, default=31)
    flags.add_argument("--rounds", type=int, default=500, help="trees at most")
    flags.add_argument("--learning-rate", type=float, default=0.05)
    flags.add_argument("--patience", type=int, default=30, help="trees without a better ndcg after which fitting stops")
    flags.add_argument("--seed", type=int, default=1)
    flags.add_argument("--threads", type=int, default=0)
    flags.add_argument("--predict", help="a file to write the predictions for the examples to")
    own = flags.parse_args()

    with open(own.features, encoding="utf-8") as file:
        fields = json.load(file)["fields"]
    labels, parts, users, values = read(own.examples, fields)
    categorical = [number for number, field in enumerate(fields) if "categorical" in field]

    def dataset(part, reference=None):
        rows = numpy.flatnonzero(parts == part)
        return lightgbm.Dataset(
            values[rows], labels[rows], group=group_sizes([users[row] for row in rows]), reference=reference,
            feature_name=[field["name"] for field in fields], categorical_feature=categorical, free_raw_data=False)

    training = dataset("train")
    valid = dataset("valid", training)
    settings = {
        "objective": own.objective, "metric": "ndcg" if "rank" in own.objective or "ndcg" in own.objective else "auc",
        "eval_at": [20], "num_leaves": own.leaves, "learning_rate": own.learning_rate, "min_data_in_leaf": 50,
        "feature_fraction": 0.8, "seed": own.seed, "deterministic": True, "num_threads": own.threads, "verbose": -1,
    }
    model = lightgbm.train(
        settings, training, own.rounds, valid_sets=[valid],
        callbacks=[lightgbm.early_stopping(own.patience, verbose=False)])
    # Up to the best iteration.
    model.save_model(own.output)
    best = {name: round(float(value), 5) for name, value in model.best_score["valid_0"].items()}
    print(f"{own.output}: {model.best_iteration} trees, {len(labels)} rows, {best}")
    if own.predict:
        numpy.savetxt(own.predict, model.predict(values), fmt="%.17g")


if __name__ == "__main__":
    main()
