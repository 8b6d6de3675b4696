#!/usr/bin/env python3
"""Is a user folded in as fast and as exactly as by numpy, or by `recalculate_user` of the `implicit` library?

    swift build -c release --product martlet-bench
    pip install implicit==0.7.3 numpy scipy
    mkdir folder && martlet-bench fold-in --rank 64 --output folder && Bench/peers/fold_in.py folder

Numpy solves the very system in Float64 by Cholesky, the Gram matrix made before: its factors are what cosines are against.
`implicit` solves a system that differs by a little: it counts no unobserved zero for an observed pair (right side c, not
c - 1), and its regularisation is one number, set here to that of the history's length. One thread on both sides.
"""
import json, os, statistics, sys, time

os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy as np
import scipy.linalg as la
import scipy.sparse as sp


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def main():
    folder = sys.argv[1]
    report = json.load(open(f"{folder}/fold_in.json"))
    rank, count, u = report["rank"], report["items"], report["unobserved_weight"]
    items = np.fromfile(f"{folder}/items.f32", np.float32).reshape(count, rank)
    wide = items.astype(np.float64)
    gram = u * wide.T @ wide
    for length in report["lengths"]:
        rows = [np.array(h) for h in length["histories"]]
        weights = [np.array(w) for w in length["weights"]]
        ours = [np.array(f) for f in length["factors"]]
        lambdas = [report["regularization"] * (w.sum() + u * count) ** report["regularization_exponent"] for w in weights]

        def exact(n):
            y = wide[rows[n]]
            a = gram + (y * weights[n][:, None]).T @ y + lambdas[n] * np.eye(rank)
            return la.cho_solve(la.cho_factor(a, check_finite=False), y.T @ weights[n], check_finite=False)

        sides = {"numpy": exact}
        try:
            from implicit.cpu.als import AlternatingLeastSquares
            model = AlternatingLeastSquares(
                factors=rank, regularization=lambdas[0] / u, alpha=1, num_threads=1, use_native=True)
            model.item_factors = items
            model.user_factors = np.zeros((1, rank), np.float32)
            _ = model.YtY
            users = []
            for row, weight in zip(rows, weights):
                matrix = sp.csr_matrix((weight.astype(np.float32) / u, (np.zeros(len(row), int), row)), shape=(1, count))
                matrix.sum_duplicates()
                users.append(matrix)
            sides["implicit"] = lambda n: model.recalculate_user(0, users[n])
        except ImportError:
            print("implicit is not installed; only numpy is asked")
        truth = [exact(n) for n in range(len(rows))]
        line = f"history {length['history']:6}: martlet p50 {length['p50_us']:.1f} us p99 {length['p99_us']:.1f} us " \
               f"cosine {min(map(cosine, ours, truth)):.7f}"
        for name, solve in sides.items():
            times, cosines = [], []
            for repeat in range(max(1, 400 // len(rows))):
                for n in range(len(rows)):
                    start = time.perf_counter()
                    answer = np.asarray(solve(n), np.float64).ravel()
                    times.append((time.perf_counter() - start) * 1e6)
                    if repeat == 0:
                        cosines.append(cosine(answer, truth[n]))
            times.sort()
            line += f" | {name} p50 {statistics.median(times):.1f} us p99 {times[int(len(times) * .99)]:.1f} us " \
                    f"cosine {min(cosines):.7f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
