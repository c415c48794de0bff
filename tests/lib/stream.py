"""The caller's side of a deployment: publishes jobs, reads what comes out of the results topic, and holds every message
against its schema, by a validator that is not ours."""
from __future__ import annotations

import collections
import functools
import json
import time

import confluent_kafka
import confluent_kafka.admin
from jsonschema import Draft202012Validator
from stack import ROOT, Names

TYPE_PREFIX = "e2b-worker."
QUIET = {"log_level": 0}  # brokers come and go here: what clients think of that is no news


@functools.cache
def validator(ce_type: str) -> Draft202012Validator:
    """Of schemas/<type without "e2b-worker.">.json; a type without a schema fails."""
    assert ce_type.startswith(TYPE_PREFIX), ce_type
    path = ROOT / "schemas" / f"{ce_type.removeprefix(TYPE_PREFIX)}.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def assert_fits_schema(ce_type: str, body) -> None:
    problems = [f"/{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in validator(ce_type).iter_errors(body)]
    assert not problems, f"{ce_type}: {problems}\n{json.dumps(body)[:4000]}"


def create_topics(bootstrap: str, partitions: dict[str, int], copies: int = 1) -> None:
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": bootstrap, **QUIET})
    topics = [confluent_kafka.admin.NewTopic(topic, count, copies) for topic, count in partitions.items()]
    for future in admin.create_topics(topics).values():
        future.result()


def find_topics(bootstrap: str, prefix: str) -> dict[str, int]:
    """Topics whose names begin so, and how many partitions each has."""
    topics = confluent_kafka.admin.AdminClient({"bootstrap.servers": bootstrap, **QUIET}).list_topics(timeout=20).topics
    return {name: len(topic.partitions) for name, topic in topics.items() if name.startswith(prefix)}


def open_reader(bootstrap: str, topic: str, partitions: int, **properties) -> confluent_kafka.Consumer:
    """Reads all of a topic from its beginning, in no group."""
    reader = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "reads-" + topic,
                                       "enable.auto.commit": False, **QUIET, **properties})
    reader.assign([confluent_kafka.TopicPartition(topic, p, 0) for p in range(partitions)])
    return reader


def header_texts(message) -> dict[str, str]:
    return {name: value.decode() for name, value in message.headers() or []}


def committed_lag(bootstrap: str, group: str, partitions: dict[str, int]) -> dict[tuple[str, int], int]:
    """Records that the group has not committed as finished, where there are any."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False,
                                         **QUIET})
    parts = [confluent_kafka.TopicPartition(topic, p) for topic, count in partitions.items() for p in range(count)]
    lag = {}
    for part in consumer.committed(parts, 10):
        _, high = consumer.get_watermark_offsets(confluent_kafka.TopicPartition(part.topic, part.partition), 10)
        if high > max(part.offset, 0):
            lag[part.topic, part.partition] = high - max(part.offset, 0)
    consumer.close()
    return lag


class Stream:
    """Publishes jobs and reads what comes out of the results topic."""

    def __init__(self, kafka, names: Names, partitions: dict[str, int]):
        self.names, self.bootstrap = names, kafka.bootstrap
        self.partitions = {names.jobs(task): count for task, count in partitions.items()}
        create_topics(kafka.bootstrap, {**self.partitions, names.results: 3, names.dlq: 1, names.control: 1,
                                        **{names.retry + tier: 1 for tier in ("1m", "10m", "1h")}})
        self.producer = confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 5, **QUIET})
        self.reader = self.read(names.results, 3)
        self.finished: dict[str, list[dict]] = collections.defaultdict(list)
        self.events: list[tuple[str, dict]] = []

    def read(self, topic: str, partitions: int):
        return open_reader(self.bootstrap, topic, partitions)

    def publish(self, task_type: str, job: dict | bytes, headers: dict | None = None) -> None:
        value = job if isinstance(job, bytes) else json.dumps(job).encode()
        key = b"raw" if isinstance(job, bytes) else str(job.get("job_id", "")).encode()
        self.producer.produce(self.names.jobs(task_type), value, key, headers=headers or {})
        self.producer.poll(0)

    def collect(self, job_ids, timeout_s: float) -> dict[str, dict]:
        """Reads until each job has its terminal event; fails naming those that have none."""
        self.producer.flush(30)
        wanted = set(job_ids)
        deadline = time.monotonic() + timeout_s
        while wanted - set(self.finished):
            missing = sorted(wanted - set(self.finished))
            assert time.monotonic() < deadline, f"{len(missing)} jobs without a result, e.g. {missing[:5]}"
            self.take(0.5)
        return {job: self.finished[job][0] for job in wanted}

    def take(self, timeout_s: float) -> None:
        for message in self.reader.consume(500, timeout_s):
            if message.error():
                continue
            headers = header_texts(message)
            body = json.loads(message.value())
            assert headers["content-type"] == "application/json"
            assert_fits_schema(headers["ce_type"], body)
            self.events.append((headers["ce_type"], body))
            if headers["ce_type"] == "e2b-worker.job.finished.v1":
                assert headers["ce_id"] == body["job_id"] + ":finished"
                self.finished[body["job_id"]].append(body)

    def drain(self, quiet_s: float = 1.0) -> None:
        until = time.monotonic() + quiet_s
        while time.monotonic() < until:
            self.take(0.2)

    def committed_lag(self) -> int:
        """Records of the jobs' topics that the group has not committed as finished."""
        return sum(committed_lag(self.bootstrap, self.names.group, self.partitions).values())
