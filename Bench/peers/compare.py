#!/usr/bin/env python3
"""Question: how does Martlet's index stand beside the libraries that one would pick instead, at equal recall?

Measures each library (measure.py: one pinned core, one query after the other) and Martlet's own tool on the same rows,
queries and truth, each in a process of its own, one after the other; --rounds goes through all of them again, so that no
library has the quiet minutes to itself. Prints, for each recall wanted, the queries per second of each library (between
the two neighbouring points of its frontier; the median of its builds) and how many times as many Martlet answers, and
draws all curves into one plot.

--martlet [NAME=]FILE takes a report of Martlet's tool instead of running it: an object with "points", each
with index, k, recall, recallByNorm, qps, cpuQPS, p50, p99; those under a filter ("eligible") are left out. --martlet-command runs another: {rows} {queries} {truth} {metric} {k} {count} {core}
are filled in; a report is read from {json} where the command names it, else from standard output.

usage: compare.py --rows X.fbin --queries Q.fbin --metric inner_product --svg curves.svg --json figures.json
Needs taskset and, for a new environment (--venv keeps one), PyPI.
"""
import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import curves
import harness

COMMAND = ("taskset -c {core} " + shlex.quote(os.path.join(harness.ROOT, ".build", "release", "martlet-bench"))
           + " index --rows {rows} --queries {queries} --truth {truth} --metric {metric} --k {k} --query-count {count} --json {json}"
           " --confidence 1,.9,.85,.8,.75,.7,.65,.6,.55,.5"
           " --ef 10,12,16,20,24,32,40,48,64,80,96,128,160,192,256,320,384,512,768,1024,1536,2048")


def arguments():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--rows", required=True, help="vectors: .fbin, .fvecs, .bvecs, .npy, idx3-ubyte")
    flags.add_argument("--queries", required=True)
    flags.add_argument("--truth", help="true neighbours (.ibin); made where missing (default: in --work)")
    flags.add_argument("--metric", default="inner_product", choices=["inner_product", "cosine", "l2"])
    flags.add_argument("--k", default="10,100")
    flags.add_argument("--libraries", default="hnswlib,faiss_hnsw,faiss_sq8,faiss_ivfpq,usearch,svs,scann")
    flags.add_argument("--martlet", nargs="*", default=[], help="reports of Martlet's tool; it is not run then")
    flags.add_argument("--martlet-command", default=COMMAND, help="how to run it; empty: leave Martlet out")
    flags.add_argument("--targets", default="0.90,0.95,0.99")
    flags.add_argument("--query-count", type=int, default=2000)
    flags.add_argument("--rounds", type=int, default=1)
    flags.add_argument("--builds", type=int, default=3, help="of ScaNN, whose builds differ")
    flags.add_argument("--core", type=int, default=0)
    flags.add_argument("--by", default="qps", choices=["qps", "cpuQPS"], help="cpuQPS: per second of processor time")
    flags.add_argument("--venv", help="an environment to keep and reuse")
    flags.add_argument("--work", help="keep each library's figures here; those that are there are not measured again")
    flags.add_argument("--svg", help="write the plot to this file")
    flags.add_argument("--json", help="write the figures to this file")
    return flags.parse_args()


def environment(place):
    """A Python that has the libraries."""
    python = os.path.join(place, "bin", "python")
    if not os.path.exists(python):
        harness.say(f"making {place} (once)")
        subprocess.check_call([sys.executable, "-m", "venv", place])
        subprocess.check_call([python, "-m", "pip", "install", "-q", "-r", os.path.join(HERE, "requirements.txt")])
    return python


def library(options, python, name, turn):
    """One round of a library: its report; None when it failed."""
    place = os.path.join(options.work, f"{name}-{turn}.json")
    if not os.path.exists(place):
        harness.say(f"round {turn + 1}: {name}")
        command = [python, os.path.join(HERE, "measure.py"), name, "--rows", options.rows, "--queries", options.queries,
                   "--truth", options.truth, "--metric", options.metric, "--k", options.k, "--core", str(options.core),
                   "--query-count", str(options.query_count), "--json", place,
                   "--builds", str(options.builds if name == "scann" else 1)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            harness.say(f"{name} failed and is left out: {done.stderr.strip()[-500:]}")
            return None
    with open(place) as file:
        return json.load(file)


def martlet(options, python, turn):
    """One round of Martlet's tool: its report."""
    place = os.path.join(options.work, f"martlet-{turn}.json")
    if not os.path.exists(place):
        harness.say(f"round {turn + 1}: martlet")
        files = {}
        for name in ("rows", "queries"):
            files[name] = getattr(options, name)
            if files[name].endswith(".npy"):  # numpy reads more types than Martlet
                copy = os.path.join(options.work, name)
                subprocess.check_call([python, os.path.join(HERE, "shapes.py"), "--from-file", files[name], copy])
                files[name] = copy + ".fbin"
        part = place + ".part"
        words = [word.format(truth=options.truth, metric=options.metric, k=options.k, count=options.query_count,
                             core=options.core, json=part, **files) for word in shlex.split(options.martlet_command)]
        try:
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        except OSError as error:
            raise SystemExit(f"{words[0]}: {error.strerror}; --martlet-command says how to run Martlet's tool")
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()[-500:]}\n"
                             "`make bench-load` builds the default tool; --martlet-command names another")
        if "{json}" not in options.martlet_command:
            with open(part, "w") as file:
                file.write(done.stdout)
        os.rename(part, place)
    with open(place) as file:
        return json.load(file)


