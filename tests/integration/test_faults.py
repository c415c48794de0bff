"""Faults on real parts, one at a time: what the fakes say about them must be true of Kafka, Redis and a sandbox."""
from __future__ import annotations

import json
import signal
import time
import urllib.error
import urllib.request

import redis
from stack import API_KEY, wait_until


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


def create(local, metadata: dict) -> str:
    """A sandbox that another made."""
    body = {"templateID": "base", "timeout": 300, "metadata": metadata}
    request = urllib.request.Request(local.url + "/sandboxes", json.dumps(body).encode(), method="POST",
                                     headers={"Content-Type": "application/json", "X-API-Key": API_KEY})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["sandboxID"]


def is_there(local, sandbox: str) -> bool:
    request = urllib.request.Request(f"{local.url}/sandboxes/{sandbox}", headers={"X-API-Key": API_KEY})
    try:
        urllib.request.urlopen(request, timeout=10).close()
        return True
    except urllib.error.HTTPError as refused:
        assert refused.code == 404
        return False


def test_what_nobody_has_a_right_to_is_reaped_and_what_is_foreign_is_not(deployment):
    stream = deployment.begin({"general": 2})
    deployment.worker("w1")
    ours = {"svc": "e2b-worker", "ledger": deployment.names.ledger, "permit": "6a0bd3a5-7f0c-4d59-8a0e-6d3c0a1d9b77",
            "job": "acme/stray", "tenant": "acme", "template": "default"}
    stray = create(deployment.local, ours)
    foreign = [create(deployment.local, {}), create(deployment.local, {**ours, "ledger": "another"}),
               create(deployment.local, {name: ours[name] for name in ("svc", "ledger")})]
    stream.publish("general", {"job_id": "lives", "code": "import time; time.sleep(50); print('lived')"})
    wait_until(lambda: not is_there(deployment.local, stray), 60, "the stray sandbox is reaped")
    results = stream.collect(["lives"], 120)
    stream.drain(2)
    assert results["lives"]["status"] == "succeeded" and len(results["lives"]["attempts"]) == 1
    reaped = [body for kind, body in stream.events if kind == "e2b-worker.sandbox.reaped.v1"]
    assert [(body["sandbox_id"], body["job_id"], body["reason"]) for body in reaped] == [(stray, "stray", "no_permit")]
    assert reaped[0]["age_ms"] < 70000 and reaped[0]["cost"]["nano_usd"] > 0 and reaped[0]["template"] == "default"
    assert all(is_there(deployment.local, sandbox) for sandbox in foreign)


def test_no_job_fails_for_an_e2b_that_fails(deployment):
    stream = deployment.begin({"general": 4})
    worker = deployment.worker("w1")
    jobs = [f"job-{i}" for i in range(12)]
    deployment.local.faults(create_fail={"count": 1000, "status": 500, "message": "Failed to place sandbox"})
    for job in jobs:
        stream.publish("general", {"job_id": job, "code": "print(1)", "retry": {"max_attempts": 1}})
    stream.producer.flush(10)
    wait_until(lambda: "makes no sandboxes since 20" in worker.get("/readyz")[1], 30, "/readyz says what is wrong")
    assert worker.get("/readyz")[0] == 503
    time.sleep(20)
    stream.drain(1)
    assert stream.finished == {} and len(worker.events("sandbox.create_failed")) < 12 + 20
    deployment.local.faults(create_fail={"count": 0, "status": 500})
    results = stream.collect(jobs, 120)
    assert {result["status"] for result in results.values()} == {"succeeded"}
    assert {len(result["attempts"]) for result in results.values()} == {1}
    wait_until(lambda: worker.get("/readyz")[0] == 200, 30, "it is ready again")
