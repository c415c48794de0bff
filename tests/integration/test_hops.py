"""Jobs that wait in retry topics, on a real Kafka: those that start later, and those of a tenant with more than its part of
the queue. Nothing is said about how long anything takes, but what must not happen too early."""
from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone

from stack import wait_until

TIERS = ("1m", "10m", "1h")


def later(seconds: float) -> str:
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def copies(stream, tier: str) -> list[dict]:
    reader = stream.read(stream.names.retry + tier, 1)
    found, until = [], time.monotonic() + 3
    while time.monotonic() < until:
        for message in reader.consume(500, 0.3):
            if not message.error():
                headers = {name: value.decode() for name, value in message.headers()}
                found.append({"key": message.key().decode(), "value": json.loads(message.value()), "headers": headers})
    reader.close()
    return found


def test_jobs_wait_in_retry_topics_and_each_has_one_result(deployment):
    stream = deployment.begin({"general": 2, "quick": 1})
    code = "print('not too early')"
    slow = [f"slow{i}" for i in range(40)]
    first = deployment.worker("w1", worker__max_in_flight=8, limits__tenants__slow=1)
    begun, due = datetime.now(timezone.utc), later(75)
    stream.publish("general", {"job_id": "later", "code": code, "not_before": due}, {"traceparent": "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"})
    stream.publish("general", {"job_id": "tomorrow", "code": code, "not_before": later(86400)})
    stream.publish("quick", {"code": code, "not_before": due}, {"ce_id": "by-event"})
    for job in slow:
        stream.publish("general", {"job_id": job, "tenant_id": "slow", "code": "import time; time.sleep(20)"})
    stream.publish("general", {"job_id": "behind", "tenant_id": "other", "code": "print(1)"})
    results = stream.collect(["behind"], 120)
    assert results["behind"]["status"] == "succeeded"
    assert len(set(slow) & set(stream.finished)) < len(slow), "it did not have to wait for all that stood before it"
    wait_until(lambda: copies(stream, "1h"), 30, "tomorrow's job is in the topic of an hour")
    wait_until(lambda: any(c["key"].startswith("slow") for c in copies(stream, "1m")), 30, "some went on a hop")

    copy = next(c for c in copies(stream, "1m") if c["key"] == "later")
    assert copy["value"] == {"job_id": "later", "code": code, "not_before": due}
    headers = copy["headers"]
    assert headers["x-hop"] == "1" and headers["x-topic"] == stream.names.jobs("general") and headers["x-job-id"] == "later"
    assert headers["traceparent"].startswith("00-abab")
    assert datetime.fromtimestamp(int(headers["x-not-before"]) / 1000, timezone.utc) == datetime.fromisoformat(due.replace("Z", "+00:00"))
    assert int(begun.timestamp() * 1000) <= int(headers["x-first-seen"]) <= int(headers["x-wake-at"]) <= int(headers["x-not-before"])
    for job in slow:
        order = {"action": "cancel", "job_id": job, "tenant_id": "slow"}
        stream.producer.produce(stream.names.control, json.dumps(order).encode(), job.encode())
    first.stop(60)  # what waits, waits in Kafka
    deployment.worker("w2", worker__max_in_flight=8, limits__tenants__slow=1)

    results = stream.collect([*slow, "later", "by-event"], 240)
    assert {results[job]["status"] for job in slow} <= {"cancelled", "succeeded"}
    assert sum(results[job]["status"] == "cancelled" for job in slow) > len(slow) / 2
    for job in ("later", "by-event"):
        assert results[job]["status"] == "succeeded"
        assert results[job]["stdout"]["text"] == "not too early\n"
        assert results[job]["timing"]["started_at"] >= due, results[job]["timing"]
    assert results["by-event"]["task_type"] == "quick"
    reasons = {body["reason"] for ce_type, body in stream.events if ce_type == "e2b-worker.job.waiting.v1"}
    assert {"not_before", "tenant_share"} <= reasons
    stream.drain()
    assert all(len(found) == 1 for found in stream.finished.values()), "no job has two results"
    wait_until(lambda: stream.committed_lag() == 0, 30, "every record of the jobs' topics is finished")
    assert "tomorrow" not in stream.finished
