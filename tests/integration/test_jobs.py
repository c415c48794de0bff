"""The main job, end to end: a real Kafka, a real Redis, e2b-local, workers as processes, and an independent Kafka client
on both ends. Whoever publishes and reads here knows the README and schemas/, nothing else of the code."""
from __future__ import annotations

import time

import pytest
from stack import Worker, wait_until

TASK_TYPES = ("general", "data_analysis", "quick")


def test_python_bash_and_javascript_bring_their_results(deployment):
    stream = deployment.begin({"general": 2, "quick": 1})
    deployment.worker("w1")
    jobs = [
        {"job_id": "sum", "code": "print('grüße')\nx = 40\nx + 2", "labels": {"k": "v"}, "correlation_id": "c-1"},
        {"job_id": "raises", "code": "def f():\n    return 1 / 0\nf()"},
        {"job_id": "syntax", "code": "def f(:"},
        {"job_id": "exits", "code": "import sys\nprint('bye')\nsys.exit(4)"},
        {"job_id": "fence", "code": "```python\nprint('clean')\n```"},
        {"job_id": "slow", "code": "import time\nprint('begun', flush=True)\ntime.sleep(30)", "timeout_ms": 1500},
        {"job_id": "bash", "language": "bash", "code": "echo out; echo $((6*7)); exit 3"},
        {"job_id": "js", "language": "javascript", "code": "console.log([1,2].map(x => x * 2)); 6 * 7"},
        {"job_id": "figure", "code": "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.show()"},
        {"job_id": "env", "code": "import os; print(os.environ['WHO'])", "env": {"WHO": "it's \"me\""}},
        {"job_id": "files", "code": "open('out.txt', 'w').write(open('in/a.txt').read().upper())",
         "files": [{"path": "in/a.txt", "content": "hello"}], "artifacts": ["out.txt"]},
    ]
    for job in jobs:
        stream.publish("general", job)
    results = stream.collect([job["job_id"] for job in jobs], 120)

    assert results["sum"]["status"] == "succeeded"
    assert results["sum"]["stdout"]["text"] == "grüße\n"
    assert results["sum"]["results"][0]["text"] == "42" and results["sum"]["results"][0]["is_main_result"]
    assert results["sum"]["labels"] == {"k": "v"} and results["sum"]["correlation_id"] == "c-1"
    assert results["raises"]["error"]["code"] == "RUNTIME_ERROR"
    assert results["raises"]["error"]["user"]["name"] == "ZeroDivisionError"
    assert results["syntax"]["error"]["code"] == "SYNTAX_ERROR"
    assert (results["exits"]["error"]["code"], results["exits"]["exit_code"]) == ("NONZERO_EXIT", 4)
    assert results["fence"]["stdout"]["text"] == "clean\n" and "fence" in " ".join(results["fence"]["warnings"])
    assert (results["slow"]["status"], results["slow"]["error"]["code"]) == ("timed_out", "RUN_TIMEOUT")
    assert results["slow"]["stdout"]["text"] == "begun\n"
    assert results["bash"]["stdout"]["text"] == "out\n42\n"
    assert (results["bash"]["error"]["code"], results["bash"]["exit_code"]) == ("NONZERO_EXIT", 3)
    assert results["js"]["status"] == "succeeded" and "4" in results["js"]["stdout"]["text"]
    assert any("png" in result for result in results["figure"]["results"])
    assert results["env"]["stdout"]["text"] == "it's \"me\"\n"
    artifact = results["files"]["artifacts"][0]
    assert artifact["path"] == "out.txt" and artifact["content_base64"] == "SEVMTE8="
    wait_until(lambda: deployment.local.stats()["live"] == 0, 10, "no sandbox lives")


