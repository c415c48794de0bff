"""src/worker/step.sh inside e2b-local's sandboxes, by E2B's own SDK: what depends on where it runs."""
from __future__ import annotations

import pathlib
import shlex
import sys

import pytest
from e2b import CommandExitException, Sandbox

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "process"))
from wrapper import MARK, WRAPPER, Answer  # noqa: E402

pytestmark = pytest.mark.timeout(120)
HUNGRY = "x = b'x' * (3 << 30)"


class Box:
    """A sandbox of 128 MB."""

    def __init__(self):
        self.sandbox = Sandbox.create(template="small", timeout=120)

    def begin(self, *program):
        words = ["/bin/bash", "-c", WRAPPER, "step", ".e2b-worker/permit/run", 60000, 0, 0, 65536, 65536, MARK, 0, "", "",
                 "--", *program]
        return self.sandbox.commands.run(shlex.join(map(str, words)), background=True, timeout=100)

    @staticmethod
    def answer(handle):
        try:
            done = handle.wait()
        except CommandExitException as failed:
            done = failed
        return Answer(done.exit_code, done.stdout.encode(), done.stderr.encode())

    def run(self, *program):
        return self.answer(self.begin(*program))


@pytest.fixture
def new_box(e2b_local):
    if not e2b_local.limits_sandboxes():
        pytest.skip("no control groups here")
    boxes = []

    def new():
        boxes.append(Box())
        return boxes[-1]

    yield new
    for box in boxes:
        box.sandbox.kill()


def test_a_kill_for_memory_is_that_of_its_own_sandbox_only(new_box):
    waiting, hungry = new_box(), new_box()
    handle = waiting.begin("bash", "-c", "until [[ -e go ]]; do sleep 0.05; done; kill -9 $$")
    for program in (["python3", "-c", HUNGRY], ["bash", "-c", "true"]):
        answer = hungry.run(*program)
        assert (answer.report, answer.oom) == (("signal", 9), 1)
    waiting.sandbox.files.write("go", "")
    answer = waiting.answer(handle)
    assert (answer.report, answer.oom) == (("signal", 9), 0)


def test_a_child_that_is_killed_for_memory_is_noticed(new_box):
    answer = new_box().run("bash", "-c", "python3 -c \"%s\"; echo went on; exit 3" % HUNGRY)
    assert (answer.report, answer.oom, answer.out) == (("exit", 3), 1, b"went on\n")


def test_a_flood_in_little_memory(new_box):
    answer = new_box().run("bash", "-c", "echo begin; head -c 314572800 /dev/zero; echo end; echo error >&2")
    assert (answer.report, answer.oom, answer.err) == (("exit", 0), 0, b"error\n")
    assert answer.out_bytes == 314572800 + len("begin\nend\n")
    assert answer.out.startswith(b"begin\n") and answer.out.endswith(b"end\n") and len(answer.out) == 131072
