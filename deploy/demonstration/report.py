"""What the demo prints: events as they come, and the table at the end. Every figure comes from a result's own record."""
from __future__ import annotations

STAGES = ("queued", "permit", "create", "prepare", "run", "collect", "total")
STAGE_FIELDS = {"permit": "permit_wait_ms"}


def milliseconds(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def dollars(nano_usd: int) -> str:
    return f"{nano_usd / 1e9:.6f}" if nano_usd else "-"


def event_line(kind: str, data: dict, name: str) -> str:
    """One event of a job for somebody who looks on."""
    if kind == "started":
        detail = f"{data['template']} on {data['worker_id']}, {data['run_mode']}"
    elif kind == "finished":
        error, total_ms = data.get("error") or {}, (data.get("timing") or {}).get("total_ms")
        detail = " ".join(word for word in (data["status"], error.get("code")) if word)
        detail += f" after {milliseconds(total_ms)} ms"
        printed = (data.get("stdout") or {}).get("text", "").splitlines()
        if printed:
            detail += f": {printed[-1][:60]}"
    elif kind == "waiting":
        what = " ".join(word for word in (data.get("reason"), data.get("limit")) if word)
        detail = f"for {what}: {data.get('message')}"
    elif kind == "retrying":
        detail = f"attempt {data.get('attempt')}: {data.get('code')}: {data.get('message')}"
    else:
        detail = ""
    return f"{kind:<9} {name:<20} {detail}"


def row(name: str, result: dict, is_expected: bool) -> list[str]:
    error, timing = result.get("error") or {}, result.get("timing") or {}
    status = " ".join(word for word in (result["status"], error.get("code")) if word)
    placement, cost = result.get("placement") or {}, result.get("cost") or {}
    times = [milliseconds(timing.get(STAGE_FIELDS.get(stage, stage + "_ms"))) for stage in STAGES]
    return [name, placement.get("template") or "-", status, *times, dollars(cost.get("nano_usd") or 0),
            "yes" if is_expected else "NO"]


def table(rows: list[list[str]]) -> str:
    heads = ["JOB", "TEMPLATE", "STATUS", *(stage.upper() for stage in STAGES), "COST $", "AS EXPECTED"]
    widths = [max(len(line[i]) for line in [heads, *rows]) for i in range(len(heads))]
    is_number = [False] * 3 + [True] * (len(STAGES) + 1) + [False]
    return "\n".join("  ".join(cell.rjust(width) if right else cell.ljust(width)
                               for cell, width, right in zip(line, widths, is_number)).rstrip()
                     for line in [heads, *rows])
