#!/usr/bin/env python3
"""Question: what does an answer from the result cache cost over the wire, beside a GET from Redis in the same run?

Four measurements in turns, several rounds, medians: redis-benchmark -c 64 GET of a 256-byte value with -P 16 and
without pipelining; martlet-bench with 64 connections and 16 calls in flight on each, and 1. The server is pinned to one
core, the load tool to another. A Martlet answer holds 20 items and comes from the L1 cache (the share is printed).

Beside the rate stands the rate for each second of the server's processor time: it says what the server costs even when
the load tool or a busy machine is the limit. Redis is skipped, by name, where it is not installed.
"""
import shutil
import socket
import subprocess
import time

import harness


class Redis:
    """A redis-server of this script, with the value that redis-benchmark asks for."""

    def __init__(self, options):
        self.options = options
        self.port = harness.free_port()
        self.process = subprocess.Popen(
            harness.pinned(options.node_core, ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                                               "--appendonly", "no", "--daemonize", "no", "--dir", options.work]),
            stdout=subprocess.DEVNULL)
        self.pid = self.process.pid

    def __enter__(self):
        for _ in range(500):
            time.sleep(0.02)
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as peer:
                    # The one key that the GET below asks for.
                    peer.sendall(b"SET key:__rand_int__ " + b"x" * 256 + b"\r\n")
                    if peer.recv(16).startswith(b"+OK"):
                        return self
            except OSError:
                pass
        self.__exit__()
        raise SystemExit("redis-server did not start")

    def __exit__(self, *_):
        harness.stop(self.process)

    def measure(self, pipeline, seconds):
        def run(count):
            command = ["redis-benchmark", "-p", str(self.port), "-c", "64", "-P", str(pipeline), "-d", "256", "-t", "get",
                       "-n", str(count), "--csv"]
            done = subprocess.run(
                harness.pinned(self.options.tool_core, command), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                text=True, check=True, timeout=60 + 20 * seconds)
            return float([line for line in done.stdout.splitlines() if "GET" in line][0].split('","')[1].strip('"'))

        rate = run(20_000 * pipeline)
        count = max(int(rate * seconds), 1000)
        rate, spent = harness.measured(self.pid, lambda: run(count))
        return {"rate": rate, "per_processor_second": count / max(spent, 1e-9)}


def martlet(options, node, in_flight):
    report, spent = harness.measured(
        node.pid,
        lambda: harness.load(options, node, "--closed", in_flight, "--connections", 64, "--users", 1000, "--zipf", 0,
                             "--warmup", 0.5, seconds=options.seconds))
    answers = report["throughput"] * (report["durationSeconds"] + 0.5)
    if report["failed"]:
        raise SystemExit(f"calls failed: {report['errors']}")
    return {"rate": report["throughput"], "per_processor_second": answers / max(spent, 1e-9),
            "cached_share": report["cachedShare"], "tool_cores": report["toolCores"],
            "p50": report["client"]["microseconds"]["p50"], "p99": report["client"]["microseconds"]["p99"],
            "bytes_per_answer": report["bytesReceived"] / max(report["throughput"] * report["durationSeconds"], 1)}


def main():
    flags = harness.parser(__doc__)
    options = flags.parse_args()
    harness.check(options)
    harness.warn_if_busy()
    bundle = harness.bundle(options, 20_000, 10_000)
    has_redis = shutil.which("redis-server") is not None and shutil.which("redis-benchmark") is not None
    if not has_redis:
        harness.say("redis-server or redis-benchmark is not installed: the comparison is skipped")
    found = {}

    def note(name, figures):
        found.setdefault(name, []).append(figures)
        harness.say(f"  {name}: {figures['rate']:,.0f}/s, {figures['per_processor_second']:,.0f} per processor second")

    with harness.Node(options, bundle, shards=1) as node:
        harness.load(options, node, "--closed", 4, "--order", "sequential", "--users", 1000, "--requests", 2000)
        for turn in range(options.rounds):
            harness.say(f"round {turn + 1} of {options.rounds}")
            # One server runs at a time on the core: the other is idle, but Redis is started anew for each round.
            for pipeline in (16, 1):
                if has_redis:
                    with Redis(options) as redis:
                        note(f"redis GET, {pipeline} in flight", redis.measure(pipeline, options.seconds))
                note(f"martlet L1 hit, {pipeline} in flight", martlet(options, node, pipeline))
    summary = {}
    rows = []
    for name, rounds in found.items():
        middle = {key: harness.median([entry[key] for entry in rounds]) for key in rounds[0]}
        summary[name] = {"median": middle, "rounds": rounds}
        rates = [entry["rate"] for entry in rounds]
        rows.append([name, f"{middle['rate']:,.0f}", f"{min(rates):,.0f} to {max(rates):,.0f}",
                     f"{middle['per_processor_second']:,.0f}",
                     f"{middle['cached_share'] * 100:.2f} %" if "cached_share" in middle else "-"])
    print(f"medians of {options.rounds} rounds; 64 connections, server on core {options.node_core}, "
          f"load tool on core {options.tool_core}")
    harness.table(["", "answers/s", "range", "per server CPU second", "from the cache"], rows)
    ratios = {}
    for pipeline, wanted in ((16, 0.7), (1, 1.0)):
        ours, theirs = (summary.get(f"{name}, {pipeline} in flight") for name in ("martlet L1 hit", "redis GET"))
        if ours and theirs:
            ratio = ours["median"]["rate"] / theirs["median"]["rate"]
            paid = ours["median"]["per_processor_second"] / theirs["median"]["per_processor_second"]
            ratios[f"{pipeline} in flight"] = {"rate": ratio, "per_processor_second": paid, "wanted": wanted}
            print(f"  {pipeline} in flight: {ratio:.2f}x of redis (wanted: at least {wanted}x); "
                  f"{paid:.2f}x per second of server CPU")
    harness.publish(options, {"figures": summary, "ratios": ratios})


if __name__ == "__main__":
    main()
