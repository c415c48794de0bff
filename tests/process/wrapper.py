"""The process step's wrapper as the worker calls it, for the tests of this folder."""

import os
import pathlib
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "worker"
MARK = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
PYTHON = "/usr/bin/python3"


def embedded(name):
    """The text as the binary holds it: without comment lines."""
    return re.sub(r"(^|\n)([ \t]*#[^\n]*\n)+", r"\1", (SOURCE / name).read_text())


WRAPPER = embedded("step.sh")
DRIVER = embedded("driver.py")


class Answer:
    """What one call of the wrapper brought."""

    def __init__(self, code, out, err):
        self.code, self.out = code, out
        self.report = None
        at = err.rfind(MARK.encode())
        self.err = err if at < 0 else err[:at]
        if at >= 0:
            assert err.endswith(b"\n")
            how, number, *rest = err[at:].decode().split()[1:]
            self.report = (how, int(number))
            self.cpu_ms, self.peak_bytes, self.oom, self.results, self.out_bytes, self.err_bytes = map(int, rest)


class Call:
    """One call, under way."""

    def __init__(self, record, program, *, limit_ms=10000, out_from=0, err_from=0, out_keep=1 << 20, err_keep=1 << 20,
                 cpu_percent=0, cwd="", given="", env=None, prefix=()):
        words = [record, limit_ms, out_from, err_from, out_keep, err_keep, MARK, cpu_percent, cwd, given, "--", *program]
        self.process = subprocess.Popen(
            [*prefix, "/bin/bash", "-c", WRAPPER, "step", *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, **(env or {})})

    def answer(self, timeout_s=20):
        out, err = self.process.communicate(timeout=timeout_s)
        return Answer(self.process.returncode, out, err)

    def kill(self):
        """The stream breaks: what it printed so far, and no more."""
        self.process.kill()
        out, err = self.process.communicate(timeout=5)
        assert MARK.encode() not in err
        return out, err


def run(record, *program, **options):
    return Call(record, program, **options).answer()


def shell(record, script, **options):
    return run(record, "bash", "-c", script, **options)


def stop(record, why="timeout"):
    subprocess.run(["/bin/bash", "-c", WRAPPER, "stop", str(record), why], check=True, timeout=10)


def wait_for(path, timeout_s=5):
    deadline = time.monotonic() + timeout_s
    while not (path.exists() and path.read_text().split()[-1:] == ["end"]):
        assert time.monotonic() < deadline, "no " + str(path)
        time.sleep(0.01)
    return path.read_text().split()