def test_bad_input_gets_a_clear_answer_and_loses_nothing(deployment):
    stream = deployment.begin({"general": 1, "quick": 1, "strange": 1})
    deployment.worker("w1", jobs__max_bytes=200_000)
    past = "2020-01-01T00:00:00Z"
    cases = {
        "type": ({"job_id": "type", "code": 5}, "INVALID_JOB", "/code"),
        "template": ({"job_id": "template", "code": "1", "template": "data_analysys"}, "UNKNOWN_TEMPLATE", "data_analysis"),
        "dots": ({"job_id": "dots", "code": "1", "files": [{"path": "../x", "content": ""}]}, "FILE_PATH_INVALID", "/files/0"),
        "big": ({"job_id": "big", "code": "#" * 300_000}, "PAYLOAD_TOO_LARGE", "200000"),
        "later": ({"job_id": "later", "code": "1", "not_before": "2130-01-01T00:00:00Z"}, "INVALID_JOB", "31 days"),
        "packages": ({"job_id": "packages", "code": "1", "requirements": {"packages": ["no-such-package"]}}, "NO_TEMPLATE_FITS", "no-such-package"),
    }
    for job, _, _ in cases.values():
        stream.publish("general", job)
    stream.publish("general", {"job_id": "expired", "code": "1", "expires_at": past})
    stream.publish("strange", {"job_id": "unknown-type", "code": "1"})
    stream.publish("general", {"job_id": "misspelt", "code": "print(1)", "timout_ms": 5})
    stream.publish("general", b"this is not JSON")
    stream.publish("general", b"neither is this", {"ce_id": "named", "ce_type": "x", "ce_source": "y", "ce_specversion": "1.0"})
    stream.publish("general", {"job_id": "after", "code": "print('after')"})
    results = stream.collect([*cases, "expired", "unknown-type", "misspelt", "named", "after"], 60)

    for name, (_, code, word) in cases.items():
        assert (results[name]["status"], results[name]["error"]["code"]) == ("rejected", code), results[name]["error"]
        assert word in results[name]["error"]["message"], results[name]["error"]
    assert results["expired"]["status"] == "expired"
    assert results["unknown-type"]["error"]["code"] == "UNKNOWN_TASK_TYPE"
    assert results["misspelt"]["status"] == "succeeded"
    assert "timeout_ms" in " ".join(results["misspelt"]["warnings"])
    assert results["named"]["error"]["code"] == "INVALID_JOB"
    assert results["after"]["stdout"]["text"] == "after\n"
    wait_until(lambda: stream.committed_lag() == 0, 20, "every record is finished")
    dlq = stream.read(deployment.names.dlq, 1)
    dead = {}
    deadline = time.monotonic() + 20
    while len(dead) < 3 and time.monotonic() < deadline:
        for message in dlq.consume(10, 0.5):
            headers = dict(message.headers() or [])
            dead[bytes(message.value())[:20]] = headers
    dlq.close()
    assert b"this is not JSON" in dead
    assert dead[b"this is not JSON"]["__connect.errors.topic"].decode() == deployment.names.jobs("general")
    assert deployment.local.stats()["created"] == 2  # misspelt and after: nothing else cost a sandbox


def test_repeats_and_conflicts_bring_no_second_result(deployment):
    stream = deployment.begin({"general": 1, "quick": 1})
    deployment.worker("w1")
    job = {"job_id": "once", "code": "print('first')"}
    stream.publish("general", job)
    stream.collect(["once"], 60)
    stream.publish("general", job)
    stream.publish("general", {"job_id": "once", "code": "print('other')"})
    stream.publish("general", {"job_id": "end", "code": "1"})
    stream.collect(["end"], 60)
    stream.drain(2)
    assert len(stream.finished["once"]) == 1
    duplicates = [body for kind, body in stream.events if kind == "e2b-worker.job.duplicate.v1"]
    assert len(duplicates) == 2
    assert deployment.local.stats()["created"] == 2
    wait_until(lambda: stream.committed_lag() == 0, 20, "every record is finished")


