#!/usr/bin/env python3
"""Question: does the node allocate on the heap when it answers from the result cache?

Warms the cache, then reads the allocator's counters from /metrics before and after a million hits: bytes that the
shard's thread asked for (exact: every malloc of that thread counts), and allocations in jemalloc's arenas (fills of the
thread caches count too, and so does the scrape itself, hence the idle scrape beside).
"""
import time

import harness


def counters(node):
    # The shards publish their counters now and then.
    time.sleep(1.5)
    found = node.metrics()
    return {
        "thread_bytes": sum(value for name, value in found.items() if name.startswith("martlet_shard_allocated_bytes_total")),
        "arena_allocations": found.get("martlet_allocator_allocations_total", float("nan")),
        "hits": sum(value for name, value in found.items()
                    if name.startswith("martlet_cache_requests_total") and 'result="hit"' in name),
        "answers": sum(value for name, value in found.items() if name.startswith("martlet_requests_total")),
    }


def main():
    flags = harness.parser(__doc__)
    flags.add_argument("--hits", type=int, default=1_000_000)
    options = flags.parse_args()
    harness.check(options)
    bundle = harness.bundle(options, 20_000, 10_000)
    rows = []
    figures = {}
    with harness.Node(options, bundle, shards=1) as node:
        common = ["--connections", 64, "--users", 1000, "--zipf", 0]
        harness.load(options, node, "--closed", 4, "--order", "sequential", "--users", 1000, "--requests", 2000)
        for in_flight in (16, 1):
            harness.load(options, node, "--closed", in_flight, "--requests", 200_000, *common, seconds=120)
            idle_from = counters(node)
            before = counters(node)
            report = harness.load(
                options, node, "--closed", in_flight, "--requests", options.hits, *common, seconds=600)
            after = counters(node)
            answers = after["answers"] - before["answers"]
            idle = {key: before[key] - idle_from[key] for key in before}
            spent = {key: after[key] - before[key] for key in after}
            figures[f"{in_flight} in flight"] = {
                "hits": spent["hits"], "answers": answers, "cached_share": report["cachedShare"],
                "thread_bytes_per_answer": spent["thread_bytes"] / answers,
                "arena_allocations_per_answer": spent["arena_allocations"] / answers, "idle": idle}
            rows.append([f"{in_flight} in flight", f"{answers:,.0f}", f"{report['cachedShare'] * 100:.2f} %",
                         f"{spent['thread_bytes'] / answers:.3f}", f"{spent['arena_allocations'] / answers:.5f}",
                         f"{idle['arena_allocations']:,.0f}"])
    harness.table(["", "answers", "from the cache", "bytes per answer", "arena allocations per answer",
                   "arena allocations of an idle scrape"], rows)
    print("  bytes are those of the shard's thread; 0 means no heap allocation at all. 64 connections are opened and closed")
    print("  within the measurement: some hundred kilobytes are theirs.")
    harness.publish(options, {"figures": figures})


if __name__ == "__main__":
    main()
