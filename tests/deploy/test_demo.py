"""deploy/demo: that it runs, that it judges, that nothing stays behind."""
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from places import BUILD, ROOT

DEMO = [ROOT / "deploy/demo", "--programs", BUILD]
RUN_S = 240

sys.path.insert(0, str(ROOT / "deploy/demonstration"))
sys.dont_write_bytecode = True
import examples  # noqa: E402  (the demo's own module)

JOBS = {example.name: example for example in examples.load(ROOT / "schemas/examples/job.v1")}


@pytest.fixture
def folder(tmp_path):
    """The demo's temporary folder is made in here. Afterwards it is gone, and so is every process that knew of it."""
    yield tmp_path
    assert list(tmp_path.iterdir()) == []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(tmp_path) not in path.read_text(), path
        except (FileNotFoundError, ProcessLookupError):
            continue


def start(folder, *options, path=os.environ["PATH"]):
    # A key and an address of the caller's: the demo must not use them.
    environment = {**os.environ, "TMPDIR": str(folder), "PATH": path, "E2B_API_KEY": "not-a-key",
                   "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "REDIS_URL": "redis://127.0.0.1:1"}
    return subprocess.Popen([*DEMO, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
                            start_new_session=True)


@pytest.mark.timeout(RUN_S + 30)
def test_every_example_ends_as_expected_and_nothing_is_left(folder):
    demo = start(folder)
    said, _ = demo.communicate(timeout=RUN_S)
    assert demo.returncode == 0, said
    assert "OK after" in said and " 0 live now" in said
    for name, example in JOBS.items():
        assert example.missing_programs() or f"\n{name} " in said, name


@pytest.mark.timeout(RUN_S + 30)
def test_what_is_kept_can_be_used_and_stopped(folder):
    said, _ = start(folder, "--keep").communicate(timeout=RUN_S)
    exports = dict(line.split("export ")[1].split("=", 1) for line in said.splitlines() if "  export " in line)
    submit = next(line for line in said.splitlines() if "submit --wait" in line)
    kept = next(folder.iterdir())
    try:
        done = subprocess.run(["sh", "-c", submit], env={**os.environ, **exports}, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    finally:
        stopped = subprocess.run([ROOT / "deploy/demo", "--stop", kept], capture_output=True, text=True, timeout=120)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr


@pytest.mark.timeout(RUN_S + 30)
@pytest.mark.parametrize("number, after", [(signal.SIGINT, "broker "), (signal.SIGTERM, "e2b-local "),
                                           (signal.SIGINT, " started ")])
def test_interrupted_it_stops_everything(folder, number, after):
    demo = start(folder)
    for line in demo.stdout:
        if after in line:
            break
    os.killpg(demo.pid, number)
    begun = time.monotonic()
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130 and "interrupted" in said, said
    assert time.monotonic() - begun < 60


def test_a_part_that_does_not_start_is_named(folder, tmp_path_factory):
    programs = tmp_path_factory.mktemp("programs")
    broken = programs / "redis-server"
    broken.write_text("#!/bin/sh\necho cannot begin today >&2\nexit 3\n")
    broken.chmod(0o755)
    demo = start(folder, path=f"{programs}:{os.environ['PATH']}")
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 69, said
    assert "redis ended (exit code 3)" in said and "cannot begin today" in said and "what to do:" in said


def test_a_folder_that_is_no_demo_is_refused(folder):
    done = subprocess.run([ROOT / "deploy/demo", "--stop", folder], capture_output=True, text=True)
    assert done.returncode == 2 and "no folder of a demo" in done.stderr


def good_result() -> dict:
    return {"status": "succeeded", "error": None, "exit_code": 0, "stdout": {"text": "20 rows\n"}, "stderr": {"text": "hm"},
            "placement": {"template": "default"}, "ran_on": {"run_mode": "process"}, "results": [{"png": "AAAA", "html": None}],
            "artifacts": [{"path": "output/a.json"}], "hints": {"missing_modules": ["seaborn"]}, "warnings": ["a fence went"]}


@pytest.mark.parametrize("member, right, wrong", [
    ("status", "succeeded", "failed"), ("error_code", None, "RUN_TIMEOUT"), ("exit_code", 0, 1),
    ("template", "default", "agent"), ("run_mode", "process", "interpreter"), ("stdout_contains", ["20"], ["20", "21"]),
    ("stderr_contains", ["hm"], ["oh"]), ("results_have", ["png"], ["html"]), ("artifacts", ["output/a.json"], ["a.json"]),
    ("missing_modules", ["seaborn"], ["sea"]), ("warnings_contain", ["fence"], ["wall"]),
])
def test_each_member_of_an_expectation_is_looked_at(member, right, wrong):
    check = examples.CHECKS[member]
    assert check(good_result(), right) == []
    assert len(check(good_result(), wrong)) == 1


def test_a_message_is_looked_at():
    check = examples.CHECKS["message_contains"]
    assert check({"error": {"message": "ValueError: x"}}, "ValueError") == []
    assert check({"error": None}, "ValueError") != []


def test_every_member_that_the_examples_page_names_is_known():
    page = (ROOT / "schemas/examples/README.md").read_text()
    named = {name.strip("` ") for line in page.splitlines() if line.startswith("| `")
             for name in line.split("|")[1].split(",")}
    assert named == set(examples.CHECKS)
