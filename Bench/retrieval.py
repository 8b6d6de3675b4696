#!/usr/bin/env python3
"""Question: what does a slate cost that is not in the cache, beside the bare search of the index in it?

Recommend k=20 past the result cache (als retrieval of 200, seen filter) on a bundle of 100 k items x 64 dimensions, one
shard on one core, the load tool on another: the rate that a closed loop reaches, then p50 and p99 in an open loop at
half of it, as the client sees it and as the node says in its replies. Beside it: martlet-bench index, which searches the same
rows with the same users' factors, k 200, on the node's core while the node is idle, by the same index (--index scan or
hnsw); and the node's own stage histograms. The bare search takes 20 000 users, each once in a pass: a few of them again and again would find their rows
in the nearest cache, which the node, asked for all users, does not.
"""
import json
import os
import random
import struct
import subprocess
import tempfile

import harness

BARE_USERS = 20_000


def tensor(path, name):
    """A tensor of a safetensors file: its type, shape and where its bytes are."""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        entry = json.loads(file.read(size))[name]
    return entry["dtype"], entry["shape"], 8 + size + entry["data_offsets"][0]


def write_rows(bundle, name, place, sample=None):
    """Writes rows of a factor tensor as .fbin: u32 rows, u32 columns, Float32. Returns how many."""
    path = os.path.join(bundle, "als.safetensors")
    kind, (rows, columns), offset = tensor(path, name)
    width = {"F32": 4, "F16": 2}[kind]
    wanted = range(rows) if sample is None or sample >= rows else sorted(random.Random(1).sample(range(rows), sample))
    with open(path, "rb") as source, open(place, "wb") as target:
        target.write(struct.pack("<II", len(wanted), columns))
        for row in wanted:
            source.seek(offset + row * columns * width)
            data = source.read(columns * width)
            target.write(data if kind == "F32" else struct.pack(f"<{columns}f", *struct.unpack(f"<{columns}e", data)))
    return len(wanted)


