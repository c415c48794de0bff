"""Pictures of a run: draw.py FOLDER, with what report.py says on standard input. Needs matplotlib."""
import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "e2b-worker"  # the same figures give the same file
matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
import matplotlib.pyplot as plt  # noqa: E402

OURS, OTHERS = "#1f6f8b", "#b8b8b8"


def draw(scenario, folder):
    count = len(scenario["bars"])
    rows = max(len(values) for _, _, values in scenario["bars"])
    figure, axes = plt.subplots(count, 1, figsize=(8, count * (0.8 + 0.34 * rows)), squeeze=False)
    figure.suptitle(scenario["title"], fontsize=9)
    for axis, (title, unit, values) in zip(axes[:, 0], scenario["bars"]):
        names = list(values)[::-1]
        colours = [OTHERS if "alone" in name or name == "floor" or "SDK" in name or "hand" in name else OURS for name in names]
        bars = axis.barh(names, [values[name] for name in names], color=colours)
        axis.bar_label(bars, fmt="%.4g", fontsize=8, padding=3)
        axis.set_title(f"{title}, {unit}", fontsize=8, loc="left")
        axis.tick_params(labelsize=8)
        axis.margins(x=0.12)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(folder / f"{scenario['name']}.svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for one in json.load(sys.stdin):
        draw(one, target)
