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
ENDLESS = "import time\nprint('begun', flush=True)\ntime.sleep(280)"  # until it is cancelled


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


# ---- status ----------------------------------------------------------------------------------------------------------


def test_status_follows_a_job_from_nowhere_to_its_result(deployment):
    stream = deployment.begin({"general": 1})
    operator = Operator(deployment)
    unknown = operator("status", "follow", status=FAILED)
    assert "job follow of tenant default: unknown" in unknown.stdout and "not in the ledger" in unknown.stdout
    worker = deployment.worker("w1", limits__global=1)
    stream.publish("general", {"job_id": "follow", "code": ENDLESS})
    stream.publish("general", {"job_id": "behind", "code": "1", "tenant_id": "acme"})
    stream.producer.flush(10)
    running = operator.wait_place("follow", "running")
    claim = running["claim"]
    assert claim["worker"] == "w1" and claim["worker_is_alive"] and claim["attempt"] == 1
    assert not claim["cancel_pending"] and claim["permit"]
    sandbox = wait_until(lambda: operator.json("status", "follow")["claim"]["sandbox_id"], 30, "the sandbox is bound")
    told = operator("status", "follow").stdout
    assert "attempt 1 by worker w1" in told and sandbox in told and "more" in told
    waiting = operator.wait_place("behind", "waiting", "--tenant", "acme")
    assert waiting["last_event"]["type"] == "e2b-worker.job.waiting.v1"
    assert waiting["last_event"]["data"]["limit"] == "global"
    assert "limit global" in operator("status", "behind", "--tenant", "acme").stdout
    operator("status", "behind", status=FAILED)  # of another tenant
    operator("cancel", "follow", "--wait")
    assert stream.collect(["follow", "behind"], 60)["behind"]["status"] == "succeeded"
    over = operator.wait_place("follow", "finished")
    assert over["status"] == "cancelled" and over["result"]["topic"] == deployment.names.results
    place = over["result"]
    reader = stream.read(place["topic"], 3)
    while True:
        message = reader.consume(1, 20)[0]
        if (message.partition(), message.offset()) == (place["partition"], place["offset"]):
            break
    assert json.loads(message.value())["job_id"] == "follow"
    assert dict(message.headers())["ce_type"] == b"e2b-worker.job.finished.v1"
    reader.close()
    assert worker.is_alive()


def test_status_tells_of_a_job_that_waits_in_a_retry_topic(deployment):
    stream = deployment.begin({"general": 1})
    operator = Operator(deployment)
    deployment.worker("w1")
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    stream.publish("general", {"job_id": "tomorrow", "code": "1", "not_before": later})
    stream.producer.flush(10)
    parked = operator.wait_place("tomorrow", "parked")
    assert parked["claim"]["hop"] == 1 and parked["claim"]["worker"] is None and parked["result"] is None
    assert "as copy 1, in a retry topic" in operator("status", "tomorrow").stdout


def test_status_without_redis_tells_what_kafka_remembers(deployment):
    stream = deployment.begin({"general": 1})
    operator = Operator(deployment)
    deployment.worker("w1")
    stream.publish("general", {"job_id": "known", "code": "1"})
    stream.collect(["known"], 60)
    away = operator("status", "known", REDIS_URL=f"redis://operator:sesame@{NOWHERE}/0")
    assert "cannot be asked" in away.stderr and NOWHERE in away.stderr and "sesame" not in away.stderr + away.stdout
    assert "job known of tenant default: finished" in away.stdout and "succeeded" in away.stdout
    told = operator.json("status", "known", REDIS_URL=f"redis://{NOWHERE}")
    assert told["place"] == "finished" and not told["ledger"]["answers"] and told["claim"] is None
    nothing = operator("status", "unknown", status=UNAVAILABLE, REDIS_URL=f"redis://{NOWHERE}")
    assert "not known" in nothing.stderr
    both = operator("status", "known", "--connect-timeout", 2, status=UNAVAILABLE, REDIS_URL=f"redis://{NOWHERE}",
                    KAFKA_BOOTSTRAP_SERVERS=NOWHERE)
    assert NOWHERE in both.stderr
    assert operator("status", "known", KAFKA_BOOTSTRAP_SERVERS=NOWHERE).stdout  # the ledger suffices


def test_a_ledger_without_workers_and_one_that_is_rebuilt_say_so(deployment):
    deployment.begin({"general": 1})
    operator = Operator(deployment)
    new = operator("limits")
    assert "nothing is granted now" in new.stderr and "no worker has pulsed" in new.stderr
    worker = deployment.worker("w1")
    assert "granted" not in operator("limits").stderr
    answer = operator.json("limits")
    assert answer["grants"] and answer["workers"] == 1
    subprocess.run(["redis-cli", "-p", str(deployment.redis.port), "FLUSHALL"], check=True, capture_output=True)

    def rebuilding():
        told = operator("status", "nobody", status=FAILED)
        return "the ledger is being rebuilt, for" in told.stdout
    wait_until(rebuilding, 30, "status says that the ledger is being rebuilt", 0.2)
    assert "the ledger is being rebuilt" in operator("limits").stderr or operator.json("limits")["grants"]
    assert worker.is_alive()


