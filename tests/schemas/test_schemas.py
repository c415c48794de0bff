"""schemas/ against the examples, and against what the codec writes, by a validator that is not ours.
The program build/.../tests/schemas/messages writes messages into a directory, named <type>.<case>.json."""
import json
import os
import pathlib
import re
import subprocess

import pytest
from jsonschema import Draft202012Validator

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "schemas"
MESSAGES = ROOT / os.environ.get("E2BW_BUILD", "build/asan") / "tests/schemas/messages"
EXPECTATIONS = {
    "status": str, "error_code": (str, type(None)), "message_contains": str, "exit_code": int, "template": str,
    "run_mode": str, "stdout_contains": list, "stderr_contains": list, "results_have": list, "artifacts": list,
    "missing_modules": list, "warnings_contain": list, "needs": list,
}


def load(path):
    def unique(pairs):
        assert len(pairs) == len(dict(pairs)), f"{path}: a key stands twice"
        return dict(pairs)

    return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)


def validator(name):
    schema = load(SCHEMAS / f"{name}.json")
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def problems(name, message):
    return [f"/{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in validator(name).iter_errors(message)]


def undescribed(schema, path=""):
    """Properties without a sentence that says what they are. Conditions (if, not, ...) only name properties."""
    if not isinstance(schema, dict):
        return
    for name, member in {**schema.get("properties", {}), **schema.get("$defs", {})}.items():
        if not re.search(r"\w.*\.$", member.get("description", "")):
            yield f"{path}/{name}"
        yield from undescribed(member, f"{path}/{name}")
    for key in ("items", "additionalProperties"):
        yield from undescribed(schema.get(key), f"{path}/{key}")
    for key in ("anyOf", "oneOf", "allOf"):
        for i, member in enumerate(schema.get(key, [])):
            yield from undescribed(member, f"{path}/{key}/{i}")


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda p: p.stem)
def test_a_schema_says_what_every_property_is(path):
    schema = load(path)
    assert schema["title"] and schema["description"]
    assert list(undescribed(schema)) == []


EXAMPLES = sorted(SCHEMAS.glob("examples/*/*.json"))


@pytest.mark.parametrize("path", [p for p in EXAMPLES if not p.name.endswith(".expect.json")],
                         ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_an_example_fits_its_schema(path):
    assert problems(path.parent.name, load(path)) == []


@pytest.mark.parametrize("path", [p for p in EXAMPLES if p.name.endswith(".expect.json")], ids=lambda p: p.name)
def test_an_expectation_can_be_understood(path):
    assert path.with_name(path.name.replace(".expect.json", ".json")).exists()
    for name, value in load(path).items():
        assert isinstance(value, EXPECTATIONS[name]), name


def test_every_job_example_says_what_is_expected():
    jobs = {p.stem for p in SCHEMAS.glob("examples/job.v1/*.json")}
    assert {f"{name}.expect" for name in jobs if not name.endswith(".expect")} <= jobs


@pytest.fixture(scope="module")
def messages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messages")
    subprocess.run([MESSAGES, folder], check=True, timeout=60)
    return folder


def test_what_the_codec_writes_fits_the_schemas(messages):
    written = [p for p in sorted(messages.glob("*.json")) if not p.name.endswith(".schema.json")]
    kinds = set()
    for path in written:
        name = re.match(r"(.*?\.v\d+)\.", path.name).group(1)
        kinds.add(name)
        assert problems(name, load(path)) == [], path.name
    assert kinds >= {"job.finished.v1", "job.started.v1", "job.waiting.v1", "job.retrying.v1", "job.duplicate.v1",
                     "sandbox.reaped.v1", "worker.stats.v1", "control.v1", "config.v1"}


def test_the_committed_schema_of_the_configuration_is_the_programs(messages):
    assert (messages / "config.v1.schema.json").read_bytes() == (SCHEMAS / "config.v1.json").read_bytes()


@pytest.mark.parametrize("name, wrong", [
    ("job.v1", {}), ("job.v1", {"code": ""}), ("job.v1", {"code": 1}), ("job.v1", {"code": "1", "timeout_ms": "5s"}),
    ("job.v1", {"code": "1", "job_id": "a b"}), ("job.v1", {"code": "1", "env": {"PATH": "/"}}),
    ("job.v1", {"code": "1", "files": [{"path": "a"}]}), ("job.v1", {"code": "1", "kind": "agent"}),
    ("job.v1", {"code": "1", "commands": []}), ("job.finished.v1", {}), ("job.finished.v1", {"job_id": "x"}),
    ("control.v1", {"action": "cancel"}), ("control.v1", {"action": "pause", "job_id": "j"}),
    ("config.v1", {"limits": {"globl": 3}}), ("config.v1", {"limits": {"global": 0}}), ("config.v1", {"mode": "x"}),
])
def test_a_schema_refuses_what_is_wrong(name, wrong):
    assert problems(name, wrong) != []
