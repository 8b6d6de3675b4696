#!/usr/bin/env python3
"""Question: does Martlet score a gradient-boosted model as its library does, and how many times as fast?

Trains models that use what LightGBM and XGBoost can write (objectives, missing values, categories, random forests, dart,
classes), has Martlet's tool score the same rows, and prints the largest difference from the library's own predictions,
raw and transformed. Then times one model of 200 trees x 31 leaves over 40 features: each library and Martlet in turns,
one pinned core, one thread, in --rounds rounds; medians are told. Fails (exit code 1) where a difference is larger
than --tolerance.

usage: trees.py [--work FOLDER] [--rows 20000] [--rounds 7] [--only equality|speed]
Needs lightgbm, xgboost, treelite, numpy (tl2cgen and a C compiler if there), and `swift build -c release --product martlet-bench`.
"""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import time

import lightgbm
import numpy
import xgboost

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = os.path.join(os.path.dirname(os.path.dirname(HERE)), ".build", "release", "martlet-bench")


def arguments():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--work", help="keep models and rows here (default: a folder that is removed)")
    flags.add_argument("--rows", type=int, default=20000)
    flags.add_argument("--rounds", type=int, default=7)
    flags.add_argument("--core", type=int, default=0)
    flags.add_argument("--tolerance", type=float, default=1e-6)
    flags.add_argument("--only", choices=["equality", "speed"])
    flags.add_argument("--tool", default=TOOL, help="martlet-bench")
    flags.add_argument("--json", help="write the figures to this file")
    return flags.parse_args()


def rows_with(generator, count, columns, missing, zeros, categories):
    """Normal values; some missing, some exactly zero; the last columns hold categories."""
    rows = generator.standard_normal((count, columns)).astype("f4")
    rows[generator.random(rows.shape) < zeros] = 0
    for column, size in enumerate(categories, columns - len(categories)):
        rows[:, column] = generator.integers(0, size, count)
    rows[generator.random(rows.shape) < missing] = numpy.nan
    return rows


def labels(generator, rows):
    known = numpy.nan_to_num(rows)
    return (known[:, 0] + known[:, 1] * known[:, 2] - (known[:, -1] % 3 == 1) + generator.standard_normal(len(rows)) / 2)