def bare_search(options, bundle, limit, ef):
    """Microseconds of one search by martlet-bench index."""
    with tempfile.TemporaryDirectory() as folder:
        rows, queries = os.path.join(folder, "rows.fbin"), os.path.join(folder, "queries.fbin")
        names = list(json.loads(header(bundle)))
        write_rows(bundle, next(n for n in names if n.startswith("item")), rows)
        write_rows(bundle, next(n for n in names if n.startswith("user")), queries, sample=BARE_USERS)
        command = [options.bench, "index", "--rows", rows, "--queries", queries, "--k", str(limit),
                   *(["--ef", str(ef)] if options.index == "hnsw" else []),
                   "--query-count", str(BARE_USERS), "--threads", "1", "--indexes", options.index, "--repeats", str(options.rounds), "--json", "-"]
        done = subprocess.run(
            harness.pinned(options.node_core, command), stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(done.stdout)
    point = [entry for entry in report["points"] if entry["index"] == options.index][-1]
    return {"p50": point["p50"], "p99": point["p99"], "mean": 1e6 / point["qps"],
            "processor_microseconds": 1e6 / point["cpuQPS"], "recall": point["recall"], "ef": ef, "k": limit}


def header(bundle):
    with open(os.path.join(bundle, "als.safetensors"), "rb") as file:
        return file.read(struct.unpack("<Q", file.read(8))[0])


def stages(before, after):
    """Mean microseconds of each stage between two scrapes."""
    found = {}
    prefix = "martlet_stage_duration_seconds_sum{"
    for name in after:
        if name.startswith(prefix):
            other = name.replace("_sum{", "_count{")
            count = after[other] - before.get(other, 0)
            if count > 0:
                stage = name.split('stage="')[1].split('"')[0]
                found[stage] = (after[name] - before.get(name, 0)) / count * 1e6
    return found


def main():
    flags = harness.parser(__doc__)
    flags.add_argument("--users", type=int, default=100_000)
    flags.add_argument("--items", type=int, default=100_000)
    flags.add_argument("--limit", type=int, default=200, help="of the als source in the bundle's mix")
    flags.add_argument("--ef", type=int, default=200, help="efSearch of the node")
    flags.add_argument("--index", choices=["scan", "hnsw"], default="scan", help="how node and bare search find rows")
    flags.add_argument("--in-flight", type=int, default=1, help="on each connection, when the maximum is looked for")
    options = flags.parse_args()
    harness.check(options)
    harness.warn_if_busy()
    bundle = harness.bundle(options, options.users, options.items)
    rounds = []
    with harness.Node(options, bundle, shards=1, settings=["cache.bytes=0", f"index={options.index}"]) as node:
        common = ["--bypass-cache", "--users", options.users, "--connections", 64, "--k", 20, "--zipf", 0]
        for turn in range(options.rounds):
            most, spent = harness.measured(
                node.pid,
                lambda: harness.load(options, node, "--closed", options.in_flight, "--warmup", 1, *common,
                                     seconds=options.seconds))
            before = node.metrics()
            half = harness.load(options, node, "--rate", most["throughput"] / 2, *common, seconds=options.seconds)
            means = stages(before, node.metrics())
            for report in (most, half):
                if report["failed"]:
                    raise SystemExit(f"calls failed: {report['errors']}")
            client, server = half["client"]["microseconds"], half["server"]["microseconds"]
            rounds.append({
                "closed_rate": most["throughput"],
                "processor_microseconds": spent / (most["throughput"] * (most["durationSeconds"] + 1)) * 1e6,
                "half_rate": half["rate"], "client_p50": client["p50"], "client_p99": client["p99"],
                "client_p999": client["p99.9"], "server_p50": server["p50"], "server_p99": server["p99"],
                "stages": means})
            harness.say(f"round {turn + 1}: {most['throughput']:,.0f}/s; at half of it p99 {client['p99']:.0f} us, "
                        f"server p50 {server['p50']:.0f} us")
    bare = bare_search(options, bundle, options.limit, options.ef)
    middle = {key: harness.median([entry[key] for entry in rounds]) for key in rounds[0] if key != "stages"}
    middle["stages"] = {stage: harness.median([entry["stages"].get(stage, 0) for entry in rounds])
                        for stage in rounds[-1]["stages"]}
    print(f"medians of {options.rounds} rounds; node on core {options.node_core}, load tool on core {options.tool_core}")
    rows = [["closed loop, answers/s", f"{middle['closed_rate']:,.0f}"],
            ["node's processor time per answer", f"{middle['processor_microseconds']:.1f} us"],
            ["open loop at half of it, answers/s", f"{middle['half_rate']:,.0f}"],
            ["client p50", f"{middle['client_p50']:.0f} us"],
            ["client p99 (wanted: under 1000 us)", f"{middle['client_p99']:.0f} us"],
            ["client p99.9", f"{middle['client_p999']:.0f} us"],
            ["server p50", f"{middle['server_p50']:.0f} us"], ["server p99", f"{middle['server_p99']:.0f} us"]]
    rows += [[f"stage {name}, mean", f"{value:.1f} us"] for name, value in middle["stages"].items()]
    if bare:
        middle["server_over_bare"] = middle["server_p50"] / bare["p50"]
        middle["processor_over_bare"] = middle["processor_microseconds"] / bare["processor_microseconds"]
        breadth = f", ef {bare['ef']}" if options.index == "hnsw" else ""
        rows += [[f"bare {options.index}, k {bare['k']}{breadth}, p50", f"{bare['p50']:.1f} us"],
                 ["bare search, processor time", f"{bare['processor_microseconds']:.1f} us"],
                 ["bare search, recall", f"{bare['recall']:.3f}"],
                 ["processor time of an answer over a bare search", f"{middle['processor_over_bare']:.2f}"],
                 ["server p50 over bare search (wanted: under 2)", f"{middle['server_over_bare']:.2f}"]]
    harness.table(["", "median"], rows)
    harness.publish(options, {"median": middle, "rounds": rounds, "bare_search": bare})


if __name__ == "__main__":
    main()
