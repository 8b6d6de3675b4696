#!/usr/bin/env python3
"""Is ALS as fast and as good as the `implicit` library at the same rank, iterations and threads?

    swift build -c release --product factor-bench
    pip install implicit==0.7.3 numpy scipy
    Bench/compare_als.py --data FOLDER     # a folder with train.txt, valid.txt and test.txt: `user item item ...` lines

Both sides fit the same matrix. Each is tuned on valid.txt (a cut of train.txt) over a grid of equal size, fitted again on
all of train.txt, and measured on test.txt: recall@k and ndcg@k over all items, those of the training part removed. Times
are medians over the iterations of a fit, fits of the two sides in turn; beside wall time stands CPU time, which other work
on the machine disturbs less.
"""
import argparse, json, os, resource, statistics, struct, subprocess, sys, tempfile

os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy as np
import scipy.sparse as sp


def read(path, shape=None):
    users, items = [], []
    with open(path) as lines:
        for line in lines:
            user, *rest = line.split() or [None]
            users += [int(user)] * len(rest) if rest else []
            items += map(int, rest)
    matrix = sp.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    matrix.sort_indices()
    return matrix


def write_matrix(matrix, path):
    with open(path, "wb") as file:
        file.write(struct.pack("<qqq", *matrix.shape, matrix.nnz))
        file.write(matrix.indptr.astype("<i8").tobytes())
        file.write(matrix.indices.astype("<u4").tobytes())


def quality(users, items, train, test, k, every=1):
    discounts = 1 / np.log2(np.arange(k) + 2)
    ideals = np.cumsum(discounts)
    asked = np.flatnonzero(np.diff(test.indptr) > 0)[::every]
    recall = ndcg = 0.0
    for first in range(0, len(asked), 512):
        block = asked[first:first + 512]
        scores = users[block] @ items.T
        for row, user in enumerate(block):
            scores[row, train.indices[train.indptr[user]:train.indptr[user + 1]]] = -np.inf
        top = np.argpartition(-scores, k, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1)
        top = np.take_along_axis(top, order, 1)
        for row, user in enumerate(block):
            wanted = test.indices[test.indptr[user]:test.indptr[user + 1]]
            hits = np.isin(top[row], wanted)
            recall += hits.sum() / len(wanted)
            ndcg += (hits * discounts).sum() / ideals[min(k, len(wanted)) - 1]
    return recall / len(asked), ndcg / len(asked)


class Implicit:
    name = "implicit"

    def __init__(self, arguments):
        self.arguments = arguments

    def fit(self, matrix, rank, regularization, unobserved):
        from implicit.als import AlternatingLeastSquares
        times = []
        # It weighs an unobserved pair 1 and an observed one alpha.
        model = AlternatingLeastSquares(
            factors=rank, regularization=regularization, alpha=1 / unobserved, iterations=self.arguments.iterations,
            num_threads=self.arguments.threads, use_gpu=False, use_cg=True, random_state=1, dtype=np.float32,
            calculate_training_loss=False)
        before = cpu(resource.RUSAGE_SELF)
        model.fit(matrix, show_progress=False, callback=lambda _, seconds, *rest: times.append(seconds))
        used = cpu(resource.RUSAGE_SELF) - before
        return model.user_factors, model.item_factors, statistics.median(times), used / self.arguments.iterations

    # Regularisation is the same for every row here, in units of the unobserved weight 1.
    grid = [(r, u) for u in (0.01, 0.02, 0.05, 0.1) for r in (0.01, 1.0, 10.0)]


