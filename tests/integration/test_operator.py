"""What an operator does to a deployment with the commands of e2b-worker: asks where a job is, cancels it, looks at limits
and sets them, and sends dead letters back. On a real Kafka, a real Redis, e2b-local and workers as processes."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import time

from stack import SANITIZER_WORDS, WORKER_PROGRAM, wait_until

OK, FAILED, UNAVAILABLE, TIMED_OUT = 0, 1, 69, 75
NOWHERE = "127.0.0.1:1"
LONG = "import time\nprint('begun', flush=True)\ntime.sleep({seconds})\nprint('over')"


class Operator:
    """Calls commands on a deployment's Kafka and Redis, with its names."""

    def __init__(self, deployment, **sets):
        self.deployment = deployment
        self.sets = [w for key, value in sets.items() for w in ("--set", f"{key.replace('__', '.')}={value}")]

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": self.deployment.stream.bootstrap,
                "REDIS_URL": self.deployment.redis.url, "E2B_API_URL": self.deployment.local.url, **more}

    def __call__(self, *words, status: int = OK, text: str = "", **env: str) -> subprocess.CompletedProcess:
        done = subprocess.run([WORKER_PROGRAM, *map(str, words), *self.deployment.names.sets(), *self.sets], input=text,
                              capture_output=True, text=True, timeout=90, env=self.environment(**env))
        for word in SANITIZER_WORDS:
            assert word not in done.stderr, done.stderr
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words, **more):
        return json.loads(self(*words, "--json", **more).stdout)

    def lines(self, *words, **more) -> list[dict]:
        return [json.loads(line) for line in self(*words, "--json", **more).stdout.splitlines()]

    def wait_place(self, job: str, place: str, *words) -> dict:
        def look():
            found = subprocess.run([WORKER_PROGRAM, "status", job, "--json", *words, *self.deployment.names.sets(),
                                    *self.sets], capture_output=True, text=True, timeout=60, env=self.environment())
            answer = json.loads(found.stdout or "{}")
            return answer if answer.get("place") == place else None
        return wait_until(look, 60, f"{job} is {place}", 0.3)


# ---- limits ----------------------------------------------------------------------------------------------------------


def row_of(answer: dict, name: str) -> dict:
    return next(row for row in answer["limits"] if row["limit"] == name)


def test_limits_are_shown_and_set_live(deployment):
    stream = deployment.begin({"general": 1})
    sets = {"limits__global": 1, "limits__interactive_percent": 0}
    operator = Operator(deployment, **sets)
    deployment.worker("w1", **sets)
    for n in range(3):
        stream.publish("general", {"job_id": f"l{n}", "code": LONG.format(seconds=25), "tenant_id": "acme"})
    stream.producer.flush(10)
    wait_until(lambda: row_of(operator.json("limits"), "global")["used"] == 1, 60, "the only place is taken")
    wait_until(lambda: row_of(operator.json("limits"), "global")["waiters"] == 1, 30, "a tenant waits")
    assert deployment.local.stats()["live"] == 1
    told = operator("limits", "set", "global", 3)
    assert told.stdout == f"global: 1 (configured) -> 3, live for all workers of ledger {deployment.names.ledger}\n"
    wait_until(lambda: deployment.local.stats()["live"] == 3, 30, "three live: the worker was not restarted")
    row = row_of(operator.json("limits", "show"), "global")
    assert (row["used"], row["max"], row["configured"], row["set"]) == (3, 3, 1, 3) and row["oldest_ms"] > 0
    assert row_of(operator.json("limits"), "tenant:acme")["used"] == 3
    lower = operator("limits", "set", "tenant:acme", 2)
    assert "no bound (configured) -> 2" in lower.stdout and "3 sandboxes live under it now" in lower.stdout
    header, *rows = operator("limits").stdout.splitlines()
    assert header.split() == ["LIMIT", "USED", "MAX", "CONFIGURED", "SET", "WAITERS", "OLDEST"]
    assert rows[0].split()[:5] == ["global", "3", "3", "1", "3"]
    change = operator.json("limits", "set", "global", "default")
    assert change == {"limit": "global", "before": 3, "set": None, "configured": 1, "used": 3}
    assert row_of(operator.json("limits"), "global")["max"] == 1
    stream.collect(["l0", "l1", "l2"], 120)


def test_a_limit_of_nothing_stops_what_is_new(deployment):
    stream = deployment.begin({"general": 1})
    operator = Operator(deployment)
    deployment.worker("w1")
    operator("limits", "set", "template:default", 0)
    stream.publish("general", {"job_id": "held", "code": "1"})
    stream.producer.flush(10)
    waiting = operator.wait_place("held", "waiting")
    assert waiting["last_event"]["data"]["limit"] == "template:default"
    operator("limits", "set", "template:default", "default")
    assert stream.collect(["held"], 60)["held"]["status"] == "succeeded"


def test_limits_without_redis():
    told = subprocess.run([WORKER_PROGRAM, "limits"], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "REDIS_URL": f"redis://operator:sesame@{NOWHERE}/3"})
    assert told.returncode == UNAVAILABLE and f"{NOWHERE}/3" in told.stderr and "sesame" not in told.stderr
