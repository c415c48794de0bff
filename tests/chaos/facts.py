"""What is known at the end of a run, from everybody's own record: Kafka's topics, the wire to Redis, e2b-local's journal, the
jobs' counter, the workers' logs."""
from __future__ import annotations

import collections
import dataclasses
import datetime
import json
import pathlib

import results as results_module
import stream
from cluster import Limits, read_lines
from counter import Told
from faults import Window
from load import Job, Record
from results import Event
from wire import Call


@dataclasses.dataclass
class Sandbox:
    id: str
    created: int
    live_before: int
    permit: str = ""
    job: str = ""
    tenant: str = ""
    ended: int = 0
    why: str = ""
    notes: list[tuple[int, str]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Facts:
    options: object
    began: int
    load_began: int
    load_ended: int
    jobs: dict[str, Job]
    unreadable: list[Record]
    failed_sends: list[str]
    events: list[Event]
    calls: list[Call]
    starts: dict[str, list[Told]]
    sandboxes: dict[str, Sandbox]
    windows: list[Window]
    limits: Limits
    dead_letters: set[tuple[str, int, int]]  # where the originals stood
    lag: dict[tuple[str, int], int]
    left: dict[str, int]
    settled_s: float
    permits_left: dict[str, float]
    problems: list[str]
    log_lines: dict[str, list[tuple[int, str]]] = dataclasses.field(default_factory=lambda: collections.defaultdict(list))

    def __post_init__(self):
        self.events_by_job: dict[str, list[Event]] = collections.defaultdict(list)
        self.calls_by_job: dict[str, list[Call]] = collections.defaultdict(list)
        self.sandboxes_by_job: dict[str, list[Sandbox]] = collections.defaultdict(list)
        for event in self.events:
            self.events_by_job[event.job].append(event)
        for call in self.calls:
            if call.job:
                self.calls_by_job[call.job].append(call)
        for sandbox in self.sandboxes.values():
            self.sandboxes_by_job[sandbox.job].append(sandbox)

    def finished(self, key: str) -> list[Event]:
        return [event for event in self.events_by_job[key] if event.type == results_module.FINISHED]

    def life(self, key: str) -> tuple[int, int]:
        """From a job's first record to its first result, or to the end of the run."""
        ended = [event.at for event in self.finished(key)]
        return self.jobs[key].published, min(ended) if ended else self.load_ended + int(self.settled_s * 1000)

    def faults_during(self, since: int, until: int) -> list[Window]:
        return [window for window in self.windows if window.covers(since, until)]

    def read_logs(self, paths: list[pathlib.Path]) -> None:
        """The workers' lines about each job."""
        by_id = {job.id: key for key, job in self.jobs.items()}
        for path in paths:
            for line in read_lines(path):
                said = line.get("job")
                key = by_id.get(said) or (said if said in self.jobs else None)
                if key:
                    rest = {name: value for name, value in line.items()
                            if name not in ("at", "level", "event", "job", "tenant", "component", "worker")}
                    self.log_lines[key].append((at_ms(line["at"]), f"{path.stem} ({path.parent.name}) {line['event']} "
                                                + " ".join(f"{name}={value}" for name, value in rest.items())))


def at_ms(text: str) -> int:
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1000)


def read_journal(path: pathlib.Path) -> dict[str, Sandbox]:
    found: dict[str, Sandbox] = {}
    for line in read_lines(path):
        at, event, sandbox = at_ms(line["at"]), line["event"], found.get(line.get("sandbox"))
        if event == "sandbox.created":
            metadata = json.loads(line["metadata"])
            sandbox = found[line["sandbox"]] = Sandbox(line["sandbox"], at, line["live"], metadata.get("permit", ""),
                                                       metadata.get("job", ""), metadata.get("tenant", ""))
        elif not sandbox:
            continue  # a create without one, or the end that is set before a sandbox is told of
        elif event == "sandbox.ended":
            sandbox.ended, sandbox.why = at, line["why"]
        sandbox.notes.append((at, event + "".join(f" {name}={line[name]}" for name in ("live", "left_ms", "why") if name in line)))
    return found


def dead_letters(messages) -> set[tuple[str, int, int]]:
    found = set()
    for message in messages:
        headers = stream.header_texts(message)
        found.add((headers["__connect.errors.topic"], int(headers["__connect.errors.partition"]),
                   int(headers["__connect.errors.offset"])))
    return found


def what_is_left(run) -> dict[str, int]:
    """What must be nothing in the end."""
    cluster = run.cluster
    left = {"jobs without a result": run.load.open_count(),
            "sandboxes": cluster.live_sandboxes() or 0,
            "permits": len(cluster.permits())}
    if not any(left.values()):
        left["records not committed"] = sum(
            stream.committed_lag(cluster.kafka.bootstrap, cluster.names.group, cluster.consumed).values())
    return left


def gather(run) -> Facts:
    cluster = run.cluster
    bootstrap, names = cluster.kafka.bootstrap, cluster.names
    properties = {"isolation.level": "read_committed" if run.options.delivery == "transactional" else "read_uncommitted"}
    messages = results_module.read_all(bootstrap, names.results, cluster.topics[names.results], **properties)
    return Facts(options=run.options, began=run.began, load_began=run.load_began, load_ended=run.load_ended,
                 jobs=run.load.jobs, unreadable=run.load.unreadable, failed_sends=run.load.failed_sends,
                 events=[results_module.decode(message) for message in messages], calls=list(cluster.wire.calls),
                 starts=cluster.counter.by_job, sandboxes=read_journal(cluster.journal), windows=run.windows,
                 limits=cluster.limits, dead_letters=dead_letters(results_module.read_all(bootstrap, names.dlq, cluster.topics[names.dlq])),
                 lag=stream.committed_lag(bootstrap, names.group, cluster.consumed), left=run.left,
                 settled_s=run.settled_s, permits_left=cluster.permits(), problems=cluster.problems)
