"""The subcommands of e2b-worker, as an operator and as a script meet them. The broker is `dev broker` (librdkafka's
mock cluster); with E2BW_KAFKA (a bootstrap address) what needs the Admin API runs against that one as well."""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import uuid

import pytest
from stack import API_KEY, SANITIZER_WORDS, WORKER_PROGRAM, Names, Part, Redis, Worker, free_port, wait_until

OK, FAILED, USAGE, NO_INPUT, UNAVAILABLE, TIMED_OUT, CONFIG = 0, 1, 2, 66, 69, 75, 78
COMMANDS = ("run", "submit", "watch", "status", "cancel", "limits", "dlq", "config", "doctor", "topics", "dev")
NOWHERE = "127.0.0.1:1"
OURS = ("KAFKA_", "REDIS_", "E2B_", "E2BW_WORKER_")


def environment(**more: str) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if not name.startswith(OURS)}, **more}


def call(*words, text: str | None = None, timeout: float = 60, **env: str) -> subprocess.CompletedProcess:
    done = subprocess.run([WORKER_PROGRAM, *map(str, words)], input=text or "", capture_output=True, text=True,
                          timeout=timeout, env=environment(**env))
    for word in SANITIZER_WORDS:
        assert word not in done.stderr, done.stderr
    return done


class Broker(Part):
    def __init__(self, folder: pathlib.Path, *words: str):
        port_file = folder / "broker.port"
        super().__init__("broker", folder, [WORKER_PROGRAM, "dev", "broker", *words, "--port-file", port_file])
        wait_until(lambda: port_file.exists(), 20, "the broker listens")
        self.bootstrap = port_file.read_text().strip()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    part = Broker(tmp_path_factory.mktemp("broker"), "extra.topic")
    yield part
    part.signal(signal.SIGINT)
    part.process.wait(10)
    assert part.stop() == OK


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    part = Redis(tmp_path_factory.mktemp("redis"))
    yield part
    part.stop()


@pytest.fixture(scope="module")
def worker(tmp_path_factory, broker, redis, e2b_local):
    """A worker with the default topics; the environment of calls that talk to it."""
    folder, names = tmp_path_factory.mktemp("worker"), Names()
    names.sets = lambda: []
    part = Worker(folder, "commands", kafka=broker.bootstrap, redis=redis.url, e2b=e2b_local.url, names=names)
    part.wait_ready()
    yield {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "REDIS_URL": redis.url, "E2B_API_KEY": API_KEY,
           "E2B_API_URL": e2b_local.url, "E2B_SANDBOX_URL": e2b_local.url}
    assert part.stop() == OK


# ---- words -----------------------------------------------------------------------------------------------------------


def test_help_tells_of_every_command():
    told = call("--help")
    assert told.returncode == OK
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", told.stdout, re.M)
        own = call(command, "--help")
        assert own.returncode == OK and own.stdout.startswith(f"usage: e2b-worker {command} ")
        assert "--config FILE" in own.stdout and "Exit codes" in own.stdout and own.stderr == ""
        assert max(map(len, own.stdout.splitlines())) <= 112


