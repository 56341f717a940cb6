# SPDX-License-Identifier: BSD-3-Clause
"""Medians, ratios to the kernel, and how they are shown: text, JSON, a plot."""
import json
import statistics


class Results:
    """figures[workload][environment] is a list, one dict a round: rate, p50, p99, cpu (seconds per million units)."""

    def __init__(self, environments, workloads, machine):
        self.environments, self.workloads, self.machine = environments, workloads, machine
        self.figures = {w.name: {e.name: [] for e in environments} for w in workloads}
        self.errors = []

    def add(self, workload, environment, figures):
        self.figures[workload.name][environment.name].append(figures)

    def median(self, workload, environment, figure):
        rows = self.figures[workload][environment]
        return statistics.median(r[figure] for r in rows) if rows else None

    def ratio(self, workload, environment, base, figure):
        """The median of the rounds' ratios: both sides of each were measured within seconds of each other."""
        ours, theirs = self.figures[workload][environment], self.figures[workload][base]
        pairs = [a[figure] / b[figure] for a, b in zip(ours, theirs) if b[figure]]
        return statistics.median(pairs) if pairs else None

    def as_json(self, in_process):
        rows = []
        for w in self.workloads:
            for e in self.environments:
                rows.append({"workload": w.name, "unit": w.unit, "environment": e.name, "title": e.title,
                             "rounds": self.figures[w.name][e.name],
                             "median": {f: self.median(w.name, e.name, f) for f in ("rate", "p50", "p99", "cpu")}})
        return json.dumps({"machine": self.machine, "rows": rows, "in_process": in_process, "errors": self.errors}, indent=1)


def figure(value, digits=4):
    if value is None:
        return "-"
    if value >= 10000:
        return "%.1fk" % (value / 1000)
    return ("%." + str(digits) + "g") % value


def text_table(results, base, whose):
    lines = []
    for w in results.workloads:
        lines.append("%s (unit: %s)" % (w.name, w.unit))
        lines.append("  %-44s %10s %9s %9s %14s %8s %8s" % ("", "rate/s", "p50 us", "p99 us", "CPU s/million", "rate x", "CPU x"))
        for e in results.environments:
            cells = [figure(results.median(w.name, e.name, f)) for f in ("rate", "p50", "p99", "cpu")]
            ratios = ["" if e.name == base else figure(results.ratio(w.name, e.name, base, f), 3) for f in ("rate", "cpu")]
            lines.append("  %-44s %10s %9s %9s %14s %8s %8s" % (e.title, *cells, *ratios))
    lines.append("rate x, CPU x: ratio to '%s' in the same round, median of the rounds; CPU is %s."
                 % (next(e.title for e in results.environments if e.name == base), whose))
    return "\n".join(lines)


def plot(results, base, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    others = [e for e in results.environments if e.name != base]
    figures, axes = pyplot.subplots(1, 2, figsize=(13, 0.42 * len(results.workloads) + 1.8), sharey=True)
    for axis, key, title in ((axes[0], "rate", "rate, kernel = 1 (more is better)"),
                             (axes[1], "cpu", "CPU per unit, kernel = 1 (less is better)")):
        height = 0.8 / max(1, len(others))
        for i, e in enumerate(others):
            values = [results.ratio(w.name, e.name, base, key) or 0 for w in results.workloads]
            places = [n + i * height - 0.4 + height / 2 for n in range(len(values))]
            axis.barh(places, values, height=height, label=e.title)
            for place, value in zip(places, values):
                axis.text(value, place, " %.2f" % value, va="center", fontsize=7)
        axis.axvline(1.0, color="black", linewidth=0.8)
        axis.set_title(title, fontsize=10)
        axis.set_yticks(range(len(results.workloads)), [w.name for w in results.workloads], fontsize=8)
    axes[0].invert_yaxis()
    axes[1].legend(fontsize=7)
    figures.tight_layout()
    figures.savefig(path, dpi=110)
