"""What the integration tests share: a real Kafka for the whole session, an e2b-local for those that only need it, and
whole deployments, each for one test."""
from __future__ import annotations

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from stack import API_KEY, Kafka, Local, Names, Redis, Worker  # noqa: E402
from stream import Stream  # noqa: E402


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """One real broker; tests keep apart by the names of their topics (stack.Names)."""
    broker = Kafka(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def e2b_local(tmp_path_factory):
    """One e2b-local for all tests; the SDKs' environment points at it."""
    local = Local(tmp_path_factory.mktemp("e2b-local"), "--log-level", "warn", "--template", "small:0.5:128")
    saved = dict(os.environ)
    os.environ.update(E2B_API_KEY=API_KEY, E2B_API_URL=local.url, E2B_SANDBOX_URL=local.url)
    yield local
    os.environ.clear()
    os.environ.update(saved)
    assert local.is_alive(), "e2b-local ended by itself: " + local.output()[-4000:]
    local.stop()


@pytest.fixture
def deployment(kafka, tmp_path):
    """Starts Redis and e2b-local for one test, and workers when asked; stops all of them, sanitizers heard."""
    parts = []

    class Deployment:
        names = Names()
        redis = None
        local = None

        def begin(self, partitions: dict[str, int], *local_options: str) -> Stream:
            self.redis = Redis(tmp_path / "redis")
            parts.append(self.redis)
            self.local = Local(tmp_path / "local", "--log-level", "warn", *local_options)
            parts.append(self.local)
            self.stream = Stream(kafka, self.names, partitions)
            return self.stream

        def worker(self, name: str, ready: bool = True, env: dict | None = None, e2b: str | None = None,
                   **sets) -> Worker:
            values = {key.replace("__", "."): value for key, value in sets.items()}
            worker = Worker(tmp_path / name, name, kafka=kafka.bootstrap, redis=self.redis.url,
                            e2b=e2b or self.local.url, names=self.names, sets=values, env=env)
            parts.insert(0, worker)
            if ready:
                worker.wait_ready()
            return worker

    yield Deployment()
    failures = []
    for part in parts:
        try:
            part.stop(60)
        except AssertionError as failure:
            failures.append(str(failure))
    assert not failures, "\n".join(failures)
