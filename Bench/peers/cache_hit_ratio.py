"""Hit ratio of theine (W-TinyLFU) on a trace that `martlet-bench cache --write FILE` wrote.

    cache_hit_ratio.py TRACE ENTRIES [ENTRIES ...]

The first half of the trace warms the cache, the second counts; an event deletes the user's entry.
"""

import sys

from theine import Cache


def steps(path):
    with open(path) as lines:
        return [line.rstrip("\n") for line in lines if line.strip() and not line.startswith("#")]


def hit_ratio(trace, entries):
    cache = Cache(entries)
    hits = requests = 0
    warm = len(trace) // 2
    for number, step in enumerate(trace):
        if step[0] == "-":
            cache.delete(step[1:])
            continue
        _, found = cache.get(step)
        if number >= warm:
            requests += 1
            hits += found
        if not found:
            cache.set(step, 1)
    return hits / max(1, requests)


def main():
    trace = steps(sys.argv[1])
    for entries in map(int, sys.argv[2:]):
        print(f"theine, {entries} entries: {100 * hit_ratio(trace, entries):.2f} %", flush=True)


if __name__ == "__main__":
    main()
