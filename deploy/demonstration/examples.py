"""The example jobs of schemas/examples, and whether a result is what its example expects."""
from __future__ import annotations

import json
import pathlib
import shutil

from parts import Failure


class Example:
    def __init__(self, path: pathlib.Path):
        self.name = path.stem
        self.job = json.loads(path.read_text(encoding="utf-8"))
        self.expected = json.loads(path.with_suffix(".expect.json").read_text(encoding="utf-8"))
        self.job_id = self.job["job_id"]

    def missing_programs(self) -> list[str]:
        return [program for program in self.expected.get("needs", []) if not shutil.which(program)]

    def is_to_be_rejected(self) -> bool:
        return self.expected.get("status") == "rejected"

    def differences(self, result: dict) -> list[str]:
        """What of the result is not as expected: schemas/examples/README.md has the rules."""
        found = []
        for name, wanted in self.expected.items():
            found += CHECKS[name](result, wanted)
        return found


def load(folder: pathlib.Path) -> list[Example]:
    paths = sorted(path for path in folder.glob("*.json") if not path.name.endswith(".expect.json"))
    if not paths:
        raise Failure(f"there are no examples in {folder}", "is this a whole checkout?")
    return [Example(path) for path in paths]


# ---- one check for each member of an expectation ----

def value_at(result: dict, path: str):
    value = result
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def equals(path: str):
    def check(result, wanted):
        value = value_at(result, path)
        return [] if value == wanted else [f"{path} is {json.dumps(value)}, expected {json.dumps(wanted)}"]
    return check


def holds(path: str):
    def check(result, wanted):
        value = value_at(result, path) or ""
        texts = [wanted] if isinstance(wanted, str) else wanted
        return [f"{path} lacks {text!r}; it is {value[:200]!r}" for text in texts if text not in value]
    return check


def includes(path: str, of_element=lambda element: [element], is_part: bool = False):
    """Each wanted text is one of those that the list's elements have; or a part of one of them."""
    def check(result, wanted):
        texts = [text for element in value_at(result, path) or [] for text in of_element(element)]
        return [f"{path} lacks {text!r}; it has {texts}" for text in wanted
                if not any(text == one or (is_part and text in one) for one in texts)]
    return check


CHECKS = {
    "status": equals("status"),
    "error_code": equals("error.code"),
    "message_contains": holds("error.message"),
    "exit_code": equals("exit_code"),
    "template": equals("placement.template"),
    "run_mode": equals("ran_on.run_mode"),
    "stdout_contains": holds("stdout.text"),
    "stderr_contains": holds("stderr.text"),
    "results_have": includes("results", lambda bundle: [key for key, value in bundle.items() if value]),
    "artifacts": includes("artifacts", lambda artifact: [artifact.get("path")]),
    "missing_modules": includes("hints.missing_modules"),
    "warnings_contain": includes("warnings", is_part=True),
    "needs": lambda result, wanted: [],
}
