#!/usr/bin/env python3
"""Question: what is gained by ranking the candidates of several requests together?

Two nodes with the same bundle, which must have a ranker, stand on the same core and are asked in turns: one ranks each
request alone (ranking.batch_requests=1), one as it does by default. Recommend past the result cache, retrieval cheap (popular
items), 2, 10 and 200 rows a request; mixed10 has the bundle's own sources. For each: the rate of a closed loop, the node's processor time for each
answer, p50 and p99 at a rate that the node without batches just holds, and p50 of an idle node (one call at a time).

    martlet train --ranker deepfm --ranker-hidden 400,400,400 --force-ranker --input ratings.csv --output bundle
    Bench/batching.py --bundle bundle
"""
import os
import subprocess

import harness

# A scenario's name, rows that are ranked, and its sources; the bundle's own mix costs more than ranking ten rows.
SCENARIOS = """
scenarios:
  default: {k: 10, ranker: required, rank_candidates: 200}
  rows2: {retrieval: {normalisation: zscore, sources: [{source: popular, limit: 10, weight: 1}]}, rank_candidates: 2}
  rows10: {retrieval: {normalisation: zscore, sources: [{source: popular, limit: 10, weight: 1}]}, rank_candidates: 10}
  rows200: {retrieval: {normalisation: zscore, sources: [{source: popular, limit: 200, weight: 1}]}, rank_candidates: 200}
  mixed10: {rank_candidates: 10}
  mixed200: {rank_candidates: 200}
"""


def users(options):
    """A file of users that the bundle knows, each with a history."""
    place = os.path.join(options.work, f"batching-users-{os.getpid()}.txt")
    listed = subprocess.run([options.martlet, "model", "users", options.bundle, "-n", "20000"],
                            stdout=subprocess.PIPE, text=True, check=True).stdout
    with open(place, "w") as file:
        file.writelines(line.split("\t")[0] + "\n" for line in listed.splitlines())
    return place


def closed(options, node, common, connections, in_flight):
    before = node.metrics()
    report, spent = harness.measured(
        node.pid, lambda: harness.load(options, node, "--closed", in_flight, "--connections", connections, *common,
                                       seconds=options.seconds))
    if report["failed"]:
        raise SystemExit(f"calls failed: {report['errors']}")
    after = node.metrics()

    def change(name):
        return after[name] - before.get(name, 0)

    batches = max(change("martlet_microbatch_rows_count"), 1)
    return {
        "rate": report["throughput"],
        "processor_microseconds": spent / max(change('martlet_requests_total{method="Recommend",code="OK"}'), 1) * 1e6,
        "p50": report["client"]["microseconds"]["p50"], "p99": report["client"]["microseconds"]["p99"],
        "rows_of_batch": change("martlet_microbatch_rows_sum") / batches,
        "requests_of_batch": change("martlet_microbatch_requests_sum") / batches,
    }


def opened(options, node, common, rate, connections):
    report = harness.load(options, node, "--rate", rate, "--connections", connections, *common,
                          seconds=options.seconds)
    return {"p50": report["client"]["microseconds"]["p50"], "p99": report["client"]["microseconds"]["p99"],
            "failed": report["failed"]}


def main():
    flags = harness.parser(__doc__)
    flags.add_argument("--connections", type=int, default=16)
    flags.add_argument("--in-flight", type=int, default=2, help="on each connection, in the closed loop")
    flags.add_argument("--precision", default="f32", help="ranker_precision of the nodes")
    flags.add_argument("--scenarios", default="rows2,rows10,rows200,mixed10")
    flags.add_argument("--share", type=float, default=0.8, help="of the rate without batches, in the open loop")
    flags.add_argument("--alone", action="append", help="a setting of the node beside it; default: ranking.batch_requests=1")
    flags.add_argument("--set", action="append", default=[], help="a setting of the node with batches")
    options = flags.parse_args()
    if not options.bundle:
        raise SystemExit("--bundle names the bundle to serve: one with a ranker (see --help)")
    harness.check(options)
    harness.warn_if_busy()
    configuration = os.path.join(options.work, f"batching-{os.getpid()}.yaml")
    with open(configuration, "w") as file:
        file.write(SCENARIOS)
    listed = users(options)
    os.environ["MARTLET_CONFIG"] = configuration
    settings = ["cache.bytes=0", f"ranker_precision={options.precision}"]
    figures = {}
    try:
        with harness.Node(options, options.bundle, settings=settings + (options.alone or ["ranking.batch_requests=1"]), name="alone") as one, \
                harness.Node(options, options.bundle, settings=settings + options.set, name="batched") as many:
            nodes = {"alone": one, "batched": many}
            for scenario in options.scenarios.split(","):
                common = ["--bypass-cache", "--users-file", listed, "--zipf", 0, "--k", 10, "--scenario", scenario,
                          "--warmup", 1]
                rounds = {name: [] for name in nodes}
                for turn in range(options.rounds):
                    for name, node in nodes.items():
                        entry = closed(options, node, common, options.connections, options.in_flight)
                        idle = closed(options, node, common, 1, 1)
                        entry["idle_p50"], entry["idle_p99"] = idle["p50"], idle["p99"]
                        rounds[name].append(entry)
                    rate = options.share * rounds["alone"][-1]["rate"]
                    for name, node in nodes.items():
                        open_loop = opened(options, node, common, rate, options.connections)
                        rounds[name][-1] |= {f"open_{key}": value for key, value in open_loop.items()}
                    harness.say(f"{scenario}, round {turn + 1}: {rounds['alone'][-1]['rate']:,.0f}/s alone, "
                                f"{rounds['batched'][-1]['rate']:,.0f}/s batched")
                figures[scenario] = {
                    name: {key: harness.median([entry[key] for entry in entries]) for key in entries[0]}
                    for name, entries in rounds.items()}
                figures[scenario]["ratio_by_round"] = [
                    many["rate"] / one["rate"] for one, many in zip(rounds["alone"], rounds["batched"])]
    finally:
        os.remove(configuration)
        os.remove(listed)
    rows = []
    for scenario, entry in figures.items():
        for name in ("alone", "batched"):
            found = entry[name]
            rows.append([f"{scenario} {name}", f"{found['rate']:,.0f}", f"{found['rate'] / entry['alone']['rate']:.2f}",
                         f"{found['processor_microseconds']:.0f}",
                         f"{entry['alone']['processor_microseconds'] / found['processor_microseconds']:.2f}", f"{found['p50']:.0f}", f"{found['p99']:.0f}",
                         f"{found['open_p50']:.0f}", f"{found['open_p99']:.0f}", f"{found['idle_p50']:.0f}",
                         f"{found['rows_of_batch']:.0f}", f"{found['requests_of_batch']:.1f}"])
    harness.table(["", "calls/s", "x", "CPU us", "x", "p50 us", "p99 us", f"p50 at {options.share:.0%}", "p99", "p50 idle",
                   "rows", "requests"], rows)
    harness.publish(options, {"precision": options.precision, "scenarios": figures})


if __name__ == "__main__":
    main()
