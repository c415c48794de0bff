"""What comes out of the results topic: read along while the run goes on, and once more from the beginning by whoever
judges."""
from __future__ import annotations

import collections
import dataclasses
import json
import threading
import time

import confluent_kafka
import stream

FINISHED, STARTED = "e2b-worker.job.finished.v1", "e2b-worker.job.started.v1"
REAPED = "e2b-worker.sandbox.reaped.v1"


@dataclasses.dataclass
class Event:
    type: str
    id: str
    source: str
    body: dict
    value: bytes
    partition: int
    offset: int
    at: int  # when the broker, or its producer, had it

    @property
    def job(self) -> str:
        return f"{self.body.get('tenant_id')}/{self.body.get('job_id')}"

    @property
    def verdict(self) -> tuple:
        """What a repeat must not change."""
        error = self.body.get("error") or {}
        return (self.body["status"], error.get("code"), self.body["exit_code"], self.body["signal"],
                self.body["stdout"]["text"], self.body["stderr"]["text"])


def decode(message) -> Event:
    headers = stream.header_texts(message)
    return Event(headers["ce_type"], headers["ce_id"], headers["ce_source"], json.loads(message.value()), message.value(),
                 message.partition(), message.offset(), message.timestamp()[1])


class Results(threading.Thread):
    """Reads along. on_finished and on_started are called with a job's key, on this thread."""

    def __init__(self, bootstrap: str, topic: str, partitions: int):
        super().__init__(daemon=True, name="results")
        self.reader = stream.open_reader(bootstrap, topic, partitions)
        self.on_finished = self.on_started = lambda key: None
        self.finished: dict[str, Event] = {}
        self.started: dict[str, list[Event]] = collections.defaultdict(list)
        self.is_over = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.is_over.is_set():
                for message in self.reader.consume(500, 0.1):
                    if not message.error():
                        self.take(decode(message))
        except BaseException as error:
            self.error = error
        finally:
            self.reader.close()

    def take(self, event: Event) -> None:
        if event.type == FINISHED:
            self.finished.setdefault(event.job, event)
            self.on_finished(event.job)
        elif event.type == STARTED:
            self.started[event.job].append(event)
            self.on_started(event.job)

    def stop(self) -> None:
        self.is_over.set()
        if self.is_alive():
            self.join(20)
        if self.error:
            raise self.error


def read_all(bootstrap: str, topic: str, partitions: int, timeout_s: float = 60, **properties) -> list:
    """All messages of a topic, up to where it ends now."""
    reader = stream.open_reader(bootstrap, topic, partitions, **{"enable.partition.eof": True, **properties})
    found, at_end = [], set()
    deadline = time.monotonic() + timeout_s
    while len(at_end) < partitions:
        assert time.monotonic() < deadline, f"{topic} could not be read to its end within {timeout_s} s"
        for message in reader.consume(1000, 0.5):
            if not message.error():
                found.append(message)
                at_end.discard(message.partition())
            elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                at_end.add(message.partition())
    reader.close()
    return found
