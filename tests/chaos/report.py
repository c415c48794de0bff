"""What an operator reads: one row per promise, one per fault, and the timelines of the jobs that broke a promise."""
from __future__ import annotations

import collections
import dataclasses
import json
import pathlib

import results as results_module
from facts import Facts
from faults import Window
from judge import Finding, Violation

TOLD, LINES_MAX, TEXT_MAX = 3, 60, 170  # timelines per promise; lines of each; letters of a line


def table(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def promise_table(findings: list[Finding]) -> str:
    rows = [["promise", "holds", "looked at", "broken", ""]]
    for finding in findings:
        holds = "NO" if not finding.holds else "yes" if finding.checked else "not seen"
        rows.append([finding.promise, holds, str(finding.checked), str(len(finding.violations) or ""), finding.note])
    return table(rows)


def near(facts: Facts, violation: Violation) -> list[Window]:
    """Faults of the job's life until it happened; without a job: that were under way then, or last."""
    if violation.job in facts.jobs:
        since, until = facts.life(violation.job)
        until = violation.at or until
    elif violation.at:
        since = until = violation.at
    else:
        return []
    windows = facts.faults_during(since, until)
    before = [window for window in facts.windows if window.began <= until]
    return windows or before[-1:]


def names(windows: list[Window]) -> str:
    return ", ".join(dict.fromkeys(window.name for window in windows)) or "no fault"


def fault_table(facts: Facts, findings: list[Finding]) -> str:
    rows = [["fault", "began", "lasted", "recovered", "promises broken near it", "what was hit"]]
    for window in facts.windows:
        broken = collections.Counter(finding.promise for finding in findings for violation in finding.violations
                                     if window in near(facts, violation))
        rows.append([window.name, f"{(window.began - facts.began) / 1000:.0f} s", f"{(window.undone - window.began) / 1000:.0f} s",
                     f"{(window.recovered - window.undone) / 1000:.0f} s" if window.recovered else "",
                     "; ".join(f"{promise} ({count})" for promise, count in broken.items()), "; ".join(window.notes)[:100]])
    return table(rows)


def timeline(facts: Facts, key: str) -> list[str]:
    job = facts.jobs[key]
    lines = [(record.at, f"harness  {record.what} published to {record.topic} {record.partition}/{record.offset}")
             for record in job.records]
    waited: tuple = ()
    for event in facts.events_by_job[key]:
        if event.type.endswith("job.waiting.v1"):
            waited, before = (event.body.get("worker_id"), event.body.get("reason"), event.body.get("limit")), waited
            if waited == before:
                continue  # the first of a row says it
        body, error = event.body, event.body.get("error") or {}
        said = {name: body[name] for name in ("attempt", "sandbox_id", "worker_id", "reason", "limit", "status", "first_status")
                if body.get(name) is not None}
        lines.append((event.at, f"topic    {event.type.removeprefix('e2b-worker.job.')} {event.partition}/{event.offset} "
                      + " ".join(f"{name}={value}" for name, value in said.items()) + f" {error.get('code') or ''}"))
        if event.type == results_module.FINISHED:
            lines += [(event.at, f"topic      attempt {one['n']} in {one['sandbox_id']}: {one['code'] or 'well'}")
                      for one in body["attempts"]]
    permits = {call.permit or call.answer[1] for call in facts.calls_by_job[key] if call.verdict == "granted"}
    for call in facts.calls_by_job[key] + [call for call in facts.calls if not call.job and call.permit in permits]:
        given = call.permit[:8] or next((text[:8] for text in call.answer[1:2]), "")
        again = f"; {call.times} times until {(call.last - facts.began) / 1000:.3f}" if call.times > 1 else ""
        lines.append((call.at, f"redis    {call.worker} {call.op} {given} -> {' '.join(map(str, call.answer))[:90]}{again} {call.note}"))
    for sandbox in facts.sandboxes_by_job[key]:
        lines += [(at, f"e2b      {sandbox.id} {text} permit {sandbox.permit[:8]}") for at, text in sandbox.notes]
    lines += [(told.at, f"counter  {told.what} in {told.sandbox}, pid {told.pid}") for told in facts.starts.get(key, [])]
    lines += [(at, f"log      {text}") for at, text in facts.log_lines[key] if " job.waiting " not in text]
    since, until = facts.life(key)
    for window in facts.faults_during(since, until):
        lines.append((window.began, f"FAULT    {window.name} begins: {'; '.join(window.notes)[:80]}"))
        lines.append((window.undone, f"FAULT    {window.name} is undone"))
    head = f"{key}: {job.mode}, {job.seconds:g} s, {job.kind}, expected {job.expect[0]}" + (", never twice" if job.is_never else "")
    told = [f"    {(at - facts.began) / 1000:9.3f}  {text}"[:TEXT_MAX] for at, text in sorted(lines)]
    if len(told) > LINES_MAX:
        told = told[:LINES_MAX // 2] + [f"               ... {len(told) - LINES_MAX} more ..."] + told[-LINES_MAX // 2:]
    return [head, *told]


def dump(facts: Facts, findings: list[Finding], folder: pathlib.Path) -> None:
    """Everything, for whoever looks closer."""
    def write(name: str, rows) -> None:
        with open(folder / name, "w") as file:
            file.writelines(json.dumps(row, default=str) + "\n" for row in rows)

    write("jobs.jsonl", (dataclasses.asdict(job) for job in facts.jobs.values()))
    write("events.jsonl", ({"type": event.type, "id": event.id, "source": event.source, "at": event.at,
                            "partition": event.partition, "offset": event.offset, "body": event.body} for event in facts.events))
    write("redis.jsonl", (dataclasses.asdict(call) for call in facts.calls))
    write("starts.jsonl", ({"job": key, **dataclasses.asdict(told)} for key, list_ in facts.starts.items() for told in list_))
    write("faults.jsonl", (dataclasses.asdict(window) for window in facts.windows))
    write("violations.jsonl", ({"promise": finding.promise, **dataclasses.asdict(violation), "near": names(near(facts, violation))}
                               for finding in findings for violation in finding.violations))
    with open(folder / "timelines.txt", "w") as file:
        keys = {violation.job for finding in findings for violation in finding.violations if violation.job in facts.jobs}
        for key in sorted(keys):
            file.write("\n".join(timeline(facts, key)) + "\n\n")


def tell(facts: Facts, findings: list[Finding], folder: pathlib.Path) -> None:
    told: set[str] = set()
    for finding in findings:
        if finding.holds:
            continue
        print(f"\n== broken, {len(finding.violations)} times: {finding.promise}")
        for violation in finding.violations[:10]:
            print(f"  {violation.job or '-'}: {violation.text}; near {names(near(facts, violation))}"[:240])
        for violation in [one for one in finding.violations if one.job in facts.jobs and one.job not in told][:TOLD]:
            told.add(violation.job)
            print("\n".join("  " + line for line in timeline(facts, violation.job)))
    dump(facts, findings, folder)
    if facts.windows:
        print("\n" + fault_table(facts, findings))
    print("\n" + promise_table(findings))
    broken = sum(not finding.holds for finding in findings)
    print(f"\n{'all promises hold' if not broken else f'{broken} promises are broken'}; seed {facts.options.seed}", flush=True)
