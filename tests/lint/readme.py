#!/usr/bin/env python3
"""README.md's tables against what they describe: the configuration's is the output of `e2b-worker config table`, the
error codes' first columns are those of src/core/code.c, the metrics are those of src/worker/metrics.c.

    readme.py E2B-WORKER            prints each difference, exits 1
    readme.py E2B-WORKER --write    writes the configuration's table; the codes' meanings are written by hand"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
LATER = "later"


def section(text: str, name: str) -> re.Match:
    match = re.search(rf"(<!-- {name}: [^>]*-->\n)(.*?)(<!-- end -->)", text, re.S)
    assert match, f"README.md has no section <!-- {name}: ... -->"
    return match


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def expected_codes() -> list[list[str]]:
    """The columns that code.c decides: code, status, category, again, DLQ."""
    text = (ROOT / "src/core/code.c").read_text(encoding="utf-8")
    rows = re.findall(r"^    ROW\((\w+), (\w+), (\w+), ([\w |]+),", text, re.M)
    again = {"RETRIED": "yes", "WAITS": "wait"}
    return [[f"`{code}`", status.lower(), category.lower(),
             next((again[flag] for flag in again if flag in flags), ""), "yes" if "DLQ" in flags else ""]
            for code, status, category, flags in rows]


def unused_codes() -> set[str]:
    """Codes that nothing brings about yet."""
    paths = [path for path in (ROOT / "src").rglob("*.c") if path.name != "code.c"]
    used = set(re.findall(r"\bCODE_(\w+)\b", "".join(path.read_text(encoding="utf-8") for path in paths)))
    return {row[0].strip("`") for row in expected_codes()} - used


def check_codes(text: str) -> list[str]:
    rows = [cells(line) for line in section(text, "codes").group(2).splitlines()[2:]]
    expected, unused, differences = expected_codes(), unused_codes(), []
    if [row[0] for row in rows] != [row[0] for row in expected]:
        missing = {row[0] for row in expected} ^ {row[0] for row in rows}
        return [f"error codes: not the codes of src/core/code.c in its order: {', '.join(sorted(missing)) or 'order'}"]
    for row, want in zip(rows, expected):
        if row[:5] != want:
            differences.append(f"error codes: | {' | '.join(row[:5])} | should be | {' | '.join(want)} |")
        if (row[5] == LATER) != (row[0].strip("`") in unused):
            differences.append(f"error codes: {row[0]} is {'not ' if row[5] == LATER else ''}one that nothing brings about yet")
    return differences


def check_metrics(text: str) -> list[str]:
    source = (ROOT / "src/worker/metrics.c").read_text(encoding="utf-8")
    there = set(re.findall(r'"e2b_worker_(\w+)"', source))
    rows = [cells(line) for line in section(text, "metrics").group(2).splitlines()[2:]]
    told = {re.sub(r"\{.*\}", "", name) for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    return ([f"metrics: {name} is not in the table" for name in sorted(there - told)] +
            [f"metrics: there is no {name}" for name in sorted(told - there)])


def main() -> int:
    program = sys.argv[1]
    table = subprocess.run([program, "config", "table"], check=True, capture_output=True, text=True).stdout
    text = README.read_text(encoding="utf-8")
    if "--write" in sys.argv[2:]:
        text = section(text, "configuration").re.sub(lambda match: match[1] + table + match[3], text)
        README.write_text(text, encoding="utf-8")
    differences = check_codes(text) + check_metrics(text)
    if section(text, "configuration").group(2) != table:
        differences.append(f"configuration: not what the program says; write it by: {sys.argv[0]} {program} --write")
    print("\n".join(differences) or "README.md's tables are the program's")
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main())