def own_points(report, name, build):
    """Points of a report of Martlet's tool, under the name of each index in it."""
    return [{**point, "build": build, "index": f"{name} {point['index']}"} for point in report["points"]
            if point.get("eligible") in (None, 1)]


def collect(options, python):
    """Points by the name of their curve, Martlet's first, and what each library said of itself."""
    own, found, reports = {}, {}, {}
    names = [name for name in options.libraries.split(",") if name]
    reports["exact"] = [library(options, python, "exact", 0)]  # first of all, as it makes the truth
    for number, given in enumerate(options.martlet):
        name, _, path = given.rpartition("=")
        with open(path) as file:
            for point in own_points(json.load(file), f"martlet {name}".strip(), number if not name else 0):
                own.setdefault(point["index"], []).append(point)
    for turn in range(options.rounds):
        if options.martlet_command and not options.martlet:
            for point in own_points(martlet(options, python, turn), "martlet", turn):
                own.setdefault(point["index"], []).append(point)
        for name in names:
            report = library(options, python, name, turn)
            if report:
                reports.setdefault(name, []).append(report)
                found.setdefault(name, []).extend(
                    {**point, "build": point["build"] + 1000 * turn} for point in report["points"])
    found["numpy scan"] = reports["exact"][0]["points"] if reports["exact"][0] else []
    return {**dict(sorted(own.items(), key=lambda curve: -len(curve[1]))), **found}, reports


def judged(points, k, targets, rate):
    """What a curve gives at each recall: the rate, the rate of each build, the fastest setting that was measured."""
    points, answer = [point for point in points if point["k"] == k], {}
    for target in targets:
        middle, rates = curves.median_at(points, target, rate)
        answer[f"{target:g}"] = {rate: middle, "builds": rates, "point": curves.reaching(points, target, rate)}
    return answer


def main():
    options = arguments()
    targets, ks = [float(target) for target in options.targets.split(",")], [int(k) for k in options.k.split(",")]
    harness.warn_if_busy()
    with tempfile.TemporaryDirectory() as temporary:
        options.work = options.work or os.path.join(temporary, "figures")
        os.makedirs(options.work, exist_ok=True)
        options.truth = options.truth or os.path.join(options.work, "truth.ibin")
        found, reports = collect(options, environment(options.venv or os.path.join(temporary, "venv")))
    figures = {}
    for k in ks:
        figures[str(k)] = {name: judged(points, k, targets, options.by) for name, points in found.items()}
        best = {f"{target:g}": max((at[f"{target:g}"][options.by] or 0 for name, at in figures[str(k)].items()
                                    if name.startswith("martlet")), default=0) for target in targets}
        rows = []
        for name, at in figures[str(k)].items():
            made = [build for report in reports.get(name, []) for build in report["builds"]]
            row = [name, f"{harness.median([b['seconds'] for b in made]):.1f}" if made else "",
                   harness.megabytes(made[0]["indexBytes"]) if made else ""]
            for target in best:
                rate = at[target][options.by]
                at[target]["martletOver"] = best[target] / rate if rate and best[target] else None
                row += [f"{rate:,.0f}" if rate else "-",
                        f"{at[target]['martletOver']:.2f}" if at[target]["martletOver"] else ""]
            rows.append(row)
        print(f"\n{os.path.basename(options.rows)}, {options.metric}, k={k}: queries/s on one core at each recall, and "
              "how many times as many Martlet's best answers")
        harness.table(["", "build s", "index"] + [cell for target in best for cell in (f"@{target}", "x")], rows)
    if options.svg:
        with open(options.svg, "w") as file:
            title = f"{os.path.basename(options.rows)}, {options.metric}"
            file.write(curves.svg(title, found, ks, options.by, targets))
    harness.publish(options, {"rows": os.path.basename(options.rows), "metric": options.metric, "by": options.by,
                              "at": figures, "reports": reports, "points": found})


if __name__ == "__main__":
    main()