# ---- cancel ----------------------------------------------------------------------------------------------------------


def test_a_running_job_is_cancelled_with_what_it_printed(deployment):
    stream = deployment.begin({"general": 1})
    operator = Operator(deployment)
    deployment.worker("w1")
    stream.publish("general", {"job_id": "endless", "code": ENDLESS, "run_mode": "process"})
    stream.producer.flush(10)
    operator.wait_place("endless", "running")
    outputs = deployment.local.directory
    wait_until(lambda: any(b"begun" in path.read_bytes() for path in outputs.rglob("out*") if path.is_file()), 60, "it has printed")
    told = operator("cancel", "endless", "--wait", "--timeout", 60)
    assert told.stdout.startswith("cancelled") and "sent to " + deployment.names.control in told.stderr
    result = stream.collect(["endless"], 30)["endless"]
    assert result["status"] == "cancelled" and result["error"]["code"] == "CANCELLED"
    assert result["stdout"]["text"] == "begun\n"
    wait_until(lambda: deployment.local.stats()["live"] == 0, 30, "its sandbox is gone")
    again = operator("cancel", "endless", "--wait", "--json")
    assert json.loads(again.stdout)["status"] == "cancelled" and "had ended before" in again.stderr


def test_a_job_that_waits_is_cancelled_before_it_starts(deployment):
    stream = deployment.begin({"general": 1})
    operator = Operator(deployment)
    deployment.worker("w1", limits__global=1)
    stream.publish("general", {"job_id": "first", "code": ENDLESS})
    stream.producer.flush(10)
    operator.wait_place("first", "running")
    stream.publish("general", {"job_id": "second", "code": "print('never')"})
    stream.producer.flush(10)
    operator.wait_place("second", "waiting")
    result = operator.json("cancel", "second", "--wait", "--timeout", 60)
    assert result["status"] == "cancelled" and result["attempts"] == [] and result["job_id"] == "second"
    assert operator.json("cancel", "first", "--wait")["status"] == "cancelled"


def test_a_cancel_may_come_before_its_job_and_is_seen_to_be_pending(deployment):
    stream = deployment.begin({"general": 1})
    operator = Operator(deployment)
    deployment.worker("w1")
    where = operator.json("cancel", "early")
    assert where["topic"] == deployment.names.control and where["offset"] == 0
    pending = operator.wait_place("early", "waiting")
    assert pending["claim"]["cancel_pending"] and pending["claim"]["attempt"] == 0
    assert "a cancel is pending" in operator("status", "early").stdout
    stream.publish("general", {"job_id": "early", "code": "1"})
    assert stream.collect(["early"], 60)["early"]["status"] == "cancelled"


def test_a_verdict_that_stands_is_told_and_nobody_is_waited_for_in_vain(deployment):
    stream = deployment.begin({"general": 1})
    operator = Operator(deployment)
    deployment.worker("w1")
    stream.publish("general", {"job_id": "done", "code": "1"})
    stream.collect(["done"], 60)
    operator.wait_place("done", "finished")
    late = operator("cancel", "done", "--wait", status=FAILED)
    assert late.stdout == "succeeded\n" and "had ended before" in late.stderr
    assert operator("cancel", "nobody", "--wait", "--timeout", 2, status=TIMED_OUT).stdout == ""
    away = operator("cancel", "done", "--connect-timeout", 2, status=UNAVAILABLE, KAFKA_BOOTSTRAP_SERVERS=NOWHERE)
    assert NOWHERE in away.stderr


# ---- limits ----------------------------------------------------------------------------------------------------------


def row_of(answer: dict, name: str) -> dict:
    return next(row for row in answer["limits"] if row["limit"] == name)


def test_limits_are_shown_and_set_live(deployment):
    stream = deployment.begin({"general": 1})
    sets = {"limits__global": 1, "limits__interactive_percent": 0}
    operator = Operator(deployment, **sets)
    deployment.worker("w1", **sets)
    for n in range(3):
        stream.publish("general", {"job_id": f"l{n}", "code": ENDLESS, "tenant_id": "acme"})
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
    for n in range(3):
        operator("cancel", f"l{n}", "--tenant", "acme", "--wait")


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


# ---- dead letters ----------------------------------------------------------------------------------------------------


def dead_letters(operator: Operator, count: int) -> list[dict]:
    return wait_until(lambda: (rows := operator.lines("dlq", "list")) and len(rows) >= count and rows, 60,
                      f"{count} dead letters")


