#!/usr/bin/env python3
"""Question: how many queries per second does this library answer at which recall, on one core?

Builds one library's index on the rows, sweeps its settings, and prints a point for each that is worth having: recall@k
(in total, and for each fifth of the true neighbours by their rows' norm, the smallest first), queries per second (also
per second of processor time: what an idle machine would give), p50 and p99 of single calls in microseconds.

Queries are answered one after the other on one thread, pinned to --core after the build. Where the library walks through
a batch query by query, the rate is that of one call with all queries, which leaves the cost of Python out; where it would
share work between the queries of a batch, the rate is that of a Python loop ("timed" in the output says which). A first
pass asks every setting once; those near the frontier are then repeated in rounds, and medians are told. A sweep ends
where an exact scan would be as fast (or under --slowest).

usage: measure.py LIBRARY --rows X.fbin --queries Q.fbin [--truth T.ibin] --metric inner_product --k 10,100 --json OUT
Needs the packages of requirements.txt; compare.py makes an environment that has them.
"""
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin for a core in use make faiss train 20 times as long

import argparse
import gc
import json
import statistics
import sys
import time

import numpy

import curves
import vectors
from libraries import LIBRARIES


def arguments():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("library", choices=LIBRARIES)
    flags.add_argument("--rows", required=True)
    flags.add_argument("--queries", required=True)
    flags.add_argument("--truth", help="true neighbours; made where missing (default: beside the rows)")
    flags.add_argument("--metric", default="inner_product", choices=["inner_product", "cosine", "l2"])
    flags.add_argument("--k", default="10,100")
    flags.add_argument("--core", type=int, default=0, help="the core that searches")
    flags.add_argument("--query-count", type=int, default=2000)
    flags.add_argument("--repeats", type=int, default=3, help="rounds over the points near the frontier")
    flags.add_argument("--builds", type=int, default=1, help="indexes built and measured one after the other")
    flags.add_argument("--build-threads", type=int, default=2)
    flags.add_argument("--slowest", type=float, default=0, help="queries/s under which a sweep ends")
    flags.add_argument("--json", help="write the figures to this file")
    return flags.parse_args()


def pin(cores):
    """All threads of this process, also those that a library keeps."""
    for thread in os.listdir("/proc/self/task"):
        try:
            os.sched_setaffinity(int(thread), cores)
        except ProcessLookupError:
            pass


def resident_bytes():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def hits(found, true):
    """For each query and each of its true neighbours: was it found?"""
    answer = numpy.empty(true.shape, bool)
    for start in range(0, len(true), 100):
        part = slice(start, start + 100)
        answer[part] = (true[part, :, None] == found[part, None, :]).any(2)
    return answer


class Sweep:
    """One build of a library and the queries that it is asked."""

    def __init__(self, library, queries, true, norms):
        self.library, self.queries, self.true, self.norms = library, queries, true, norms
        self.single = [queries[i:i + 1] for i in range(len(queries))]

    def walk(self, k):
        """One call for all queries: rates by the wall's clock and the processor's, and what was found."""
        cpu, wall = time.process_time(), time.perf_counter()
        found = self.library.batch(self.queries, k)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return len(self.queries) / wall, len(self.queries) / cpu, found

    def loop(self, k):
        """A call for each query: the rates, what was found, and the calls' seconds."""
        ask, clock, found, times = self.library.single, time.perf_counter, [], []
        cpu, start = time.process_time(), clock()
        last = start
        for query in self.single:
            found.append(ask(query, k))
            now = clock()
            times.append(now - last)
            last = now
        cpu = time.process_time() - cpu
        return len(times) / (last - start), len(times) / cpu, numpy.concatenate(found), times

    def once(self, k, setting):
        """A first look at a setting."""
        self.library.apply(setting)
        rate, cpu, found = self.walk(k) if self.library.walks else self.loop(k)[:3]
        found = numpy.asarray(found)[:, :k].astype("i8")
        hit = hits(found, self.true[:, :k])
        edges = numpy.quantile(self.norms[:, :k], [0.2, 0.4, 0.6, 0.8])
        fifth = numpy.digitize(self.norms[:, :k], edges)
        by_norm = [round(float(hit[fifth == i].mean()), 4) if (fifth == i).any() else None for i in range(5)]
        return {"k": k, **setting, "recall": round(float(hit.mean()), 5), "recallByNorm": by_norm, "qps": rate}

    def scan(self, k, slowest):
        """All settings once, less those that cannot be worth it."""
        points, groups = [], self.library.settings(k)
        for group in groups:
            before = None
            for setting in group:
                try:
                    point = self.once(k, setting)
                except RuntimeError as error:  # hnswlib's way to say that it found fewer than k
                    print(f"  {setting}: {error}", file=sys.stderr)
                    continue
                points.append(point)
                if point["qps"] < slowest or (before and point["recall"] < before + 0.0002):
                    break
                before = point["recall"]
            if points and (points[-1]["recall"] > 0.9985 or (points[-1]["qps"] < slowest and len(group) == 1)):
                break
        return curves.frontier(points, slack=1.2) if any(len(group) > 1 for group in groups) else points

    def repeat(self, points, repeats):
        """Fills in the medians of rounds over all points."""
        rounds = [[] for _ in points]
        for _ in range(repeats):
            for point, turns in zip(points, rounds):
                self.library.apply(setting(point))
                walked = self.walk(point["k"])[:2] if self.library.walks else None
                looped = self.loop(point["k"])
                turns.append((*(walked or looped[:2]), looped[0], *numpy.percentile(looped[3], [50, 99]) * 1e6))
        for point, turns in zip(points, rounds):
            for name, values in zip(("qps", "cpuQPS", "loopQPS", "p50", "p99"), zip(*turns)):
                point[name] = round(float(statistics.median(values)), 1)
            rates = [turn[0] for turn in turns]
            point["spread"] = round((max(rates) - min(rates)) / statistics.median(rates), 3)


