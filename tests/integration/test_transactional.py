"""results.delivery=transactional on real parts: a reader of what is committed sees each result once, whoever died."""
from __future__ import annotations

import json
import random
import time

import confluent_kafka
import redis
from stack import wait_until
from stream import QUIET, header_texts

TRANSACTIONAL = {"results__delivery": "transactional"}
FINISHED = "e2b-worker.job.finished.v1"


def ids_seen(stream, isolation: str) -> list[str]:
    """The ce_id of every result that stands in the topic, in the eyes of such a reader."""
    reader = confluent_kafka.Consumer({"bootstrap.servers": stream.bootstrap, "group.id": "looks", "enable.auto.commit": False,
                                       "isolation.level": isolation, "enable.partition.eof": True, **QUIET})
    reader.assign([confluent_kafka.TopicPartition(stream.names.results, p, 0) for p in range(3)])
    found, ends = [], set()
    while len(ends) < 3:
        for message in reader.consume(500, 20):
            if message.error():
                ends.add(message.partition())
                continue
            headers = header_texts(message)
            if headers["ce_type"] == FINISHED:
                found.append(headers["ce_id"])
    reader.close()
    return found


def each_once(stream, jobs: list[str]) -> None:
    wait_until(lambda: stream.committed_lag() == 0, 60, "every record is finished")
    seen = ids_seen(stream, "read_committed")
    assert sorted(seen) == sorted(job + ":finished" for job in jobs), len(seen)


def publish_to(stream, task: str, partition: int, job: dict) -> None:
    stream.producer.produce(stream.names.jobs(task), json.dumps(job).encode(), b"any", partition=partition)
    stream.producer.flush(10)


def test_each_result_is_seen_once_over_deaths_and_rebalances(deployment):
    stream = deployment.begin({"general": 4, "quick": 2})
    rng, jobs = random.Random(5), []
    sets = {**TRANSACTIONAL, "limits__global": 12, "worker__drain_ms": 2000}

    def some(count: int) -> None:
        for _ in range(count):
            job = {"job_id": f"t{len(jobs)}", "code": f"import time; time.sleep({rng.random():.2f}); print({len(jobs)})"}
            task = rng.choice(["general", "quick"])
            jobs.append(job["job_id"])
            stream.publish(task, job)
            if rng.random() < 0.15:  # the same record again, anywhere
                publish_to(stream, task, rng.randrange(stream.partitions[stream.names.jobs(task)]), job)
        stream.producer.flush(10)

    first, second = deployment.worker("w1", **sets), deployment.worker("w2", **sets)
    some(40)
    time.sleep(3)
    first.kill9()  # in the middle of its results, of a transaction perhaps
    some(40)
    third = deployment.worker("w3", **sets)  # a rebalance under load
    some(40)
    time.sleep(2)
    second.stop(60)
    deployment.worker("w4", **sets)
    some(20)
    time.sleep(1)
    third.kill9()
    some(20)
    deployment.worker("w5", **sets)
    results = stream.collect(jobs, 300)
    assert {result["status"] for result in results.values()} == {"succeeded"}
    stream.drain(2)
    each_once(stream, jobs)
    wait_until(lambda: deployment.local.stats()["live"] == 0, 60, "no sandbox lives")


def test_a_copy_of_what_a_dead_worker_committed_brings_no_second_result(deployment):
    """It dies after its transaction, and before it could tell Redis so."""
    stream = deployment.begin({"general": 2})
    job = {"job_id": "once", "code": "print(1)"}
    first = deployment.worker("w1", results__transaction_ms=500, **TRANSACTIONAL)
    ledger, claim = redis.Redis.from_url(deployment.redis.url), f"{{e2b:{stream.names.ledger}}}:j:default/once"
    publish_to(stream, "general", 0, job)
    wait_until(lambda: ledger.hget(claim, "state") == b"sealed", 60, "its verdict is sealed", 0.002)
    ledger.execute_command("ACL", "SETUSER", "default", "-@scripting")  # what it says from now on is refused
    stream.collect(["once"], 20)
    first.kill9()
    ledger.execute_command("ACL", "SETUSER", "default", "+@scripting")
    assert ledger.hget(claim, "state") == b"sealed"
    assert ledger.hget(claim, "place").decode() == stream.names.jobs("general") + "/0/0"
    publish_to(stream, "general", 1, job)
    deployment.worker("w2", **TRANSACTIONAL)
    wait_until(lambda: stream.committed_lag() == 0, 120, "the copy is finished")
    assert ledger.hget(claim, "state") == b"done"
    stream.drain(3)
    each_once(stream, ["once"])
    assert [body["job_id"] for kind, body in stream.events if kind == "e2b-worker.job.duplicate.v1"] == ["once"]


def test_a_drained_worker_leaves_its_verdict_to_the_next(deployment):
    stream = deployment.begin({"general": 2})
    first = deployment.worker("w1", worker__drain_ms=20000, **TRANSACTIONAL)
    jobs = [f"d{i}" for i in range(6)]
    for i, job in enumerate(jobs):
        publish_to(stream, "general", i % 2, {"job_id": job, "code": "import time; time.sleep(6); print('over')"})
    wait_until(lambda: deployment.local.stats()["live"] == len(jobs), 60, "all of them run")
    deployment.worker("w2", **TRANSACTIONAL)
    first.stop(60)
    results = stream.collect(jobs, 40)
    assert all(len(result["attempts"]) == 1 for result in results.values())
    stream.drain(2)
    each_once(stream, jobs)


def test_metrics_and_doctor_tell_of_transactions(deployment):
    stream = deployment.begin({"general": 1})
    worker = deployment.worker("w1", **TRANSACTIONAL)
    stream.publish("general", {"job_id": "m", "code": "print(1)"})
    stream.collect(["m"], 60)
    wait_until(lambda: "e2b_worker_transactions_committed_total 0" not in worker.get("/metrics")[1], 10, "it is counted")
    lines = dict(line.split(" ") for line in worker.get("/metrics")[1].splitlines() if line.startswith("e2b_worker_transactions"))
    assert int(lines["e2b_worker_transactions_committed_total"]) >= 1
    assert lines["e2b_worker_transactions_aborted_total"] == lines["e2b_worker_transactions_rebuilt_total"] == "0"
