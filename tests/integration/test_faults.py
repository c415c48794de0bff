"""Faults on real parts, one at a time: what the fakes say about them must be true of Kafka, Redis and a sandbox."""
from __future__ import annotations

import signal
import time

import redis
from stack import wait_until


def started(stream, job: str) -> bool:
    stream.take(0.1)
    return any(kind == "e2b-worker.job.started.v1" and body["job_id"] == job for kind, body in stream.events)


def process(job: str, seconds: int, **fields) -> dict:
    """A process that counts its starts in its sandbox."""
    return {"job_id": job, "language": "bash", "run_mode": "process", "artifacts": ["starts"],
            "code": f"echo start >> starts; echo begun; sleep {seconds}; echo over", "timeout_ms": 1000 * (seconds + 60),
            "template": "agent", **fields}


def is_one_whole_run(result: dict) -> None:
    assert result["status"] == "succeeded", result
    assert result["stdout"]["text"] == "begun\nover\n"
    assert [artifact["bytes"] for artifact in result["artifacts"]] == [len("start\n")], result["artifacts"]


def nothing_is_left(deployment, stream) -> None:
    wait_until(lambda: deployment.local.stats()["live"] == 0, 60, "no sandbox lives")
    wait_until(lambda: stream.committed_lag() == 0, 30, "every record is finished")
    assert {len(copies) for copies in stream.finished.values()} == {1}


def test_a_killed_workers_process_is_followed_to_its_end_by_another(deployment):
    stream = deployment.begin({"general": 2, "quick": 2})
    first = deployment.worker("w1")
    time.sleep(31)  # nobody is taken over while the ledger is young
    stream.publish("general", process("orphan", 45, retry={"after_start": "never"}))
    stream.publish("general", {"job_id": "again", "code": "import time; time.sleep(20); print('again')"})
    stream.producer.flush(10)
    wait_until(lambda: started(stream, "orphan") and started(stream, "again"), 60, "both jobs run")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(10)
    deployment.worker("w2")
    results = stream.collect(["orphan", "again"], 240)
    stream.drain(2)
    is_one_whole_run(results["orphan"])
    assert [attempt["adopted"] for attempt in results["orphan"]["attempts"]] == [True]
    assert results["again"]["status"] == "succeeded" and results["again"]["stdout"]["text"] == "again\n"
    nothing_is_left(deployment, stream)


def test_a_rolling_restart_hands_processes_over(deployment):
    stream = deployment.begin({"general": 2, "quick": 2})
    workers = [deployment.worker("w0", worker__drain_ms=1000)]
    stream.publish("general", process("travels", 30))
    stream.producer.flush(10)
    wait_until(lambda: started(stream, "travels"), 60, "the job runs")
    for i in (1, 2):
        workers.append(deployment.worker(f"w{i}", worker__drain_ms=1000))
        assert workers[i - 1].stop(60) == 0
    results = stream.collect(["travels"], 120)
    stream.drain(2)
    is_one_whole_run(results["travels"])
    assert len(results["travels"]["attempts"]) == 1
    nothing_is_left(deployment, stream)


def test_runs_outlive_a_redis_that_forgets_everything(deployment):
    stream = deployment.begin({"general": 2, "quick": 2})
    for name in ("w1", "w2"):
        deployment.worker(name)
    jobs = [f"kept-{i}" for i in range(8)]
    for i, job in enumerate(jobs):
        if i % 2:
            stream.publish("general", process(job, 10 + i))
        else:
            stream.publish("general", {"job_id": job, "code": f"import time; time.sleep({10 + i}); print('begun\\nover')"})
    stream.producer.flush(10)
    wait_until(lambda: all(started(stream, job) for job in jobs), 60, "all jobs run")
    redis.Redis(port=deployment.redis.port).flushall()
    stream.publish("general", {"job_id": "after", "code": "print('after')"})
    results = stream.collect([*jobs, "after"], 240)
    stream.drain(2)
    for i, job in enumerate(jobs):
        assert results[job]["status"] == "succeeded" and len(results[job]["attempts"]) == 1, results[job]
        assert not results[job]["possible_repeat"]
        if i % 2:
            is_one_whole_run(results[job])
    assert deployment.local.stats()["created"] == len(jobs) + 1
    nothing_is_left(deployment, stream)
