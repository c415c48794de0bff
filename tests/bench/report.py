"""What a run says at its end: tables for the terminal, RESULTS.md and pictures for the repository."""
from __future__ import annotations

import datetime
import json
import pathlib
import subprocess

import usage
from scenarios import Outcome, Ratio

HERE = pathlib.Path(__file__).parent


def width_of(rows: list[list[str]], column: int) -> int:
    return max(len(row[column]) for row in rows)


def table(columns: list[str], rows: list[list[str]]) -> str:
    """For the terminal: the first column left, numbers right."""
    widths = [width_of([columns, *rows], i) for i in range(len(columns))]
    lines = []
    for row in [columns, *rows]:
        cells = [text.ljust(width) if i == 0 else text.rjust(width) for i, (text, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(columns: list[str], rows: list[list[str]]) -> str:
    head = "| " + " | ".join(columns) + " |\n|" + "---|" * len(columns)
    return head + "".join("\n| " + " | ".join(row) + " |" for row in rows)


def ratio_rows(ratios: list[Ratio]) -> list[list[str]]:
    rows = []
    for ratio in ratios:
        sign = "≥" if ratio.is_least else "≤"
        said = "yes" if ratio.meets(ratio.goal) else "no"
        rows.append([ratio.name, f"{ratio.value:.2f}", f"{sign} {ratio.goal:g}", said])
    return rows


RATIO_COLUMNS = ["ratio", "measured", "goal", "met"]


def show(outcome: Outcome) -> str:
    parts = [f"== {outcome.name}: {outcome.about}", table(outcome.columns, outcome.rows)]
    if outcome.ratios:
        parts += ["", table(RATIO_COLUMNS, ratio_rows(outcome.ratios))]
    parts += [f"PROBLEM: {problem}" for problem in outcome.problems]
    parts += [f"BEYOND ITS LIMIT: {ratio.name} is {ratio.value:.2f}, the limit {ratio.limit:g}"
              for ratio in outcome.ratios if not ratio.meets(ratio.limit)]
    return "\n".join(parts) + "\n"


def is_fine(outcome: Outcome) -> bool:
    return not outcome.problems and all(ratio.meets(ratio.limit) for ratio in outcome.ratios)


# ---- kept ----

def draw(outcomes: list[Outcome]) -> None:
    """By Debian's matplotlib, which is there for the sandboxes of e2b-local."""
    bars = [{"name": o.name, "title": f"{o.name}: {o.about}", "bars": o.bars} for o in outcomes]
    subprocess.run(["/usr/bin/python3", HERE / "draw.py", HERE / "results"], input=json.dumps(bars), text=True, check=True)


def write(outcomes: list[Outcome], notes: pathlib.Path) -> pathlib.Path:
    """RESULTS.md and its pictures; what notes.md says about them stands at the end."""
    draw(outcomes)
    parts = ["# What the worker costs", "",
             "Written by `tests/bench/run --write`. Only ratios within one run count; the figures are this machine's:",
             f"{usage.machine()}; {datetime.date.today().isoformat()}.", ""]
    for outcome in outcomes:
        parts += [f"## {outcome.name}", "", outcome.about[0].upper() + outcome.about[1:] + ".", "",
                  markdown(outcome.columns, outcome.rows), ""]
        if outcome.ratios:
            parts += [markdown(RATIO_COLUMNS, ratio_rows(outcome.ratios)), ""]
        parts += [f"![{outcome.name}](results/{outcome.name}.svg)", ""]
        for name, svg in outcome.pictures.items():
            (HERE / "results" / f"{name}.svg").write_text(svg)
            parts += [f"![{name}](results/{name}.svg)", ""]
        parts += [f"Problem: {problem}." for problem in outcome.problems]
    if notes.exists():
        parts.append(notes.read_text())
    path = HERE / "RESULTS.md"
    path.write_text("\n".join(parts).rstrip() + "\n")
    return path
