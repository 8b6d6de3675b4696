#!/usr/bin/env python3
"""Makes the models in trees/, and expected.json with what the libraries predict for a few rows.

usage: make_trees.py (wants lightgbm, xgboost, numpy; run it again where a kind of model is added, and look at the difference)
"""
import json
import os
import sys

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "Bench", "peers"))

import lightgbm
import trees
import xgboost

COLUMNS = 6
MODELS = [  # name, parameters, missing, zeros, categories, iterations, ending
    ("lightgbm_binary_categories", dict(objective="binary", min_data_per_group=5, cat_smooth=1, sigmoid=.8, num_leaves=7),
     .1, 0, [40], 3, "txt"),
    ("lightgbm_zero_missing", dict(objective="lambdarank", zero_as_missing=True, num_leaves=7), .1, .3, [], 3, "txt"),
    ("lightgbm_multiclass", dict(objective="multiclass", num_class=4, num_leaves=7), .1, .1, [], 2, "txt"),
    ("lightgbm_forest", dict(objective="binary", boosting="rf", bagging_freq=1, bagging_fraction=.6, num_leaves=7),
     .05, 0, [], 3, "txt"),
    ("lightgbm_poisson", dict(objective="poisson", use_missing=False, num_leaves=40), .1, .1, [], 3, "txt"),
    ("xgboost_logistic_categories", dict(objective="binary:logistic", max_cat_to_onehot=1), .1, 0, [40], 3, "json"),
    ("xgboost_ndcg", dict(objective="rank:ndcg"), .1, 0, [], 3, "ubj"),
    ("xgboost_softprob", dict(objective="multi:softprob", num_class=4), .1, 0, [], 2, "ubj"),
    ("xgboost_dart", dict(objective="binary:logistic", booster="dart", rate_drop=.5), .1, 0, [9], 3, "ubj"),
]


def rows(seed, count, missing, zeros, categories):
    """Multiples of 1/64, which decimals hold exactly."""
    generator = numpy.random.default_rng(seed)
    values = trees.rows_with(generator, count, COLUMNS, missing, zeros, categories)
    return generator, (numpy.round(values * 64) / 64).astype("f4")


def main():
    expected = {}
    for name, parameters, missing, zeros, categories, iterations, ending in MODELS:
        generator, learned = rows(1, 900, missing, zeros, categories)
        wanted, groups = trees.target(parameters["objective"], generator, learned)
        asked = rows(2, 40, .15, .15, categories)[1]
        if categories:  # never seen, halves, negative
            asked[:6, -1] = [43, 1e6, .5, -.5, -1, 39.75]
        if ending == "txt":
            model, matrix = trees.train_lightgbm(parameters, learned, wanted, groups, categories, iterations), asked
            raw = model.predict(asked, raw_score=True)
        else:
            own = dict(max_depth=3, **parameters)
            model, kinds = trees.train_xgboost(own, learned, wanted, groups, categories, iterations)
            matrix = xgboost.DMatrix(asked, **trees.about_categories(kinds, categories))
            raw = model.predict(matrix, output_margin=True)
        model.save_model(os.path.join(HERE, "trees", f"{name}.{ending}"))
        expected[name] = {
            "file": f"{name}.{ending}",
            "rows": [[None if numpy.isnan(value) else round(float(value), 9) for value in row] for row in asked],
            "raw": numpy.asarray(raw, "f8").ravel().tolist(),
            "predictions": numpy.asarray(model.predict(matrix), "f8").ravel().tolist()}
    versions = {"lightgbm": lightgbm.__version__, "xgboost": xgboost.__version__}
    with open(os.path.join(HERE, "trees", "expected.json"), "w") as file:
        json.dump({**versions, "models": expected}, file, separators=(",", ":"))


if __name__ == "__main__":
    main()