def test_dead_letters_are_listed_and_go_back_as_they_were(deployment):
    stream = deployment.begin({"general": 1})
    names = deployment.names
    operator = Operator(deployment)
    assert "no such record" in operator("dlq", "list").stderr
    worker = deployment.worker("w1")
    stream.publish("general", b"not JSON", {"mine": b"\x01\x02", "__connect.errors.topic": b"forged"})
    stream.publish("general", {"job_id": "conflict", "code": "1"})
    stream.collect(["conflict"], 60)
    stream.publish("general", {"job_id": "conflict", "code": "2"})
    stream.producer.flush(10)
    letters = dead_letters(operator, 2)
    assert {(r["topic"], r["partition"], r["offset"], r["code"]) for r in letters} == {
        (names.jobs("general"), 0, 0, "INVALID_JOB"), (names.jobs("general"), 0, 2, "JOB_ID_CONFLICT")}
    invalid, conflict = sorted(letters, key=lambda r: r["offset"])
    assert invalid["bytes"] == 8 and invalid["key"] == "raw" and invalid["job_id"] is None
    assert conflict["job_id"] == "conflict"
    table = operator("dlq", "list").stdout
    assert f"{names.jobs('general')}/0/2" in table and "JOB_ID_CONFLICT" in table and "conflict" in table
    newest = operator.lines("dlq", "list", "--max", 1)
    assert [r["code"] for r in newest] == ["JOB_ID_CONFLICT"]
    assert operator.lines("dlq", "list", "--code", "INVALID_JOB") == [invalid]
    worker.stop()  # what goes back is looked at in its topic

    dry = operator("dlq", "requeue", "--all", "--dry-run")
    assert dry.stdout.count("would go to " + names.jobs("general")) == 2
    refused = operator("dlq", "requeue", "--all", status=FAILED, text="n\n")
    assert "requeue 2 records?" in refused.stderr and "nothing was requeued" in refused.stderr
    one = operator.lines("dlq", "requeue", "--partition", 0, "--offset", 0)
    assert one == [{"done": "sent", "why_not": None, "job_id": None, "code": "INVALID_JOB", "dlq_partition": 0,
                    "dlq_offset": invalid["dlq_offset"], "topic": names.jobs("general"), "partition": 0, "offset": 3}]
    reader = stream.read(names.jobs("general"), 1)
    records = []
    wait_until(lambda: records.extend(reader.consume(10, 1)) or len(records) == 4, 30, "it is in its topic again")
    first, back = records[0], records[3]
    assert back.value() == first.value() == b"not JSON" and back.key() == first.key() == b"raw"
    assert back.headers() == [("mine", b"\x01\x02"),
                              ("x-requeued-from", f"{names.dlq}/0/{invalid['dlq_offset']}".encode())]
    reader.close()
    both = operator("dlq", "requeue", "--all", text="y\n")
    assert both.stdout.count(" sent to ") == 2 and "2 requeued, 0 not" in both.stderr
    assert "no such record" in operator("dlq", "requeue", "--job", "unheard", status=FAILED).stderr


def test_a_requeued_job_runs_and_one_that_is_done_is_a_duplicate(deployment):
    stream = deployment.begin({"general": 1})
    names = deployment.names
    operator = Operator(deployment)
    job = {"job_id": "later", "code": "print('ran')", "labels": {"filler": "x" * 200}}
    cause = {"__connect.errors.topic": names.jobs("general"), "__connect.errors.partition": "0",
             "__connect.errors.offset": "7", "__connect.errors.exception.class.name": "WORKER_CRASHED",
             "__connect.errors.exception.message": "its workers died over it"}
    for _ in range(2):  # the same record, brought here twice
        stream.producer.produce(names.dlq, json.dumps(job).encode(), b"later", headers=cause)
    stream.producer.produce(names.dlq, None, b"empty", headers={**cause, "__connect.errors.offset": "8"})
    stream.producer.produce(names.dlq, b"{}", b"foreign", headers={**cause, "__connect.errors.topic": names.results})
    stream.producer.flush(10)
    told = operator("dlq", "requeue", "--code", "WORKER_CRASHED", status=FAILED)
    assert told.stdout.count(" sent to ") == 1 and told.stdout.count(" stays: ") == 2, told.stdout
    assert "it has no value" in told.stdout and "topics.jobs does not name" in told.stdout
    assert "1 are the same records once more" in told.stderr and "1 requeued, 2 not" in told.stderr
    deployment.worker("w1")
    assert stream.collect(["later"], 60)["later"]["stdout"]["text"] == "ran\n"
    operator.wait_place("later", "finished")
    operator("dlq", "requeue", "--job", "later")

    def duplicates():
        stream.take(0.2)
        return [body for kind, body in stream.events if kind == "e2b-worker.job.duplicate.v1"]
    assert wait_until(duplicates, 60, "a duplicate is told")[0]["first"]["status"] == "succeeded"
    assert len(stream.finished["later"]) == 1
    assert operator.json("status", "later")["status"] == "succeeded"


def test_dead_letters_of_a_cluster_that_is_not_there():
    told = subprocess.run([WORKER_PROGRAM, "dlq", "list", "--connect-timeout", "2"], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": NOWHERE})
    assert told.returncode == UNAVAILABLE and NOWHERE in told.stderr


def test_an_interrupted_call_ends_at_once(deployment):
    deployment.begin({"general": 1})
    operator = Operator(deployment)
    waiting = subprocess.Popen([WORKER_PROGRAM, "cancel", "nobody", "--wait", *deployment.names.sets()],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=operator.environment())
    assert "sent to" in waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=30)
    assert waiting.returncode == 130 and "the cancel was sent" in said
