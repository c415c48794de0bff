"""The promises, each a function over the facts: how many things it looked at, and which of them break it."""
from __future__ import annotations

import collections
import dataclasses

import fairness
import results as results_module
import stream
from facts import Facts, Sandbox
from wire import Call, name_of


INFRASTRUCTURE = {"SANDBOX_CREATE_FAILED", "SANDBOX_LOST", "SANDBOX_UNRESPONSIVE", "STREAM_BROKEN", "WORKER_CRASHED"}
MOST_ATTEMPTS = 3
AFTERMATH_MS = 60_000  # in which a fault may still explain a failed attempt


@dataclasses.dataclass
class Violation:
    text: str
    job: str = ""
    at: int = 0  # ms; 0: not one moment


@dataclasses.dataclass
class Finding:
    promise: str
    checked: int
    violations: list[Violation]
    note: str = ""

    @property
    def holds(self) -> bool:
        return not self.violations


def one_result(facts: Facts) -> Finding:
    found = []
    for key in facts.jobs:
        events = facts.finished(key)
        identities = {(event.source, event.id) for event in events}
        if not events:
            found.append(Violation("no result", key))
        elif len(identities) > 1:
            found.append(Violation(f"{len(identities)} results: {sorted(identities)}", key, events[1].at))
    for event in facts.events:
        if event.type == results_module.FINISHED and event.job not in facts.jobs:
            found.append(Violation(f"a result of a job that nobody published: {event.job}, {event.body['status']}", "", event.at))
    return Finding("every job has one result", len(facts.jobs), found)


def same_verdict(facts: Facts) -> Finding:
    found, repeats, same_bytes = [], 0, 0
    for key in facts.jobs:
        first, *others = facts.finished(key) or [None]
        repeats += len(others)
        for event in others:
            same_bytes += event.value == first.value
            if event.verdict != first.verdict:
                found.append(Violation(f"verdicts {first.verdict[:3]} and {event.verdict[:3]} under one ce_id", key, event.at))
            elif facts.options.delivery == "transactional":
                found.append(Violation("delivered twice, to a reader of committed records", key, event.at))
    return Finding("a repeated result has the same verdict", repeats, found, f"{same_bytes} repeats byte for byte")


def is_as_expected(job, event) -> bool:
    error = event.body.get("error") or {}
    if job.kind == "hoard" and event.body["status"] == "expired":
        return True
    if job.kind == "poison" and error.get("code") == "WORKER_CRASHED":
        return True
    is_same = (event.body["status"], error.get("code")) == job.expect
    return is_same and (job.stdout is None or event.body["stdout"]["text"] == job.stdout)


def right_verdict(facts: Facts) -> Finding:
    """What a program deserves; or a failure of the infrastructure that a fault explains, with all attempts used up."""
    found, excused = [], collections.Counter()
    for key, job in facts.jobs.items():
        for event in facts.finished(key)[:1]:
            if is_as_expected(job, event):
                continue
            code = (event.body.get("error") or {}).get("code")
            attempts = max([int(call.answer[2]) for call in facts.calls_by_job[key] if is_grant(call)], default=0)
            since, until = facts.life(key)
            is_explained = facts.faults_during(since - AFTERMATH_MS, until)
            if code in INFRASTRUCTURE and is_explained and (job.is_never or attempts >= MOST_ATTEMPTS):
                excused[code] += 1
                continue
            message = (event.body.get("error") or {}).get("message", "")
            printed = event.body["stdout"]["text"][:40]
            found.append(Violation(f"{event.body['status']} {code or ''} after {attempts} attempts, expected {job.expect}: "
                                   f"{message[:120]} {printed!r}", key, event.at))
    return Finding("verdicts are what the programs deserve", len(facts.jobs), found,
                   ", ".join(f"{count} {code} by faults" for code, count in excused.items()))


def is_grant(call: Call) -> bool:
    return call.op == "acquire" and call.verdict == "granted"


def grants(facts: Facts) -> dict[str, tuple[int, int]]:
    """Of each permit: when its latest grant was asked for and answered."""
    return {call.answer[1]: (call.asked, call.at) for call in facts.calls if is_grant(call)}


