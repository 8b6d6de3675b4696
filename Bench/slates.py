#!/usr/bin/env python3
"""Question: what does the slate log cost, and how large is a slate in it?

Three nodes with the same bundle stand on the same core and are asked in turns: one logs no slate, one a hundredth, one all. For
answers that are made (past the result cache) and for those that the cache gives out again: the rate of a closed loop, the node's processor time
for each answer, p50 and p99 at half the rate of the node that logs nothing, and, of the node that logs all, bytes of a slate and how many were dropped.

    martlet train --ranker deepfm --force-ranker --input ratings.csv --output bundle
    Bench/slates.py --bundle bundle
"""
import os
import shutil
import subprocess

import harness

SAMPLES = (0, 0.01, 1)


def total(metrics, name):
    return sum(value for key, value in metrics.items() if key.startswith(name))


def main():
    flags = harness.parser(__doc__)
    flags.add_argument("--connections", type=int, default=8)
    flags.add_argument("--in-flight", type=int, default=2, help="on each connection, in the closed loop")
    flags.add_argument("--share", type=float, default=0.5, help="of the rate without a log, in the open loop")
    options = flags.parse_args()
    if not options.bundle:
        raise SystemExit("--bundle names the bundle to serve: one with a ranker (see --help)")
    harness.check(options)
    harness.warn_if_busy()
    place = os.path.join(options.work, f"slates-{os.getpid()}")
    os.makedirs(place)
    listed = os.path.join(place, "users.txt")
    users = subprocess.run([options.martlet, "model", "users", options.bundle, "-n", "2000"],
                           stdout=subprocess.PIPE, text=True, check=True).stdout
    with open(listed, "w") as file:
        file.writelines(line.split("\t")[0] + "\n" for line in users.splitlines())
    figures = {}
    nodes = {}
    try:
        for sample in SAMPLES:
            folder = os.path.join(place, f"log-{sample}")
            nodes[sample] = harness.Node(
                options, options.bundle, name=f"sample-{sample}",
                settings=[f"slates.sample={sample}", f"slates.directory={folder}"]).__enter__()
        for kind, extra in (("made", ["--bypass-cache"]), ("cached", [])):
            rounds = {sample: [] for sample in SAMPLES}
            for turn in range(options.rounds):
                for sample, node in nodes.items():
                    common = ["--users-file", listed, "--zipf", 0, "--k", 20, "--warmup", 1, *extra]
                    before = node.metrics()
                    report, spent = harness.measured(
                        node.pid, lambda: harness.load(options, node, "--closed", options.in_flight, "--connections",
                                                       options.connections, *common, seconds=options.seconds))
                    after = node.metrics()
                    answers = total(after, 'martlet_requests_total{method="Recommend"') \
                        - total(before, 'martlet_requests_total{method="Recommend"')
                    rounds[sample].append({
                        "rate": report["throughput"], "processor_microseconds": spent / max(answers, 1) * 1e6,
                        "logged": after['martlet_slates_total{outcome="logged"}'] - before['martlet_slates_total{outcome="logged"}'],
                        "dropped": after['martlet_slates_total{outcome="dropped"}'] - before['martlet_slates_total{outcome="dropped"}'],
                        "bytes": after["martlet_slate_log_written_bytes_total"] - before["martlet_slate_log_written_bytes_total"],
                        "failed": report["failed"]})
                rate = options.share * rounds[0][-1]["rate"]
                for sample, node in nodes.items():
                    report = harness.load(options, node, "--rate", rate, "--connections", options.connections, *common,
                                          seconds=options.seconds)
                    rounds[sample][-1] |= {"p50": report["client"]["microseconds"]["p50"],
                                           "p99": report["client"]["microseconds"]["p99"]}
                harness.say(f"{kind}, round {turn + 1}: " + ", ".join(
                    f"{sample}: {rounds[sample][-1]['rate']:,.0f}/s" for sample in SAMPLES))
            figures[kind] = {str(sample): {key: harness.median([entry[key] for entry in entries]) for key in entries[0]}
                             for sample, entries in rounds.items()}
    finally:
        for node in nodes.values():
            node.__exit__(None, None, None)
        shutil.rmtree(place)
    rows = []
    for kind, entry in figures.items():
        for sample, found in entry.items():
            size = f"{found['bytes'] / found['logged']:,.0f}" if found["logged"] else ""
            rows.append([f"{kind} {sample}", f"{found['rate']:,.0f}", f"{found['rate'] / entry['0']['rate']:.2f}",
                         f"{found['processor_microseconds']:.1f}", f"{found['p50']:.0f}", f"{found['p99']:.0f}",
                         f"{found['logged']:,.0f}", f"{found['dropped']:,.0f}", size])
    harness.table(["", "calls/s", "x", "CPU us", f"p50 at {options.share:.0%}", "p99", "logged", "dropped", "bytes"], rows)
    harness.publish(options, {"slates": figures})


if __name__ == "__main__":
    main()