LIGHTGBM = {  # name: (parameters, missing, zeros, categories)
    "binary": (dict(objective="binary"), 0, 0, []),
    "binary_nan": (dict(objective="binary", sigmoid=0.7), .1, .1, []),
    "binary_zero_missing": (dict(objective="binary", zero_as_missing=True), .1, .3, []),
    "binary_no_missing": (dict(objective="binary", use_missing=False), .1, .1, []),
    "binary_categories": (dict(objective="binary", min_data_per_group=5, cat_smooth=1), .05, 0, [7, 40, 300]),
    "regression": (dict(objective="regression"), .05, 0, []),
    "regression_sqrt": (dict(objective="regression", reg_sqrt=True), 0, 0, []),
    "l1": (dict(objective="regression_l1"), 0, 0, []),
    "huber": (dict(objective="huber"), 0, 0, []),
    "quantile": (dict(objective="quantile", alpha=.7), 0, 0, []),
    "poisson": (dict(objective="poisson"), 0, 0, []),
    "gamma": (dict(objective="gamma"), 0, 0, []),
    "tweedie": (dict(objective="tweedie"), 0, 0, []),
    "cross_entropy": (dict(objective="cross_entropy"), 0, 0, []),
    "cross_entropy_lambda": (dict(objective="cross_entropy_lambda"), 0, 0, []),
    "lambdarank": (dict(objective="lambdarank"), .05, 0, [12]),
    "rank_xendcg": (dict(objective="rank_xendcg"), 0, 0, []),
    "multiclass": (dict(objective="multiclass", num_class=4), .05, 0, [9]),
    "multiclassova": (dict(objective="multiclassova", num_class=3), 0, 0, []),
    "rf": (dict(objective="binary", boosting="rf", bagging_freq=1, bagging_fraction=.6), 0, 0, []),
    "rf_regression": (dict(objective="regression", boosting="rf", bagging_freq=1, bagging_fraction=.6), 0, 0, []),
    "dart": (dict(objective="binary", boosting="dart"), 0, 0, []),
    "goss": (dict(objective="binary", data_sample_strategy="goss"), 0, 0, []),
    "one_leaf": (dict(objective="binary", min_data_in_leaf=100000), 0, 0, []),
    "leaves_40": (dict(objective="binary", num_leaves=40), .05, 0, [7]),
    "leaves_255": (dict(objective="binary", num_leaves=255), .05, 0, [7]),
    "leaves_4000": (dict(objective="regression", num_leaves=4000, min_data_in_leaf=1), 0, 0, []),
}
XGBOOST = {
    "logistic": (dict(objective="binary:logistic"), 0, 0, []),
    "logistic_nan": (dict(objective="binary:logistic"), .1, .1, []),
    "logistic_categories": (dict(objective="binary:logistic", max_cat_to_onehot=1), .1, 0, [7, 40, 300]),
    "logistic_onehot": (dict(objective="binary:logistic", max_cat_to_onehot=100), .1, 0, [7, 40]),
    "logitraw": (dict(objective="binary:logitraw"), 0, 0, []),
    "hinge": (dict(objective="binary:hinge"), 0, 0, []),
    "squarederror": (dict(objective="reg:squarederror"), .05, 0, []),
    "reg_logistic": (dict(objective="reg:logistic"), 0, 0, []),
    "squaredlogerror": (dict(objective="reg:squaredlogerror"), 0, 0, []),
    "absoluteerror": (dict(objective="reg:absoluteerror"), 0, 0, []),
    "pseudohuber": (dict(objective="reg:pseudohubererror"), 0, 0, []),
    "quantile": (dict(objective="reg:quantileerror", quantile_alpha=.3), 0, 0, []),
    "quantiles": (dict(objective="reg:quantileerror", quantile_alpha=[.1, .5, .9]), 0, 0, []),
    "gamma": (dict(objective="reg:gamma"), 0, 0, []),
    "tweedie": (dict(objective="reg:tweedie"), 0, 0, []),
    "poisson": (dict(objective="count:poisson"), .05, 0, []),
    "cox": (dict(objective="survival:cox"), 0, 0, []),
    "ndcg": (dict(objective="rank:ndcg"), .05, 0, [12]),
    "pairwise": (dict(objective="rank:pairwise"), 0, 0, []),
    "map": (dict(objective="rank:map"), 0, 0, []),
    "aft": (dict(objective="survival:aft"), 0, 0, []),
    "softprob": (dict(objective="multi:softprob", num_class=4), .05, 0, [9]),
    "softmax": (dict(objective="multi:softmax", num_class=4), 0, 0, []),
    "dart": (dict(objective="binary:logistic", booster="dart", rate_drop=.3), .05, 0, []),
    "forest": (dict(objective="binary:logistic", num_parallel_tree=5, subsample=.6), 0, 0, []),
    "base_score": (dict(objective="binary:logistic", base_score=.2), 0, 0, []),
    "deep": (dict(objective="binary:logistic", max_depth=9), .05, 0, []),
    "deeper": (dict(objective="reg:squarederror", max_depth=14, min_child_weight=0), .05, 0, []),
    "exact": (dict(objective="binary:logistic", tree_method="exact"), .1, 0, []),
}