def test_two_thousand_jobs_over_twelve_partitions_by_two_workers_under_one_limit(deployment):
    stream = deployment.begin(dict.fromkeys(TASK_TYPES, 4))
    for name in ("w1", "w2"):
        deployment.worker(name, limits__global=50, events__lifecycle="false", log__level="info")
    jobs = [f"job-{i:04}" for i in range(2000)]
    for i, job in enumerate(jobs):
        stream.publish(TASK_TYPES[i % 3], {"job_id": job, "code": f"print({i} * 2)"})
    results = stream.collect(jobs, 600)
    stream.drain(2)

    assert {len(copies) for copies in stream.finished.values()} == {1}
    for i, job in enumerate(jobs):
        assert results[job]["status"] == "succeeded", results[job]
        assert results[job]["stdout"]["text"] == f"{i * 2}\n"
    wait_until(lambda: stream.committed_lag() == 0, 30, "every partition's committed offset is its end")
    wait_until(lambda: deployment.local.stats()["live"] == 0, 30, "no sandbox lives")
    stats = deployment.local.stats()
    assert stats["max_live"] <= 50, stats
    assert stats["created"] == stats["killed"] == 2000, stats


def test_one_worker_holds_five_hundred_jobs_at_once(deployment):
    stream = deployment.begin({"general": 4, "quick": 4})
    deployment.worker("w1", limits__global=500, limits__interactive_percent=0, worker__max_in_flight=600, log__level="info")
    jobs = [f"sleep-{i:03}" for i in range(500)]
    for job in jobs:
        stream.publish("quick", {"job_id": job, "language": "bash", "code": "sleep 5; echo done"})
    results = stream.collect(jobs, 120)
    assert all(results[job]["stdout"]["text"] == "done\n" for job in jobs)
    assert deployment.local.stats()["max_live"] == 500
    wait_until(lambda: deployment.local.stats()["live"] == 0, 30, "no sandbox lives")


def test_a_process_whose_stream_is_cut_ends_with_complete_output_and_one_start(deployment):
    stream = deployment.begin({"general": 1, "quick": 1})
    deployment.worker("w1")
    deployment.local.faults(cut_stream={"count": 1, "after_bytes": 2000, "plane": "process"})
    lines = 400
    stream.publish("general", {"job_id": "cut", "language": "bash", "run_mode": "process", "artifacts": ["starts"],
                               "code": f"echo start >> starts\nfor i in $(seq {lines}); do echo line $i; sleep 0.005; done"})
    result = stream.collect(["cut"], 60)["cut"]
    assert result["status"] == "succeeded", result["error"]
    assert result["stdout"]["text"] == "".join(f"line {i}\n" for i in range(1, lines + 1))
    assert result["artifacts"][0]["content_base64"] == "c3RhcnQK"  # one line
    assert result["attempts"][0]["n"] == 1 and len(result["attempts"]) == 1


def test_of_much_output_a_result_has_head_tail_and_the_true_length(deployment):
    stream = deployment.begin({"general": 1, "quick": 1})
    deployment.worker("w1")
    stream.publish("general", {"job_id": "much", "language": "bash", "run_mode": "process",
                               "code": "echo first; head -c 20971520 /dev/zero | tr '\\0' x; echo; echo last\n"
                                       "echo first error >&2; head -c 3000000 /dev/zero | tr '\\0' y >&2; echo >&2"})
    stream.publish("general", {"job_id": "little", "language": "bash", "run_mode": "process",
                               "limits": {"stdout_bytes": 11, "stderr_bytes": 0}, "code": "echo 0123456789; echo 01 >&2"})
    results = stream.collect(["much", "little"], 120)

    much = results["much"]
    assert (much["status"], much["warnings"]) == ("succeeded", [])
    for output, head, tail, total in (("stdout", "first\nxxx", "xxx\nlast\n", 20971520 + len("first\n\nlast\n")),
                                      ("stderr", "first error\nyyy", "yyy\n", 3000000 + len("first error\n\n"))):
        text, missing = much[output]["text"], total - 65536
        assert much[output]["bytes_total"] == total and much[output]["truncated"]
        assert text.startswith(head) and text.endswith(tail)
        assert len(text) == 65536 + len(f"\n[... {missing} bytes are missing here ...]\n")
        assert f"\n[... {missing} bytes are missing here ...]\n" in text
    assert results["little"]["stdout"] == {"text": "0123456789\n", "bytes_total": 11, "truncated": False}
    assert results["little"]["stderr"] == {"text": "[... 3 bytes are missing here ...]\n", "bytes_total": 3,
                                           "truncated": True}