@pytest.mark.parametrize("words, said", [
    ((), ""),
    (("sumbit",), "did you mean 'submit'"),
    (("submit", "--wiat"), "unknown option '--wiat'"),
    (("submit", "a", "b"), "one file a call"),
    (("submit", "--timeout"), "needs a value"),
    (("submit", "--timeout", "soon"), "must be a number from 1"),
    (("submit", "--count", "0"), "must be a number from 1"),
    (("watch", "--type", "finished,ended"), "there is no event 'ended'"),
    (("watch", "--since", "-1"), "must be a number from 0"),
    (("watch", "now"), "unexpected argument 'now'"),
    (("config",), "say print"),
    (("config", "show"), "'show' is none of"),
    (("topics",), "say create or check"),
    (("topics", "drop"), "neither create nor check"),
    (("topics", "create", "--partitions", "many"), "must be a number from 1"),
    (("dev",), "say broker"),
    (("doctor", "who"), "unexpected argument 'who'"),
    (("status",), "say which job"),
    (("status", "a", "b"), "one job a call"),
    (("status", "a b"), "a job's id must be"),
    (("status", "a", "--tenant", "ü"), "--tenant must be"),
    (("status", "a", "--since", "yesterday"), "must be a number from 0"),
    (("cancel",), "say which job"),
    (("cancel", "a/b"), "a job's id must be"),
    (("cancel", "a", "--timeout", "0"), "must be a number from 1"),
    (("limits", "lower", "global"), "neither show nor set"),
    (("limits", "show", "global"), "unexpected argument 'global'"),
    (("limits", "set", "global"), "limits set global 50"),
    (("limits", "set", "globl", "3"), "no limit has this name"),
    (("limits", "set", "template:defautl", "3"), "did you mean 'default'"),
    (("limits", "set", "global", "many"), "from 0 to 100000"),
    (("dlq",), "say list or requeue"),
    (("dlq", "drop"), "neither list nor requeue"),
    (("dlq", "requeue"), "say which"),
    (("dlq", "requeue", "--topic", "t"), "say which"),
    (("dlq", "requeue", "--all", "--code", "X"), "not both"),
    (("dlq", "requeue", "--offset", "3"), "--offset needs --partition"),
    (("dlq", "requeue", "--all", "--max", "3"), "--max is for list"),
    (("dlq", "list", "--yes"), "are for requeue"),
    (("dlq", "list", "--max", "0"), "must be a number from 1"),
])
def test_wrong_words_are_named(words, said):
    told = call(*words)
    assert told.returncode == USAGE
    assert said in told.stderr
    assert not words or "--help" in told.stderr


@pytest.mark.parametrize("words", [("config", "print"), ("submit",), ("watch",), ("status", "j"), ("cancel", "j"), ("limits",),
                                   ("dlq", "list"), ("doctor",), ("topics", "check"), ("dev", "broker")])
def test_a_wrong_configuration_ends_every_command_with_78(words):
    told = call(*words, "--set", "limits.globl=3")
    assert told.returncode == CONFIG
    assert "limits.globl" in told.stderr and "limits.global" in told.stderr


# ---- config ----------------------------------------------------------------------------------------------------------


def test_config_prints_what_is_in_force_and_no_secret():
    told = call("config", "print", "--set", "limits.global=7", E2B_API_KEY="e2b_verysecret",
                REDIS_URL="redis://user:hushhush@127.0.0.1:6379/0")
    assert told.returncode == OK
    printed = json.loads(told.stdout)
    assert printed["limits"]["global"] == 7 and printed["mode"] == "production"
    assert "verysecret" not in told.stdout and "hushhush" not in told.stdout


def test_config_check_says_simulation():
    told = call("config", "check")
    assert told.returncode == OK and "mode=simulation" in told.stdout


def test_config_schema_and_table_know_the_keys():
    schema = call("config", "schema")
    assert schema.returncode == OK and "limits" in json.loads(schema.stdout)["properties"]
    table = call("config", "table")
    assert table.returncode == OK and "limits.global" in table.stdout and "|" in table.stdout


# ---- dev broker, topics ----------------------------------------------------------------------------------------------


def test_the_broker_says_how_to_use_it(broker):
    assert f"export KAFKA_BOOTSTRAP_SERVERS={broker.bootstrap}" in broker.output()
    assert "--set kafka.properties.fetch.wait.max.ms=20" in broker.output()
    assert "topic extra.topic, 4 partitions" in broker.output()
    assert "topic e2b.jobs.data_analysis" in broker.output()


def test_topics_of_a_dev_broker_are_all_there(broker):
    told = call("topics", "check", "--partitions", 4, KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap)
    lines = told.stdout.splitlines()
    assert told.returncode in (OK, FAILED) and lines[0].split() == ["TOPIC", "PARTITIONS", "STATE"]
    states = {line.split()[0]: line.split()[1:3] for line in lines[1:]}
    assert states["e2b.jobs.general"] == ["4", "ok"] and states["e2b.results"] == ["4", "ok"]
    assert {"e2b.control", "e2b.dlq", "e2b.jobs.machine_learning"} <= states.keys()
    assert all(states["e2b.retry." + tier] == ["4", "ok"] for tier in ("1m", "10m", "1h"))