def within_limits(facts: Facts) -> Finding:
    found, granted = [], grants(facts)
    live: dict[str, set[str]] = collections.defaultdict(set)
    ends = sorted((sandbox.ended, sandbox.id, sandbox.tenant) for sandbox in facts.sandboxes.values() if sandbox.ended)
    for sandbox in sorted(facts.sandboxes.values(), key=lambda one: one.created):
        while ends and ends[0][0] < sandbox.created:
            _, gone, tenant = ends.pop(0)
            live[tenant].discard(gone)
        times = granted.get(sandbox.permit)
        if times:
            counts = {"g": sandbox.live_before, "n:" + sandbox.tenant: len(live[sandbox.tenant])}
            for name, count in counts.items():
                most = facts.limits.in_force(name, *times) if name in facts.limits.first else None
                if most is not None and count >= most:
                    found.append(Violation(f"{sandbox.id} was made with {count} alive under the limit {name} of {most}, granted "
                                           f"{sandbox.created - times[1]} ms before", sandbox.job, sandbox.created))
        live[sandbox.tenant].add(sandbox.id)
    most = max([sandbox.live_before + 1 for sandbox in facts.sandboxes.values()], default=0)
    return Finding("no sandbox above the limit", len(facts.sandboxes), found, f"at most {most} alive")


def under_permit(facts: Facts) -> Finding:
    found, granted = [], grants(facts)
    by_permit: dict[str, list[Sandbox]] = collections.defaultdict(list)
    for sandbox in facts.sandboxes.values():
        by_permit[sandbox.permit].append(sandbox)
        if sandbox.permit not in granted:
            found.append(Violation(f"{sandbox.id} has a permit that was never granted", sandbox.job, sandbox.created))
    for permit, sandboxes in by_permit.items():
        if len(sandboxes) > 1:
            found.append(Violation(f"{len(sandboxes)} sandboxes under permit {permit}", sandboxes[0].job, sandboxes[1].created))
    return Finding("each sandbox under a permit of its own", len(facts.sandboxes), found)


def nothing_left(facts: Facts) -> Finding:
    found = [Violation(f"{count} {what}") for what, count in facts.left.items() if count and what in ("sandboxes", "permits")]
    for sandbox in facts.sandboxes.values():
        if not sandbox.ended:
            found.append(Violation(f"{sandbox.id} lives, permit {sandbox.permit}", sandbox.job, sandbox.created))
    for permit, left_s in sorted(facts.permits_left.items(), key=lambda one: one[1])[-3:]:
        jobs = {call.job for call in facts.calls if is_grant(call) and call.answer[1] == permit}
        found.append(Violation(f"permit {permit} is held for another {left_s:.0f} s", next(iter(jobs), "")))
    return Finding("no sandbox and no permit is left", len(facts.sandboxes), found, f"waited {facts.settled_s:.0f} s")


def no_live_job_loses_its_sandbox(facts: Facts) -> Finding:
    """Whoever says SANDBOX_LOST of a sandbox that was killed by request, while nobody had taken its job over, was robbed."""
    found = []
    ended = {sandbox.id: sandbox for sandbox in facts.sandboxes.values() if sandbox.why == "killed"}
    for key in facts.jobs:
        by_attempt = {event.body["attempt"]: event.body["sandbox_id"] for event in facts.events_by_job[key]
                      if event.type == results_module.STARTED}
        lost = [by_attempt.get(event.body["attempt"]) for event in facts.events_by_job[key]
                if event.type == "e2b-worker.job.retrying.v1" and event.body.get("error", {}).get("code") == "SANDBOX_LOST"]
        for event in facts.finished(key)[:1]:
            lost += [attempt["sandbox_id"] for attempt in event.body["attempts"] if attempt["code"] == "SANDBOX_LOST"]
        for sandbox in {ended[one].id: ended[one] for one in lost if one in ended}.values():
            owners = {name_of(call.worker) for call in facts.calls_by_job[key] if call.op == "acquire"
                      and call.verdict in ("granted", "adopt", "sealed") and call.at <= sandbox.ended}
            if len(owners) < 2:
                found.append(Violation(f"{sandbox.id} was killed while its job ran", key, sandbox.ended))
    reaped = sum(event.type == results_module.REAPED for event in facts.events)
    return Finding("no live job's sandbox is killed", len(facts.jobs), found, f"{reaped} reaped")


def all_committed(facts: Facts) -> Finding:
    found = [Violation(f"{count} records of {topic} {partition}") for (topic, partition), count in facts.lag.items()]
    return Finding("all offsets are committed", sum(len(job.records) for job in facts.jobs.values()) + len(facts.unreadable), found)


def unreadable_kept(facts: Facts) -> Finding:
    found = [Violation(f"{record.topic} {record.partition} {record.offset}", "", record.at) for record in facts.unreadable
             if (record.topic, record.partition, record.offset) not in facts.dead_letters]
    return Finding("unreadable records are in the DLQ", len(facts.unreadable), found)


def started(facts: Facts, key: str):
    return [told for told in facts.starts.get(key, []) if told.what == "start"]