def target(objective, generator, rows):
    """Labels such as the objective wants, and groups where it ranks."""
    score = labels(generator, rows)
    groups = None
    if "rank" in objective or "lambda" in objective and "cross" not in objective:
        groups = [len(rows) // 100] * 100
    if "multi" in objective:
        return numpy.digitize(score, [-.7, 0, .7] if "ova" not in objective else [-.4, .4]), groups
    if any(word in objective for word in ("poisson", "gamma", "tweedie", "log", "cox", "aft", "quantile")) and (
            "logi" not in objective):
        return numpy.exp(score / 3) + .01, groups
    if "cross_entropy" in objective or objective == "reg:logistic":
        return 1 / (1 + numpy.exp(-score)), groups
    if groups:
        return numpy.clip(score.astype(int) + 1, 0, 1 if "map" in objective else 3), groups
    if "binary" in objective:
        return (score > 0).astype(int), groups
    return score, groups


def train_lightgbm(parameters, data, target, groups, categories, rounds):
    own = dict(dict(num_leaves=31, learning_rate=.1, num_threads=1, verbose=-1, seed=1), **parameters)
    columns = list(range(data.shape[1] - len(categories), data.shape[1]))
    return lightgbm.train(own, lightgbm.Dataset(data, target, group=groups, categorical_feature=columns), rounds)


def about_categories(kinds, categories):
    """Old versions know none."""
    return dict(feature_types=kinds, enable_categorical=True) if categories else {}


def train_xgboost(parameters, data, target, groups, categories, rounds):
    own = dict(dict(max_depth=6, nthread=1, seed=1), **parameters)
    kinds = ["q"] * (data.shape[1] - len(categories)) + ["c"] * len(categories)
    matrix = xgboost.DMatrix(data, target, **about_categories(kinds, categories))
    if groups:
        matrix.set_group(groups)
    if "aft" in parameters["objective"]:
        matrix.set_float_info("label_lower_bound", target)
        matrix.set_float_info("label_upper_bound", target * 1.5)
    return xgboost.train(own, matrix, rounds), kinds


def martlet(options, model, rows, *flags):
    command = [options.tool, "trees", "--model", model, "--rows", rows, *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def differences(options, folder, model, rows, raw, predicted):
    """The largest differences from what the library gave, raw and transformed."""
    outputs = os.path.join(folder, "raw.f64"), os.path.join(folder, "predicted.f64")
    martlet(options, model, rows, "--batch", "997", "--rounds", "1", "--seconds", ".001", "--raw-scores", outputs[0],
            "--predictions", outputs[1])
    answer = []
    for path, theirs in zip(outputs, (raw, predicted)):
        ours = numpy.fromfile(path, "f8")
        theirs = numpy.asarray(theirs, "f8").ravel()
        if ours.shape != theirs.shape:
            sys.exit(f"{model}: {ours.shape} outputs; the library gives {theirs.shape}")
        # Of numbers beyond 1 the relative difference counts: a Float32 has 24 bits.
        answer.append(float((abs(ours - theirs) / numpy.maximum(1, abs(theirs))).max()))
    return answer


def equality(options, folder):
    worst, figures = 0, {}
    print(f"largest difference over {options.rows} rows (beyond 1: relative)")
    for library, variants in (("lightgbm", LIGHTGBM), ("xgboost", XGBOOST)):
        for name, (parameters, missing, zeros, categories) in variants.items():
            generator = numpy.random.default_rng(len(name))
            learned = rows_with(generator, 6000, 12, missing, zeros, categories)
            wanted, groups = target(parameters["objective"], generator, learned)
            asked = rows_with(generator, options.rows, 12, missing or .02, zeros or .02, categories)
            for column, size in enumerate(categories, 12 - len(categories)):  # categories never seen, halves
                strange = generator.random(options.rows) < .05
                asked[strange, column] = generator.choice([size + 3, 1e6, .5, size - .25], strange.sum())
            if library == "lightgbm":  # XGBoost takes no infinities
                infinite = generator.random(asked.shape) < .005
                asked[infinite] = generator.choice([numpy.inf, -numpy.inf], infinite.sum())
            path = os.path.join(folder, "rows.f4")
            asked.tofile(path)
            files = []
            try:
                if library == "lightgbm":
                    booster = train_lightgbm(parameters, learned, wanted, groups, categories, 30)
                    files = [os.path.join(folder, f"{name}.txt")]
                    raw, predicted = booster.predict(asked, raw_score=True), booster.predict(asked)
                else:
                    booster, kinds = train_xgboost(parameters, learned, wanted, groups, categories, 30)
                    files = [os.path.join(folder, f"{name}.{end}") for end in ("json", "ubj")
                             if end == "json" or xgboost.__version__ >= "1.6"]
                    matrix = xgboost.DMatrix(asked, **about_categories(kinds, categories))
                    raw, predicted = booster.predict(matrix, output_margin=True), booster.predict(matrix)
            except (xgboost.core.XGBoostError, lightgbm.basic.LightGBMError, TypeError) as error:
                print(f"  {library:9} {name:28} not trained by this version: {str(error).strip().splitlines()[0][:80]}")
                continue
            for file in files:
                booster.save_model(file)
                found = differences(options, folder, file, path, raw, predicted)
                worst = max(worst, *found)
                figures[f"{library} {os.path.basename(file)}"] = found
                print(f"  {library:9} {os.path.basename(file):28} raw {found[0]:.2e}  transformed {found[1]:.2e}"
                      + ("" if max(found) <= options.tolerance else "  TOO LARGE"), flush=True)
    print(f"worst {worst:.2e}")
    return worst, figures


class Timing:
    """Rates of several ways to score, in turns."""

    def __init__(self, seconds=.15):
        self.ways, self.seconds, self.rates = {}, seconds, {}

    def add(self, name, batch, call):
        self.ways[name, batch] = call

    def round(self):
        for (name, batch), call in self.ways.items():
            for _ in range(3):
                call()
            calls, start = 0, time.perf_counter()
            while time.perf_counter() - start < self.seconds:
                call()
                calls += 1
            rate = calls * batch / (time.perf_counter() - start)
            self.rates.setdefault((name, batch), []).append(rate)


def speed(options, folder):
    generator = numpy.random.default_rng(3)
    learned = generator.standard_normal((60000, 40)).astype("f4")
    weights = generator.standard_normal(40)
    noise = generator.standard_normal(len(learned))
    wanted = (learned @ weights + 2 * learned[:, 0] * learned[:, 1] - learned[:, 2] * learned[:, 3] + noise > 0) * 1.
    model = train_lightgbm(dict(objective="binary"), learned, wanted, None, [], 200)
    other, _ = train_xgboost(dict(objective="binary:logistic", max_leaves=31, grow_policy="lossguide", max_depth=0,
                                  tree_method="hist"), learned, wanted, None, [], 200)
    text, ubj, path = (os.path.join(folder, name) for name in ("speed.txt", "speed.ubj", "speed.f4"))
    model.save_model(text)
    other.save_model(ubj)
    singles = generator.standard_normal((20000, 40)).astype("f4")
    singles.tofile(path)
    rows = numpy.ascontiguousarray(singles.astype("f8"))
    timing, offset = Timing(), [0]

    def following(batch):
        offset[0] = (offset[0] + batch) % 19000
        return offset[0]

    from lightgbm.basic import _LIB
    out, length = (ctypes.c_double * 512)(), ctypes.c_int64()
    fast = ctypes.c_void_p()
    _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
        model._handle, ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(-1), ctypes.c_int(1), ctypes.c_int32(40),
        ctypes.c_char_p(b"num_threads=1"), ctypes.byref(fast))
    address, size = rows.ctypes.data, ctypes.byref(length)
    timing.add("LightGBM C API, single row fast", 1, lambda: _LIB.LGBM_BoosterPredictForMatSingleRowFast(
        fast, ctypes.c_void_p(address + following(1) * 320), size, out))
    for batch in (100, 500):
        timing.add("LightGBM C API", batch, lambda batch=batch: _LIB.LGBM_BoosterPredictForMat(
            model._handle, ctypes.c_void_p(address + following(batch) * 320), ctypes.c_int(1), ctypes.c_int32(batch),
            ctypes.c_int32(40), ctypes.c_int(1), ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(-1),
            ctypes.c_char_p(b"num_threads=1"), size, out))
    other.set_param({"nthread": 1})
    for batch in (1, 100, 500):
        timing.add("XGBoost inplace_predict", batch, lambda batch=batch: other.inplace_predict(
            singles[(at := following(batch)):at + batch], validate_features=False))
    try:
        import treelite
        forest = treelite.frontend.load_lightgbm_model(text)
        for batch in (1, 100, 500):
            timing.add("treelite GTIL", batch, lambda batch=batch: treelite.gtil.predict(
                forest, rows[(at := following(batch)):at + batch], nthread=1))
        import tl2cgen
        library = os.path.join(folder, "speed.so")
        tl2cgen.export_lib(forest, toolchain="gcc", libpath=library, params={"parallel_comp": 8},
                           options=["-O3", "-march=native"])
        compiled = tl2cgen.Predictor(library, nthread=1)
        for batch in (1, 100, 500):
            parts = [tl2cgen.DMatrix(rows[i * batch:(i + 1) * batch], dtype="float64") for i in range(16)]
            timing.add("tl2cgen compiled", batch, lambda batch=batch, parts=parts: compiled.predict(
                parts[following(1) % 16]))
    except ImportError as error:
        print(f"without {error.name}")
    figures = os.path.join(folder, "figures.json")
    for _ in range(options.rounds):
        timing.round()
        for name, file in (("Martlet, LightGBM's model", text), ("Martlet, XGBoost's model", ubj)):
            martlet(options, file, path, "--rounds", "3", "--seconds", ".05", "--json", figures)
            for point in json.load(open(figures))["points"]:
                timing.rates.setdefault((name, int(point["batch"])), []).append(point["rowsPerSecond"])
    print(f"rows/s, one thread, median of {options.rounds} rounds (range); load average {os.getloadavg()[0]:.1f}")
    medians = {key: statistics.median(rates) for key, rates in timing.rates.items()}
    for batch in (1, 100, 500):
        best = max(rate for (name, size), rate in medians.items() if size == batch and "Martlet" not in name)
        for (name, size), rates in timing.rates.items():
            if size != batch:
                continue
            rate = medians[name, size]
            ratio = f"  {rate / best:.1f} x the best library" if "Martlet" in name else ""
            print(f"  batch {batch:3}  {name:32} {rate:10.0f}  ({min(rates):.0f} to {max(rates):.0f})"
                  f"  {batch / rate * 1e6:9.2f} us a call{ratio}")
    return {f"{name}, {batch}": rate for (name, batch), rate in medians.items()}


def main():
    options = arguments()
    os.sched_setaffinity(0, {options.core})
    result, worst = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        if options.work:
            folder = options.work
            os.makedirs(folder, exist_ok=True)
        if options.only != "speed":
            worst, result["differences"] = equality(options, folder)
        if options.only != "equality":
            result["rowsPerSecond"] = speed(options, folder)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    sys.exit(worst > options.tolerance)


if __name__ == "__main__":
    main()