def test_topics_check_names_what_is_missing(broker):
    told = call("topics", "check", "--task-types", "general,unheard_of", KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap)
    assert told.returncode == FAILED
    assert re.search(r"^e2b.jobs.unheard_of +- +MISSING", told.stdout, re.M)
    assert "topics create" in told.stderr


def test_a_dev_broker_makes_no_topics_and_that_is_said(broker):
    told = call("topics", "create", "--task-types", "unheard_of", "--timeout", 2, KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap)
    assert told.returncode == UNAVAILABLE
    assert broker.bootstrap in told.stderr and "Admin API" in told.stderr


def test_topics_are_made_and_found_well_on_a_real_broker(request):
    bootstrap = os.environ.get("E2BW_KAFKA") or request.getfixturevalue("kafka").bootstrap
    names = Names()
    words = [*names.sets(), "--task-types", "general,data_analysis"]
    env = {"KAFKA_BOOTSTRAP_SERVERS": bootstrap}
    missing = call("topics", "check", *words, **env)
    assert missing.returncode == FAILED and missing.stdout.count("MISSING") == 8
    made = call("topics", "create", *words, "--partitions", 5, "--retention-hours", 1, **env)
    assert made.returncode == OK, made.stdout + made.stderr
    assert re.search(rf"^{re.escape(names.jobs('general'))} +5 +created", made.stdout, re.M)
    again = call("topics", "create", *words, "--partitions", 5, **env)
    assert again.returncode == OK and "created" not in again.stdout
    assert call("topics", "check", *words, "--partitions", 5, **env).returncode == OK
    few = call("topics", "check", *words, "--partitions", 6, **env)
    assert few.returncode == FAILED and "it has 5 partitions" in few.stdout


# ---- a cluster that cannot be used -----------------------------------------------------------------------------------

@pytest.mark.parametrize("words", [("submit",), ("watch",), ("topics", "create"), ("submit", "--wait", "--timeout", "3")])
def test_an_absent_cluster_is_told_soon_with_address_cause_and_what_to_do(words):
    told = call(*words, text='{"code": "1"}', timeout=20, KAFKA_BOOTSTRAP_SERVERS=NOWHERE)
    assert told.returncode == UNAVAILABLE and told.stdout == ""
    line, = told.stderr.splitlines()
    for part in (f"Kafka at {NOWHERE} cannot be used", "Connection refused", "check KAFKA_BOOTSTRAP_SERVERS"):
        assert part in line


@pytest.mark.parametrize("words", [("submit", "--connect-timeout", "3"), ("watch", "--connect-timeout", "3"),
                                   ("topics", "check", "--timeout", "3")])
