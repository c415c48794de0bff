"""Whether tenants that always had jobs waiting got what their weights promise, where no fault was near."""
from __future__ import annotations

import dataclasses

from load import BACKLOGGED

WINDOW_MS, WARM_UP_MS, SEEN_MS, STEP_MS = 60_000, 8000, 2000, 1000
DOUBT_MS = 5000  # a permit that lives on for so long without a sandbox
DOUBT_MOST_MS = 170_000  # ... and at most, when nobody was seen to free it: a ledger may forget it
LEAST = 0.8


@dataclasses.dataclass
class Share:
    since: int
    tenant: str
    used_s: float
    due_s: float

    def __str__(self) -> str:
        return f"{self.tenant} {self.used_s:.0f} of {self.due_s:.0f}"

    @property
    def is_fair(self) -> bool:
        return self.used_s >= LEAST * self.due_s


def doubts(facts) -> list[tuple[int, int]]:
    """When a permit stood for no sandbox: a worker died or lost an answer while it created one, and until nothing can come of
    that any more the place is its tenant's. From when, until when."""
    freed = {call.permit: call.at for call in facts.calls if call.op == "release" and call.verdict == "1"}
    sandboxes = {sandbox.permit: sandbox for sandbox in facts.sandboxes.values()}
    found = []
    for call in facts.calls:
        if call.op != "acquire" or call.verdict != "granted":
            continue
        permit = call.answer[1]
        sandbox, until = sandboxes.get(permit), freed.get(permit, call.at + DOUBT_MOST_MS)
        since = sandbox.ended or until if sandbox else call.at
        if until - since > DOUBT_MS:
            found.append((since, until))
    return found


def quiet_windows(facts) -> list[int]:
    """Where 60 s without a fault, and without its aftermath, begin."""
    found, at = [], facts.load_began + WARM_UP_MS
    edges = sorted([*((window.began, window.recovered or window.undone) for window in facts.windows), *doubts(facts)])
    for began, over in [*edges, (facts.load_ended, facts.load_ended)]:
        while at + WINDOW_MS <= began:
            found.append(at)
            at += WINDOW_MS
        at = max(at, over + WARM_UP_MS)
    return found


def waits(facts, tenant: str) -> list[tuple[int, int]]:
    """Of each job: from when it can be known to be there until its first grant."""
    found = []
    for key, job in facts.jobs.items():
        if job.tenant == tenant and job.mode != "none":
            granted = [call.at for call in facts.calls_by_job[key] if call.op == "acquire" and call.verdict == "granted"]
            found.append((job.published + SEEN_MS, min(granted, default=facts.life(key)[1])))
    return found


def is_backlogged(facts, tenant: str, since: int) -> bool:
    intervals = waits(facts, tenant)
    return all(any(begin <= at < end for begin, end in intervals) for at in range(since, since + WINDOW_MS, STEP_MS))


def shares(facts, since: int) -> list[Share]:
    tenants = [tenant for tenant in BACKLOGGED if is_backlogged(facts, tenant, since)]
    used = dict.fromkeys(tenants, 0.0)
    for sandbox in facts.sandboxes.values():
        if sandbox.tenant in used:
            overlap = min(sandbox.ended or since + WINDOW_MS, since + WINDOW_MS) - max(sandbox.created, since)
            used[sandbox.tenant] += max(0, overlap) / 1000
    weight = sum(BACKLOGGED[tenant] for tenant in tenants)
    if len(tenants) < 2:
        return []
    return [Share(since, tenant, used[tenant], sum(used.values()) * BACKLOGGED[tenant] / weight) for tenant in tenants]
