"""Curves of recall against queries per second: their frontier, their value at a recall, their plot (SVG)."""
import math
import statistics


def frontier(points, rate="qps", slack=1.0):
    """The points that no other beats in both recall and rate (by more than `slack`), by rising recall."""
    kept = [p for p in points
            if not any((o["recall"] >= p["recall"] and o[rate] > p[rate] * slack)
                       or (o["recall"] > p["recall"] and o[rate] >= p[rate] * slack) for o in points)]
    return sorted(kept, key=lambda p: (p["recall"], -p[rate]))


def at_recall(points, target, rate="qps"):
    """The rate at `target` on the frontier, between its two neighbouring points (log-linear); None out of reach."""
    edge = frontier(points, rate)
    if not edge or edge[-1]["recall"] < target:
        return None
    if edge[0]["recall"] >= target:
        return edge[0][rate]
    for low, high in zip(edge, edge[1:]):
        if low["recall"] <= target <= high["recall"]:
            share = (target - low["recall"]) / max(high["recall"] - low["recall"], 1e-12)
            return math.exp(math.log(low[rate]) * (1 - share) + math.log(high[rate]) * share)


def reaching(points, target, rate="qps"):
    """The fastest measured point whose recall is at least `target`."""
    return max((p for p in points if p["recall"] >= target), key=lambda p: p[rate], default=None)


def builds(points):
    """The points of each build of a library."""
    found = {}
    for point in points:
        found.setdefault(point.get("build", 0), []).append(point)
    return list(found.values())


def median_at(points, target, rate="qps"):
    """The median over builds of the rate at `target`, and all of them; a build that does not reach it counts as slowest."""
    rates = [at_recall(group, target, rate) for group in builds(points)]
    middle = statistics.median_low([value or 0 for value in rates]) if rates else 0
    return middle or None, rates


COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8c564b", "#7f7f7f", "#bcbd22", "#9467bd"]
DASHES = ["", "7 4", "2 3", "10 3 2 3"]
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, LEGEND = 460, 400, 74, 56, 50, 160


def svg(title, curves, ks, rate="qps", targets=(), ours="martlet"):
    """One panel for each k, side by side: recall (stretched towards 1) against queries per second (logarithmic).

    `curves` maps a name to points; each build of a library is a line of its own. Names that start with `ours` are
    black, dashed after the first.
    """
    panels = [{name: [edge for group in builds(points) if (edge := frontier([p for p in group if p["k"] == k], rate))]
               for name, points in curves.items()} for k in ks]
    rates = [p[rate] for panel in panels for edges in panel.values() for edge in edges for p in edge]
    ticks = [part * 10 ** power for power in range(0, 9) for part in (1, 2, 5)]
    low, high = max(t for t in ticks if t <= min(rates)), min(t for t in ticks if t >= max(rates))
    right, bottom = LEFT * len(ks) + WIDTH * len(ks) + LEGEND, TOP + HEIGHT
    others = [name for name in curves if not name.startswith(ours)]
    own = [name for name in curves if name.startswith(ours)]
    stroke = {name: f'stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="1.6"' for i, name in enumerate(others)}
    stroke |= {name: f'stroke="#000000" stroke-width="2.6" stroke-dasharray="{DASHES[i % len(DASHES)]}"'
               for i, name in enumerate(own)}

    def stretched(recall):
        return -math.log10(1 - min(max(recall, 0.3), 0.9995))

    def x(panel, recall):
        share = (stretched(recall) - stretched(0.3)) / (stretched(1) - stretched(0.3))
        return LEFT + panel * (WIDTH + LEFT) + share * WIDTH

    def y(value):
        return bottom - math.log10(value / low) / math.log10(high / low) * HEIGHT

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{right}" height="{bottom + BOTTOM}" font-family="sans-serif" '
           f'font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>',
           f'<text x="{LEFT}" y="22" font-size="15">{escaped(title)}</text>']
    for panel, (k, lines) in enumerate(zip(ks, panels)):
        start, end = x(panel, 0), x(panel, 1)
        out.append(f'<text x="{start}" y="{TOP - 10}">recall@{k}, queries/s of one thread</text>')
        for recall in (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999):
            line = "#999999" if recall in targets else "#e4e4e4"
            out.append(f'<path d="M{x(panel, recall):.1f} {TOP}V{bottom}" stroke="{line}"/><text text-anchor="middle" '
                       f'x="{x(panel, recall):.1f}" y="{bottom + 18}">{recall:g}</text>')
        for value in (t for t in ticks if low <= t <= high):
            out.append(f'<path d="M{start:.1f} {y(value):.1f}H{end:.1f}" stroke="#e4e4e4"/><text text-anchor="end" '
                       f'x="{start - 6:.1f}" y="{y(value) + 4:.1f}">{value:,}</text>')
        out.append(f'<text text-anchor="middle" x="{(start + end) / 2}" y="{bottom + 38}">recall</text>')
        for name, edges in lines.items():
            for edge in edges:
                at = [(x(panel, p["recall"]), y(p[rate]), p) for p in edge if p["recall"] >= 0.3]
                path = " ".join(f"{a:.1f},{b:.1f}" for a, b, _ in at)
                out.append(f'<polyline points="{path}" fill="none" {stroke[name]}/>')
                for a, b, p in at:
                    out.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.2" fill="#ffffff" {stroke[name]} '
                               f'style="stroke-dasharray:none"><title>{escaped(name)} {p["recall"]:.4f}, {p[rate]:.0f}/s'
                               '</title></circle>')
    for line, name in enumerate(curves):
        a, b = right - LEGEND + 14, TOP + 12 + 20 * line
        out.append(f'<path d="M{a} {b - 4}h22" {stroke[name]}/><text x="{a + 28}" y="{b}">'
                   f'{escaped(name)}</text>')
    return "\n".join(out) + "\n</svg>\n"


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")
