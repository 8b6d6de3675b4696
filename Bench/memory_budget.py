#!/usr/bin/env python3
"""Question: does a node stay inside its memory budget, serve all calls meanwhile, and give its caches back what they had?

Measures a node after its start, then starts one with a budget that leaves its cache half of what it wants, asks for every
user, and looks at the resident memory every 20 ms. Prints the largest, what caches were left with, and how many calls failed.
"""
import threading
import time

import harness

CACHE = 64 << 20


class Watch(threading.Thread):
    """The largest resident memory of a process until it is told to stop."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.goes_on = pid, 0, True
        self.start()

    def run(self):
        while self.goes_on:
            self.most = max(self.most, harness.resident_quickly(self.pid))
            time.sleep(0.02)

    def stop(self):
        self.goes_on = False
        self.join()
        return self.most


def main():
    flags = harness.parser(__doc__)
    flags.add_argument("--users", type=int, default=200_000)
    flags.add_argument("--items", type=int, default=20_000)
    options = flags.parse_args()
    harness.check(options)
    bundle = harness.bundle(options, options.users, options.items)
    settings = [f"cache.bytes={CACHE}", "cache.ttl=1h"]
    with harness.Node(options, bundle, shards=2, core=None, settings=settings) as node:
        time.sleep(2)
        fresh = harness.resident(node.pid)["VmRSS"]
    # At nine tenths caches shrink: half of the cache fits.
    budget = int((fresh + CACHE // 2) / 0.9)
    with harness.Node(
            options, bundle, shards=2, core=None, settings=settings + [f"memory.budget={budget}"]) as node:
        watch = Watch(node.pid)
        report = harness.load(
            options, node, "--order", "sequential", "--users", options.users, "--requests", 2 * options.users, "--closed", 4,
            "--connections", 8, "--timeout", "10s", core=None, seconds=600)
        most = watch.stop()
        time.sleep(3)
        status, last = node.status()["memory"], harness.resident(node.pid)["VmRSS"]
        cache = next(part["bytes"] for part in status["parts"] if part["part"] == "result_cache")
    mb = harness.megabytes
    state = status["budget"]
    harness.table(["", ""], [
        ["after the start", mb(fresh)], ["budget", mb(budget)], ["largest resident memory", mb(most)],
        ["resident at the end", mb(last)], ["caches, of " + mb(CACHE), mb(cache)],
        ["what caches may hold", mb(state["cache_bytes_max"])], ["level", state["level"]],
        ["changes of the level", state["level_changes"]], ["calls answered", f"{report['succeeded']:,}"],
        ["calls failed", f"{report['failed']:,}"]])
    held = most <= budget and report["failed"] == 0
    print(f"  wanted: never above the budget, no failed call: {'held' if held else 'MISSED'}")
    harness.publish(options, {"budget": budget, "most": most, "last": last, "status": status, "failed": report["failed"]})


if __name__ == "__main__":
    main()
