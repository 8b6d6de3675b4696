#!/usr/bin/env python3
"""Question: how does the index compare with hnswlib 0.8 at equal recall, on the same rows in the same run?

Both build with M=16 and efConstruction=200, then answer the same queries in turns, on one pinned core each in its own
process; medians of the rounds. Rates are per second of processor time, so that a busy machine does not decide; wall-clock
rates stand beside. Queries per second at a recall are interpolated between neighbouring efSearch values.

usage: compare_index.py --bench PATH/martlet-bench --rows X.fbin --queries Q.fbin --truth T.ibin [--metric inner_product]
hnswlib and numpy come from PyPI into a throw-away environment (--venv keeps one).
"""
import argparse, json, math, os, statistics, struct, subprocess, sys, tempfile, time

def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the martlet-bench program, built for release")
    parser.add_argument("--rows", required=True)
    parser.add_argument("--queries", required=True)
    parser.add_argument("--truth", required=True)
    parser.add_argument("--metric", default="inner_product", choices=["inner_product", "l2"])
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--ef", default="10,12,16,20,24,32,40,48,64,80,96,128,160,192,256,320,384,512")
    parser.add_argument("--targets", default="0.90,0.95,0.99")
    parser.add_argument("--query-count", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--build-threads", type=int, default=2)
    parser.add_argument("--venv", help="an environment to keep and reuse")
    parser.add_argument("--json", help="write the points here")
    return parser.parse_args()

def in_environment(a):
    """Runs this script again inside an environment that has hnswlib."""
    with tempfile.TemporaryDirectory() as temporary:
        place = a.venv or temporary
        python = os.path.join(place, "bin", "python")
        if not os.path.exists(python):
            subprocess.check_call([sys.executable, "-m", "venv", place])
        subprocess.check_call([python, "-m", "pip", "install", "-q", "numpy", "hnswlib==0.8.0"])
        sys.exit(subprocess.call([python, os.path.abspath(__file__)] + sys.argv[1:], env={**os.environ, "COMPARE_INNER": "1"}))

def read(path, kind):
    import numpy
    with open(path, "rb") as file:
        rows, columns = struct.unpack("<II", file.read(8))
    return numpy.fromfile(path, dtype=kind, offset=8).reshape(rows, columns)

class Ours:
    name = "martlet"
    def __init__(self, a):
        command = ["taskset", "-c", f"0-{os.cpu_count() - 1}", a.bench, "index", "--turns", "--rows", a.rows, "--queries", a.queries,
                   "--truth", a.truth, "--metric", a.metric, "--indexes", "hnsw", "--k", str(a.k), "--ef", a.ef, "--query-count", str(a.query_count), "--threads", str(a.build_threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        built = json.loads(self.process.stdout.readline())
        graph = built["indexes"]["hnsw"]
        self.build_seconds, self.megabytes = graph["seconds"], graph["bytes"] / 1e6
        subprocess.check_call(["taskset", "-apc", str(a.core), str(self.process.pid)], stdout=subprocess.DEVNULL)
    def ask(self, line):
        self.process.stdin.write(line + "\n"); self.process.stdin.flush()
        p = json.loads(self.process.stdout.readline())
        return p["recall"], p["cpuQPS"], p["qps"]
    def turn(self, k, ef): return self.ask(f"hnsw {k} {ef}")
    def exact(self, k): return self.ask(f"exact {k}")

class Theirs:
    name = "hnswlib"
    def __init__(self, a):
        import hnswlib
        rows, self.queries, self.truth = read(a.rows, "<f4"), read(a.queries, "<f4")[: a.query_count], read(a.truth, "<i4")
        self.index = hnswlib.Index(space="ip" if a.metric == "inner_product" else "l2", dim=rows.shape[1])
        self.index.init_index(len(rows), M=16, ef_construction=200, random_seed=100)
        start = time.perf_counter()
        self.index.add_items(rows, num_threads=a.build_threads)
        self.build_seconds = time.perf_counter() - start
        self.megabytes = self.index.index_file_size() / 1e6 - rows.nbytes / 1e6
        os.sched_setaffinity(0, {a.core})
    def turn(self, k, ef):
        self.index.set_ef(ef)
        wall, cpu = time.perf_counter(), time.thread_time()
        found = self.index.knn_query(self.queries, k=k, num_threads=1)[0]
        cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
        hits = sum(len(set(map(int, row)) & set(map(int, true[:k]))) for row, true in zip(found, self.truth))
        return hits / (len(found) * k), len(found) / cpu, len(found) / wall

def at_recall(points, target):
    """The rate at `target`, between the two neighbouring points (log-linear); None when it is out of reach."""
    for low, high in zip(points, points[1:]):
        if low[1] <= target <= high[1]:
            share = 0 if high[1] == low[1] else (target - low[1]) / (high[1] - low[1])
            return math.exp(math.log(low[2]) * (1 - share) + math.log(high[2]) * share)
    return points[0][2] if points and points[0][1] >= target else None

def main():
    a = arguments()
    if not os.environ.get("COMPARE_INNER"):
        in_environment(a)
    libraries = [Ours(a), Theirs(a)]
    efs, points = [int(x) for x in a.ef.split(",") if int(x) >= a.k], {library.name: [] for library in libraries}
    for ef in efs:
        rounds = {library.name: [] for library in libraries}
        for _ in range(a.rounds):
            for library in libraries:
                rounds[library.name].append(library.turn(a.k, ef))
        for name, turns in rounds.items():
            points[name].append((ef, turns[0][0], statistics.median(t[1] for t in turns), statistics.median(t[2] for t in turns)))
        print(f"ef {ef:5d}", *(f"| {n} recall {p[-1][1]:.4f} {p[-1][2]:9.0f}/cpu-s {p[-1][3]:9.0f}/s" for n, p in points.items()), flush=True)
        if all(p[-1][1] > 0.995 for p in points.values()):
            break
    scans = [libraries[0].exact(a.k) for _ in range(a.rounds)]
    scan = statistics.median(s[1] for s in scans)
    print(f"\n{os.path.basename(a.rows)}, k={a.k}, one core, load average {os.getloadavg()[0]:.1f}")
    for library in libraries:
        print(f"{library.name}: built in {library.build_seconds:.1f} s on {a.build_threads} threads, {library.megabytes:.1f} MB beside the rows")
    print(f"exact scan: {scan:.0f} queries per CPU second")
    print("| recall | martlet /cpu-s | hnswlib /cpu-s | ratio |\n|---|---:|---:|---:|")
    for target in map(float, a.targets.split(",")):
        ours, theirs = (at_recall(points[library.name], target) for library in libraries)
        show = lambda x: "out of reach" if x is None else f"{x:.0f}"
        print(f"| {target:.2f} | {show(ours)} | {show(theirs)} | {'' if None in (ours, theirs) else f'{ours / theirs:.2f}'} |")
    if a.json:
        with open(a.json, "w") as file:
            json.dump({"rows": a.rows, "k": a.k, "exact": scan, "points": points}, file, indent=1)

main()
