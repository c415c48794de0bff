"""Input that is hostile or unlucky: copies of running jobs, floods, a tenant that stands in front of all others."""
from __future__ import annotations

import datetime

from faults import Hands, fault
from load import LIMITED_TENANT, PARTITIONS

MALFORMED, HOARD, HOARD_S = 10_000, 1500, 75


def some_running(hands: Hands, count: int):
    running = [key for key in list(hands.results.started) if key not in hands.results.finished]
    return [hands.load.jobs[key] for key in hands.random.sample(running, min(count, len(running)))]


@fault("running jobs come again: the same bytes, other bytes, corrupt, expired", 15)
def copies(hands: Hands):
    count = 0
    for what in ("copy", "conflict", "corrupt", "expired"):
        for job in some_running(hands, 6):
            hands.load.publish_copy(job, what)
            count += 1
        yield 1.5
    hands.note(f"{count} copies")


@fault(f"{MALFORMED} malformed records in one partition; it must go on", 40)
def malformed(hands: Hands):
    task = hands.random.choice(sorted(PARTITIONS))
    topic, partition = hands.load.names.jobs(task), hands.random.randrange(PARTITIONS[task])
    kinds = (b"{", b"\xff\xfe\x00", b'{"tenant_id": 7, "job_id": "x"}', b"plain text")
    for number in range(MALFORMED):
        hands.load.publish_unreadable(topic, partition, kinds[number % len(kinds)])
    hands.note(f"{topic} {partition}")
    probe = hands.load.maker.make("t2", "python", task_type=task)
    hands.load.publish(probe, partition)
    for _ in range(600):
        if probe.key in hands.results.finished:
            hands.note("the job behind them is finished")
            return
        yield 0.1


@fault(f"a tenant with a limit of one puts {HOARD} jobs in front of the others; each is good for {HOARD_S} s", 120)
def hoard(hands: Hands):
    load = hands.load
    load.is_paused = True
    try:
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=HOARD_S)
        for _ in range(HOARD):
            job = load.maker.make(LIMITED_TENANT, "bash", expires_at=end.strftime("%Y-%m-%dT%H:%M:%SZ"))
            job.kind = "hoard"
            load.publish(job)
        probes = []
        for task, count in PARTITIONS.items():
            for partition in range(count):
                job = load.maker.make(hands.random.choice(["t2", "t3", "t4"]), "bash", task_type=task)
                job.kind = "behind_hoard"
                probes.append(load.publish(job, partition))
        hands.note(f"{HOARD} jobs, {len(probes)} of others behind them")
    finally:
        load.is_paused = False
    yield HOARD_S + 5
    behind = [job.key for job in probes if job.key not in hands.results.finished]
    hands.note(f"{len(behind)} of the {len(probes)} behind them were not finished when the last of them had expired")