@pytest.mark.parametrize("properties, cause, to_do", [
    ({"security.protocol": "ssl"}, "(ssl://", "security.protocol"),  # a handshake that failed, or a mere end of it
    ({"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "secret1"},
     "the broker does not accept our credentials", "check sasl.*"),
])
def test_wrong_security_is_told_with_the_cause(broker, words, properties, cause, to_do):
    sets = [word for name, value in properties.items() for word in ("--set", f"kafka.properties.{name}={value}")]
    told = call(*words, *sets, text='{"code": "1"}', timeout=20, KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap)
    assert told.returncode == UNAVAILABLE
    assert broker.bootstrap in told.stderr and cause in told.stderr and to_do in told.stderr, told.stderr
    assert "secret1" not in told.stderr


def test_a_topic_that_is_not_there_is_told_soon(request):
    bootstrap = os.environ.get("E2BW_KAFKA") or request.getfixturevalue("kafka").bootstrap
    topic = Names().jobs("absent")
    sent = call("submit", "--connect-timeout", 3, "--topic", topic, text='{"code": "1", "template": "default"}', timeout=20,
                KAFKA_BOOTSTRAP_SERVERS=bootstrap)
    assert sent.returncode == UNAVAILABLE and f'Kafka has no topic "{topic}"; create it' in sent.stderr, sent.stderr
    read = call("watch", "--connect-timeout", 3, "--set", f"topics.results={topic}", timeout=20, KAFKA_BOOTSTRAP_SERVERS=bootstrap)
    assert read.returncode == UNAVAILABLE and f'Kafka has no topic "{topic}"; create it' in read.stderr, read.stderr


def test_a_cluster_that_comes_later_is_waited_for_as_long_as_one_says(broker):
    """The address listens after 7 s; what it says of the brokers leads to the broker itself."""
    port, ends = free_port(), []
    submit = subprocess.Popen([WORKER_PROGRAM, "submit", "--topic", "extra.topic", "--connect-timeout", "60"], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment(KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{port}"))
    submit.stdin.write('{"code": "1", "job_id": "late-1", "template": "default"}')
    submit.stdin.close()
    time.sleep(7)

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = listener.accept()
                host, number = broker.bootstrap.split(":")
                ends.extend([link, socket.create_connection((host, int(number)))])
                for pair in (ends[-2:], ends[:-3:-1]):
                    threading.Thread(target=copy, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", port)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        try:
            assert submit.wait(30) == OK and submit.stdout.read() == "late-1\n", submit.stderr.read()
        finally:
            submit.kill()
            for end in ends:
                end.close()


def test_a_worker_that_never_saw_kafka_ends_at_once(tmp_path):
    properties = {"kafka.properties.fetch.wait.max.ms": 20, "kafka.properties.linger.ms": 1}
    worker = Worker(tmp_path, "lonely", kafka=NOWHERE, redis="redis://127.0.0.1:1", e2b="http://127.0.0.1:1",
                    names=Names(), sets=properties)
    wait_until(lambda: "Connection refused" in worker.get("/readyz")[1], 20, "Kafka is missed")
    time.sleep(6)  # now the question whether it is there goes on in threads
    assert worker.stop(5) == OK
    assert "CONFWARN" not in worker.output()


@pytest.mark.parametrize("key, value, code, said", [
    ("kafka.properties.sesion.timeout.ms", "9000", CONFIG, 'has no property "sesion.timeout.ms"; did you mean "session.timeout.ms"?'),
    ("kafka.properties.session.timeout.ms", "soon", CONFIG, "session.timeout.ms: Invalid value"),
    ("kafka.properties.acks", "1", CONFIG, '"acks" is set by the worker itself'),
    ("http.listen", "192.0.2.1:9464", UNAVAILABLE, "cannot listen on 192.0.2.1:9464"),
])
def test_a_worker_that_cannot_begin_says_why_and_ends_in_order(key, value, code, said):
    """The sanitizers see that what was opened is closed again."""
    told = call("run", "--set", "http.listen=127.0.0.1:0", "--set", f"{key}={value}", timeout=20,
                KAFKA_BOOTSTRAP_SERVERS=NOWHERE, REDIS_URL="redis://127.0.0.1:1/0")
    assert told.returncode == code and said in told.stderr, told.stderr


# ---- submit without a worker -----------------------------------------------------------------------------------------


def test_a_dry_run_shows_the_plan_and_needs_nothing():
    job = {"job_id": "plan-1", "code": "1", "task_type": "data_analysis", "artifacts": ["*.csv"],
           "files": [{"path": "a.txt", "content": "x"}], "misspelt": 1}
    told = call("submit", "--dry-run", text=json.dumps(job), KAFKA_BOOTSTRAP_SERVERS=NOWHERE)
    assert told.returncode == OK, told.stderr
    for part in ("plan-1", "e2b.jobs.data_analysis", "task type data_analysis", "steps", "finally", "clocks", "limits",
                 "tenant:default  template:data_analysis  class:standard  global=19", "reserve:interactive=3", "cost      at most $", "digest", "misspelt", "simulation"):
        assert part in told.stdout, told.stdout


def test_a_dry_run_as_json_is_the_same_for_the_same_job():
    job = json.dumps({"job_id": "plan-2", "code": "1", "requirements": {"memory_mb": 2000}})
    plans = [json.loads(call("submit", "--dry-run", "--json", text=job).stdout) for _ in range(2)]
    assert plans[0] == plans[1]
    assert plans[0]["placement"]["template"] == "machine_learning" and plans[0]["topic"] == "e2b.jobs.general"
    assert {"name": "global", "max": 19} in plans[0]["limits"]
    assert {"name": "template:machine_learning", "max": None} in plans[0]["limits"]
    assert plans[0]["steps"][0]["section"] == "main" and plans[0]["highest_cost_nano_usd"] > 0


def test_the_topic_follows_the_configuration():
    def topic(job: dict, *words: str) -> str:
        return json.loads(call("submit", "--dry-run", "--json", *words, text=json.dumps({"code": "1", **job})).stdout)["topic"]
    plain = ("--set", 'topics.jobs=["all.jobs"]')
    assert topic({"task_type": "quick"}) == "e2b.jobs.quick"
    assert topic({"task_type": "quick"}, *plain) == "all.jobs"
    assert topic({"task_type": "quick"}, "--topic", "e2b.jobs.quick") == "e2b.jobs.quick"
    assert topic({"template": "default"}, *plain) == "all.jobs"


@pytest.mark.parametrize("text, said", [
    ('{"cod": "1"}', 'INVALID_JOB: /code: is missing: a job of this kind needs it; there is "cod": did you mean "code"?'),
    ('{"cod": "1", "timeout": 5}', '/timeout: unknown field, ignored; did you mean "timeout_ms"?'),
    ('{"code": 1}', "INVALID_JOB: /code"),
    ('{"code": "1", "job_id": 5}', "/job_id"),
    ('{"code": "1", "job_id": "a b"}', "/job_id"),
    ('{"code": "1", "template": "defautl"}', "UNKNOWN_TEMPLATE"),
    ('{"code": "1", "task_type": "unheard_of"}', "UNKNOWN_TASK_TYPE"),
    ('{"code": "1", "files": [{"path": "../x", "content": ""}]}', "FILE_PATH_INVALID"),
    ('{"code": "1"', "line 1"),
    ('{"code": "1"}\n{"code": \n}', "line 3"),
    ('[{"code": "1"}, 2]', "element 1"),
    ("7", "line 1, column 1: no job"),
    ("", "no job"),
])
def test_a_bad_job_is_told_at_once_and_not_sent(text, said):
    told = call("submit", text=text, KAFKA_BOOTSTRAP_SERVERS=NOWHERE)
    assert told.returncode == FAILED and said in told.stderr, told.stderr
    assert told.stdout == ""


def test_a_file_that_is_not_there():
    assert call("submit", "/nonexistent/job.json").returncode == NO_INPUT


def test_jobs_are_sent_with_ids_and_keys(broker, tmp_path):
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap}
    path = tmp_path / "jobs.json"
    path.write_text('[{"code": "1", "job_id": "mine-1", "template": "default"},\n {"code": "2", "task_type": "quick"}]\n'
                    '{"code": "3", "requirements": {}}')
    told = call("submit", path, "--topic", "extra.topic", **env)
    ids = told.stdout.split()
    assert told.returncode == OK and "mine-1" in ids and len(set(ids)) == 3, told.stderr
    assert all(uuid.UUID(i).version == 4 for i in ids if i != "mine-1")
    counted = call("submit", "--json", "--count", 3, "--topic", "extra.topic",
                   text='{"code": "1", "job_id": "n", "template": "default"}', **env)
    assert {json.loads(line)["job_id"] for line in counted.stdout.splitlines()} == {"n-1", "n-2", "n-3"}


def test_what_a_worker_would_ignore_is_told_and_sent(broker):
    told = call("submit", "--count", 3, "--topic", "extra.topic", KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap,
                text='{"code": "1", "job_id": "w", "template": "default", "timeout": 5}')
    assert told.returncode == OK and len(told.stdout.split()) == 3, told.stderr
    assert told.stderr.count('warning: /timeout: unknown field, ignored; did you mean "timeout_ms"?') == 1


def test_no_result_in_time_is_75(broker):
    silent = call("submit", "--wait", "--timeout", 2, "--topic", "extra.topic",
                  text='{"code": "1", "template": "default"}', KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap)
    assert silent.returncode == TIMED_OUT and "no result" in silent.stderr


# ---- with a worker ---------------------------------------------------------------------------------------------------


def test_wait_shows_progress_and_ends_as_the_job_did(worker):
    good = call("submit", "--wait", text='{"code": "print(\'hi\')\\n40 + 2", "job_id": "wait-1"}', **worker)
    assert good.returncode == OK and good.stdout == "hi\n42\n", good.stderr
    assert "wait-1 started" in good.stderr and "wait-1 succeeded" in good.stderr and "$0." in good.stderr
    bad = call("submit", "--wait", text='{"language": "bash", "code": "echo out; exit 7"}', **worker)
    assert bad.returncode == 7 and bad.stdout == "out\n" and "NONZERO_EXIT" in bad.stderr
    loud = call("submit", "--wait", text='{"code": "import sys\\nprint(5, file=sys.stderr)"}', **worker)
    assert loud.returncode == OK and loud.stdout == "" and loud.stderr.count("\n5\n") == 1, loud.stderr
    raised = call("submit", "--wait", "--json", text='{"code": "1/0"}', **worker)
    assert raised.returncode == FAILED and json.loads(raised.stdout)["error"]["code"] == "RUNTIME_ERROR"


def test_several_jobs_are_all_waited_for(worker):
    lines = "\n".join(json.dumps({"code": f"print({n})"}) for n in range(5))
    told = call("submit", "--wait", "--json", text=lines, **worker)
    assert told.returncode == OK and len(told.stdout.splitlines()) == 5
    assert {json.loads(line)["stdout"]["text"] for line in told.stdout.splitlines()} == {f"{n}\n" for n in range(5)}


def test_a_forced_bad_job_brings_the_same_message(worker):
    forced = call("submit", "--force", "--wait", "--json", "--topic", "e2b.jobs.general",
                  text='{"job_id": "forced-1", "code": 1}', **worker)
    result = json.loads(forced.stdout)
    assert forced.returncode == FAILED and result["status"] == "rejected" and result["error"]["code"] == "INVALID_JOB"
    assert f"INVALID_JOB: {result['error']['message']}" in forced.stderr


def test_a_repeat_tells_of_the_first(worker):
    text = '{"job_id": "repeat-1", "code": "1"}'
    assert call("submit", "--wait", text=text, **worker).returncode == OK
    again = call("submit", "--wait", "--timeout", 30, text=text, **worker)
    assert again.returncode == OK and "done already: succeeded" in again.stderr
    other = call("submit", "--wait", "--timeout", 30, text='{"job_id": "repeat-1", "code": "2"}', **worker)
    assert other.returncode == FAILED and "JOB_ID_CONFLICT" in other.stderr


def test_watch_shows_what_was_and_what_comes(worker, tmp_path):
    call("submit", "--wait", text='{"job_id": "before-1", "code": "1", "tenant_id": "acme"}', **worker)
    rows = Part("rows", tmp_path, [WORKER_PROGRAM, "watch", "--since", "600"], environment(**worker))
    lines = Part("lines", tmp_path, [WORKER_PROGRAM, "watch", "--since", "600", "--json", "--tenant", "acme", "--type",
                                     "finished"], environment(**worker))
    wait_until(lambda: "before-1" in rows.output(), 20, "what was before is shown")
    call("submit", "--wait", text='{"job_id": "later-1", "code": "1", "tenant_id": "acme"}', **worker)
    row = re.compile(r"^\d\d:\d\d:\d\d +finished +later-1 +succeeded", re.M)
    wait_until(lambda: row.search(rows.output()) and "later-1" in lines.output(), 20, "what comes is shown")
    for part in (rows, lines):
        part.signal(signal.SIGINT)
        assert part.process.wait(10) == OK
        part.stop()
    events = [json.loads(line) for line in lines.output().splitlines() if line.startswith("{")]
    assert {e["data"]["job_id"] for e in events} == {"before-1", "later-1"}
    assert {e["type"] for e in events} == {"e2b-worker.job.finished.v1"}


def test_watch_begins_at_a_time(worker):
    call("submit", "--wait", text='{"job_id": "old-1", "code": "1"}', **worker)
    time.sleep(2.2)
    told = subprocess.run(["timeout", "-s", "INT", "3", WORKER_PROGRAM, "watch", "--since", "1"], capture_output=True,
                          text=True, env=environment(**worker), timeout=20)
    assert "old-1" not in told.stdout


# ---- doctor ----------------------------------------------------------------------------------------------------------


def test_doctor_finds_all_well_and_runs_a_hello(worker):
    told = call("doctor", "--run", "--json", **worker)
    report = json.loads(told.stdout)
    findings = {(f["check"], f["state"]): f["text"] for f in report["findings"]}
    assert told.returncode == OK and report["ok"], told.stdout
    assert "hello from template default" in findings["run", "ok"] and "15 of 15 topics" in findings["kafka", "ok"]
    assert "sandboxes run in the account" in findings["e2b", "ok"] and "policy noeviction" in findings["redis", "ok"]
    assert "appendonly" in findings["redis", "warn"]


def test_doctor_says_what_is_missing_and_simulation_loudly():
    told = call("doctor", KAFKA_BOOTSTRAP_SERVERS=NOWHERE, REDIS_URL="redis://127.0.0.1:1/0")
    assert told.returncode == FAILED
    assert re.search(r"^mode +warn +SIMULATION", told.stdout, re.M)
    for check, part in (("kafka", NOWHERE), ("redis", "REDIS_URL")):
        assert re.search(rf"^{check} +fail .*{re.escape(part)}", told.stdout, re.M), told.stdout
    assert re.search(r"checks? failed", told.stdout)


def test_doctor_and_the_worker_say_the_same_of_cooperative_rebalances():
    """With librdkafka before 2.10, as Debian 12 and 13 have it, both refuse it; with a later one neither does."""
    words = ("--set", "kafka.assignor=cooperative-sticky", "--set", "http.listen=127.0.0.1:0")
    env = {"KAFKA_BOOTSTRAP_SERVERS": NOWHERE, "REDIS_URL": "redis://127.0.0.1:1/0"}
    told = call("doctor", *words[:2], **env)
    found = re.search(r"^kafka +(ok|fail) +librdkafka .*$", told.stdout, re.M)
    assert found, told.stdout
    worker = subprocess.run(["timeout", "-s", "TERM", "10", WORKER_PROGRAM, "run", *words], capture_output=True,
                            text=True, env=environment(**env), timeout=30)
    if found[1] == "ok":
        assert worker.returncode != CONFIG
    else:
        assert worker.returncode == CONFIG and "needs librdkafka 2.10" in worker.stderr
        assert "kafka.assignor=cooperative-sticky needs 2.10" in found[0]


@pytest.mark.parametrize("properties, is_loaded", [
    ({}, False), ({"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "p"}, False),
    ({"security.protocol": "sasl_plaintext", "sasl.mechanism": "GSSAPI", "sasl.kerberos.kinit.cmd": "true"}, True)])
def test_plugins_of_sasl_are_loaded_for_kerberos_alone(properties, is_loaded):
    """They take half a MiB. libsasldb is there wherever librdkafka is: Debian's libsasl2 depends on it."""
    told = call("topics", "check", "--timeout", 1, "--set", f"kafka.properties={json.dumps(properties)}",
                KAFKA_BOOTSTRAP_SERVERS=NOWHERE, LD_DEBUG="files")
    assert told.returncode == UNAVAILABLE
    assert ("libsasldb" in told.stderr) == is_loaded


def test_doctor_names_a_policy_that_evicts(tmp_path):
    redis = Redis(tmp_path, "--maxmemory-policy", "allkeys-lru")
    told = call("doctor", REDIS_URL=redis.url, KAFKA_BOOTSTRAP_SERVERS=NOWHERE)
    redis.stop()
    assert told.returncode == FAILED and "CONFIG SET maxmemory-policy noeviction" in told.stdout
