#!/usr/bin/env python3
"""Question: how much memory does a node hold, and how soon is it ready, on 1 M users x 100 k items x 64 dimensions?

Starts the node several times with the page cache warm and measures from launch to /readyz. Then asks for every user
once through the result cache (128 MiB in all) and prints the resident memory, with the bytes of each part that /status
tells.
"""
import subprocess

import harness

MEMORY_WANTED = 780e6
READY_WANTED = 2.0


def main():
    flags = harness.parser(__doc__)
    flags.add_argument("--users", type=int, default=1_000_000)
    flags.add_argument("--items", type=int, default=100_000)
    flags.add_argument("--shards", type=int, default=1)
    options = flags.parse_args()
    harness.check(options)
    bundle = harness.bundle(options, options.users, options.items)
    subprocess.run(f"cat {bundle}/* > /dev/null", shell=True, check=True)
    starts = []
    for _ in range(options.rounds):
        with harness.Node(options, bundle, shards=options.shards, core=None) as node:
            starts.append(node.seconds_to_ready)
    ready = harness.median(starts)
    with harness.Node(options, bundle, shards=options.shards, core=None, settings=["cache.bytes=128MiB"]) as node:
        fresh = harness.resident(node.pid)
        report = harness.load(
            options, node, "--order", "sequential", "--users", options.users, "--requests", options.users, "--closed", 4,
            "--connections", 64, "--timeout", "10s", core=None, seconds=1800)
        after = harness.resident(node.pid)
        status = node.status()
    asked = report["succeeded"]
    if report["failed"] or asked < options.users:
        harness.say(f"note: {asked} of {options.users} users were answered; errors: {report['errors']}")
    print(f"{options.users:,} users x {options.items:,} items, {options.shards} shard(s), {asked:,} users asked for once")
    harness.table(["", "after the start", "after every user"], [
        [name, harness.megabytes(fresh.get(name, 0)), harness.megabytes(after.get(name, 0))]
        for name in ("VmRSS", "RssAnon", "RssFile", "Pss", "VmHWM")])
    harness.table(["part, by /status", "bytes"], [
        [part["part"], harness.megabytes(part["bytes"])] for part in status["memory"]["parts"]])
    held = after["VmRSS"] <= MEMORY_WANTED
    print(f"  resident {harness.megabytes(after['VmRSS'])}, wanted: under {harness.megabytes(MEMORY_WANTED)}: "
          f"{'held' if held else 'MISSED'}")
    print(f"  ready after {ready:.2f} s (median of {options.rounds}: {', '.join(f'{s:.2f}' for s in starts)}), "
          f"wanted: within {READY_WANTED} s: {'held' if ready <= READY_WANTED else 'MISSED'}")
    harness.publish(options, {"after_start": fresh, "after_every_user": after, "status": status["memory"],
                              "seconds_to_ready": starts, "users_answered": asked})


if __name__ == "__main__":
    main()