def test_a_process_that_is_killed_for_memory_is_told_from_others(deployment):
    """In little memory: whoever touches much of it on a busy machine may well be at its deadline before its limit."""
    stream = deployment.begin({"general": 1, "quick": 1}, "--template", "code-interpreter-v1:2:128")
    if not deployment.local.limits_sandboxes():
        pytest.skip("no control groups here")
    deployment.worker("w1")
    hungry = "x = b'x' * (3 << 30)"
    jobs = [
        {"job_id": "process", "code": f"print('begun')\n{hungry}"},
        {"job_id": "child", "language": "bash", "code": f"echo begun; python3 -c \"{hungry}\""},
        {"job_id": "refused", "code": "print('begun')\nx = bytearray(1 << 60)"},
        {"job_id": "killed", "language": "bash", "code": "echo begun; kill -9 $$"},
        {"job_id": "137", "language": "bash", "code": "echo begun; exit 137"},
    ]
    for job in jobs:
        stream.publish("general", {**job, "run_mode": "process"})
    results = stream.collect([job["job_id"] for job in jobs], 180)

    found = {name: (result["error"]["code"], result["signal"], result["exit_code"]) for name, result in results.items()}
    assert found == {"process": ("OUT_OF_MEMORY", 9, None), "child": ("OUT_OF_MEMORY", None, 137),
                     "refused": ("OUT_OF_MEMORY", None, 1), "killed": ("SIGNALED", 9, None),
                     "137": ("NONZERO_EXIT", None, 137)}
    assert {result["stdout"]["text"] for result in results.values()} == {"begun\n"}


def test_absent_parts_are_named_and_waited_for(deployment, tmp_path):
    stream = deployment.begin({"general": 1, "quick": 1})
    names = deployment.names
    worker = deployment.worker("w1", ready=False, redis__url="redis://127.0.0.1:1")
    wait_until(lambda: "redis" in worker.get("/readyz")[1].lower(), 20, "/readyz names Redis")
    assert worker.get("/readyz")[0] == 503
    assert worker.get("/healthz")[0] == 200
    assert worker.stop() == 0
    lost = Worker(tmp_path / "w2", "w2", kafka="127.0.0.1:1", redis=deployment.redis.url, e2b=deployment.local.url, names=names)
    wait_until(lambda: "kafka" in lost.get("/readyz")[1].lower(), 30, "/readyz names Kafka")
    assert lost.stop() == 0
    alone = Worker(tmp_path / "w3", "w3", kafka=stream.bootstrap, redis=deployment.redis.url, e2b="http://127.0.0.1:1", names=names)
    wait_until(lambda: "e2b" in alone.get("/readyz")[1].lower(), 30, "/readyz names E2B")
    assert alone.stop() == 0


def test_a_wrong_key_says_so_and_does_not_burn_through_the_topic(deployment):
    stream = deployment.begin({"general": 1, "quick": 1}, "--api-key", "e2b_" + "1" * 40)
    worker = deployment.worker("w1", ready=False)
    for i in range(20):
        stream.publish("general", {"job_id": f"key-{i}", "code": "print(1)"})
    stream.producer.flush(10)
    wait_until(lambda: "E2B_AUTH" in worker.get("/readyz")[1], 30, "/readyz says E2B_AUTH")
    time.sleep(3)
    stream.drain(1)
    assert not stream.finished
    assert stream.committed_lag() == 20


def test_a_drain_finishes_what_runs_and_leaves_the_rest(deployment):
    stream = deployment.begin({"general": 2, "quick": 1})
    first = deployment.worker("w1", limits__global=2)
    for i in range(6):
        stream.publish("general", {"job_id": f"drain-{i}", "code": "import time; time.sleep(2); print('ok')"})
    stream.producer.flush(10)
    wait_until(lambda: deployment.local.stats()["live"] == 2, 30, "two jobs run")
    assert first.stop(60) == 0
    assert deployment.local.stats()["live"] == 0
    deployment.worker("w2", limits__global=2)
    results = stream.collect([f"drain-{i}" for i in range(6)], 90)
    stream.drain(1)
    assert all(result["status"] == "succeeded" for result in results.values())
    assert {len(copies) for copies in stream.finished.values()} == {1}