def setting(point):
    """The library's own part of a point."""
    ours = ("k", "recall", "recallByNorm", "qps", "cpuQPS", "loopQPS", "p50", "p99", "spread")
    return {name: value for name, value in point.items() if name not in ours}


def main():
    options = arguments()
    ks = [int(k) for k in options.k.split(",")]
    rows, queries = vectors.read(options.rows), vectors.read(options.queries)[:options.query_count]
    norms = numpy.linalg.norm(rows, axis=1)
    if options.metric == "cosine":
        rows, queries = vectors.normalised(rows), vectors.normalised(queries)
    stem = os.path.splitext(options.rows)[0]
    place = options.truth or f"{stem}.{os.path.basename(os.path.splitext(options.queries)[0])}.{options.metric}.truth.ibin"
    true = vectors.truth(place, rows, queries, options.metric, max(ks))
    everywhere = os.sched_getaffinity(0)
    points, made = [], []
    for build in range(options.builds):
        pin(everywhere)
        library = LIBRARIES[options.library](rows, options.metric, options.build_threads)
        before, cpu, start = resident_bytes(), time.process_time(), time.perf_counter()
        library.build()
        made.append({"seconds": round(time.perf_counter() - start, 2), "cpuSeconds": round(time.process_time() - cpu, 2),
                     "residentGrowthBytes": resident_bytes() - before, "indexBytes": library.saved_bytes()})
        print(f"{options.library} {library.version}: {len(rows)} rows x {rows.shape[1]}, {options.metric}, built in "
              f"{made[-1]['seconds']} s, index {made[-1]['indexBytes'] / 1e6:.1f} MB, resident memory grew by "
              f"{made[-1]['residentGrowthBytes'] / 1e6:.1f} MB", flush=True)
        pin({options.core})
        sweep = Sweep(library, queries, true, norms[true])
        gc.disable()
        for k in ks:
            found = sweep.scan(k, options.slowest or max(250, 4e9 / rows.size))
            sweep.repeat(found, options.repeats)
            for point in found:
                print(f"  k={k} {setting(point)} recall {point['recall']:.4f} {point['qps']:9.0f}/s {point['cpuQPS']:9.0f}"
                      f"/cpu-s, loop {point['loopQPS']:9.0f}/s, p50 {point['p50']:.1f} us, p99 {point['p99']:.1f} us",
                      flush=True)
            points += [{"index": options.library, "build": build, **point} for point in found]
        gc.enable()
    report = {
        "library": options.library, "version": library.version, "recipe": getattr(library, "recipe", None),
        "timed": "one call that walks the queries" if library.walks else "a Python call for each query",
        "rows": len(rows), "dimension": rows.shape[1], "metric": options.metric, "queries": len(queries),
        "buildThreads": options.build_threads, "core": options.core, "loadAverage": os.getloadavg(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "builds": made, "points": points}
    if options.json:
        with open(options.json, "w") as file:
            json.dump(report, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