def processes_run_once(facts: Facts) -> Finding:
    """A process outlives its connection, its worker and the ledger; only a sandbox that E2B lost may make it run again. One
    that expired, or was killed, was given up by a worker."""
    found, checked = [], 0
    for key, job in facts.jobs.items():
        if job.mode != "process":
            continue
        checked += 1
        times = started(facts, key)
        for told, then in zip(times, times[1:]):
            sandbox = facts.sandboxes.get(told.sandbox)
            if not sandbox or sandbox.why != "lost":
                why = sandbox.why if sandbox and sandbox.ended and sandbox.ended < then.at else "still alive"
                found.append(Violation(f"started again in {then.sandbox}; the sandbox before it was {why}", key, then.at))
                break
    return Finding("processes that lost a worker or a stream ran once", checked, found)


def never_twice(facts: Facts) -> Finding:
    found = [Violation(f"started {len(started(facts, key))} times", key, started(facts, key)[1].at)
             for key, job in facts.jobs.items() if job.is_never and len(started(facts, key)) > 1]
    return Finding("\"after_start: never\" starts once at most", sum(job.is_never for job in facts.jobs.values()), found)


def once_in_each_sandbox(facts: Facts) -> Finding:
    found = []
    for key in facts.jobs:
        counts = collections.Counter(told.sandbox for told in started(facts, key))
        found += [Violation(f"started {count} times in {sandbox}", key) for sandbox, count in counts.items() if count > 1]
    return Finding("no program starts twice in one sandbox", len(facts.sandboxes), found)


def nothing_runs_twice(facts: Facts) -> Finding:
    """Of a rolling restart."""
    found = [Violation(f"{facts.jobs[key].mode}, {facts.jobs[key].seconds} s: started {len(started(facts, key))} times", key,
                       started(facts, key)[1].at) for key in facts.jobs if len(started(facts, key)) > 1]
    return Finding("a rolling restart repeats no job", len(facts.jobs), found)


def fair_shares(facts: Facts) -> Finding:
    windows = fairness.quiet_windows(facts)
    by_window = {since: fairness.shares(facts, since) for since in windows}
    shares = [share for found in by_window.values() for share in found]
    found = [Violation(f"{share.tenant} had {share.used_s:.0f} permit-seconds of {share.due_s:.0f} due in the 60 s from "
                       f"{(share.since - facts.began) / 1000:.0f} s; all: " + ", ".join(map(str, by_window[share.since])),
                       "", share.since) for share in shares if not share.is_fair]
    if windows and not shares:
        found.append(Violation("no tenant was backlogged for a whole quiet window: the load is too small to judge"))
    worst = min([share.used_s / share.due_s for share in shares], default=0)
    return Finding("backlogged tenants get their shares", len(shares), found,
                   f"{len(windows)} quiet windows, least share {worst:.2f}")


def nobody_in_the_way(facts: Facts) -> Finding:
    found, checked = [], 0
    for window in facts.windows:
        if window.name != "hoard":
            continue
        for key, job in facts.jobs.items():
            if job.kind != "behind_hoard" or not window.began <= job.published <= window.undone:
                continue
            checked += 1
            ends = [event.at for event in facts.finished(key)]
            if not ends or min(ends) > window.undone:
                found.append(Violation("waited behind the hoard until that had expired", key, job.published))
    return Finding("no tenant's jobs hold up the others", checked, found)


def recovers(facts: Facts) -> Finding:
    found = [Violation(f"{window.name}: {breach}", "", window.undone) for window in facts.windows for breach in window.breaches]
    return Finding("each fault is met, and work goes on after it", len(facts.windows), found)


def parts_are_well(facts: Facts) -> Finding:
    found = [Violation(text) for text in facts.problems + facts.failed_sends]
    return Finding("workers end when they are told, not before", 1, found)


def fits_schemas(facts: Facts) -> Finding:
    """All results and whatever is rare; of what comes often, one in twenty."""
    often = ("e2b-worker.job.started.v1", "e2b-worker.job.waiting.v1", "e2b-worker.worker.stats.v1")
    looked_at = [event for event in facts.events if event.type not in often or event.offset % 20 == 0]
    found = []
    for event in looked_at:
        try:
            stream.assert_fits_schema(event.type, event.body)
        except (AssertionError, OSError) as misfit:
            found.append(Violation(str(misfit)[:300], event.job if event.job in facts.jobs else "", event.at))
    return Finding("events fit their schemas", len(looked_at), found)


PROMISES = (one_result, same_verdict, right_verdict, within_limits, under_permit, nothing_left, no_live_job_loses_its_sandbox,
            all_committed, unreadable_kept, fits_schemas, processes_run_once, never_twice, once_in_each_sandbox, fair_shares,
            nobody_in_the_way, recovers, parts_are_well)


def judge(facts: Facts) -> list[Finding]:
    promises = [*PROMISES, nothing_runs_twice] if facts.options.scenario == "rolling" else PROMISES
    return [promise(facts) for promise in promises]