class Martlet:
    name = "martlet"

    def __init__(self, arguments):
        self.arguments = arguments

    def fit(self, matrix, rank, regularization, unobserved):
        with tempfile.TemporaryDirectory() as folder:
            write_matrix(matrix, f"{folder}/matrix")
            before = cpu(resource.RUSAGE_CHILDREN)
            output = subprocess.run(
                [self.arguments.factor_bench, "--matrix", f"{folder}/matrix", "--output", folder, "--rank", str(rank),
                 "--iterations", str(self.arguments.iterations), "--threads", str(self.arguments.threads),
                 "--regularization", str(regularization), "--unobserved-weight", str(unobserved)],
                check=True, capture_output=True, text=True).stdout
            used = cpu(resource.RUSAGE_CHILDREN) - before
            users, items = (np.fromfile(f"{folder}/{name}.f32", np.float32).reshape(-1, rank) for name in ("users", "items"))
        # Its CPU time holds reading the matrix and writing the factors too.
        return users, items, json.loads(output)["seconds_per_iteration"], used / self.arguments.iterations

    grid = [(r, u) for u in (0.01, 0.02, 0.05, 0.1) for r in (0.0003, 0.001, 0.003)]


def cpu(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rank", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--iterations", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-k", type=int, default=20)
    parser.add_argument("--every", type=int, default=1, help="tune on every n-th user: quicker, and the choice is noisier")
    parser.add_argument("--no-tuning", action="store_true", help="only time, with middling settings")
    parser.add_argument("--factor-bench", default=".build/release/factor-bench")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    train, test = read(f"{arguments.data}/train.txt"), read(f"{arguments.data}/test.txt")
    shape = tuple(max(a, b) for a, b in zip(train.shape, test.shape))
    train.resize(shape), test.resize(shape)
    sides = [Implicit(arguments), Martlet(arguments)]
    report = []
    for rank in arguments.rank:
        best = {side.name: side.grid[4] for side in sides}
        if not arguments.no_tuning:
            valid = read(f"{arguments.data}/valid.txt", shape)
            rest = (train - valid).tocsr()
            rest.eliminate_zeros()
            rest.sort_indices()
            for side in sides:
                scored = []
                for settings in side.grid:
                    users, items, *_ = side.fit(rest, rank, *settings)
                    recall, ndcg = quality(users, items, rest, valid, arguments.k, arguments.every)
                    scored.append((ndcg, recall, settings))
                    print(f"rank {rank} {side.name} regularization {settings[0]} unobserved {settings[1]}: "
                          f"valid recall {recall:.4f} ndcg {ndcg:.4f}", flush=True)
                best[side.name] = max(scored)[2]
        runs = {side.name: [] for side in sides}
        last = {}
        for _ in range(arguments.repeats):
            for side in sides:
                users, items, wall, used = side.fit(train, rank, *best[side.name])
                runs[side.name].append((wall, used))
                last[side.name] = users, items
        row = {"rank": rank, "threads": arguments.threads, "iterations": arguments.iterations}
        for side in sides:
            recall, ndcg = quality(*last[side.name], train, test, arguments.k)
            wall, used = (statistics.median(run[n] for run in runs[side.name]) for n in (0, 1))
            row[side.name] = {
                "regularization": best[side.name][0], "unobserved": best[side.name][1], f"recall@{arguments.k}": recall,
                f"ndcg@{arguments.k}": ndcg, "seconds_per_iteration": wall, "cpu_seconds_per_iteration": used,
                "runs": runs[side.name]}
            print(f"rank {rank} {side.name}: {wall:.4f} s/iteration, {used:.4f} CPU s/iteration, test recall@{arguments.k} "
                  f"{recall:.4f} ndcg@{arguments.k} {ndcg:.4f}", flush=True)
        row["time_ratio"] = row["martlet"]["seconds_per_iteration"] / row["implicit"]["seconds_per_iteration"]
        row["cpu_ratio"] = row["martlet"]["cpu_seconds_per_iteration"] / row["implicit"]["cpu_seconds_per_iteration"]
        print(f"rank {rank}: martlet takes {row['time_ratio']:.2f} of implicit's wall time, "
              f"{row['cpu_ratio']:.2f} of its CPU time", flush=True)
        report.append(row)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
