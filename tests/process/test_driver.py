"""src/worker/driver.py: as python3 would run the script, and its rich results besides."""

import base64
import json
import os
import re
import signal
import subprocess

import pytest
from wrapper import DRIVER, PYTHON, run

pytestmark = pytest.mark.timeout(60)
PNG = b"\x89PNG\r\n\x1a\n"


def has(module):
    return subprocess.run([PYTHON, "-c", "import " + module], stderr=subprocess.DEVNULL, check=False).returncode == 0


needs_matplotlib = pytest.mark.skipif(not has("matplotlib"), reason="needs matplotlib")
needs_pandas = pytest.mark.skipif(not has("pandas"), reason="needs pandas")


class Run:
    """One script under the driver, and what it left behind."""

    def __init__(self, folder, source, *args, bytes_max=1 << 20, given=b"", env=None):
        record = folder / "record"
        record.mkdir(exist_ok=True)
        self.script = folder / "code" / "main.py"
        self.script.parent.mkdir(exist_ok=True)
        self.script.write_bytes(source if isinstance(source, bytes) else source.encode())
        done = subprocess.run(
            [PYTHON, "-u", "-c", DRIVER, str(bytes_max), "code/main.py", *args], cwd=folder, input=given,
            capture_output=True, timeout=50, check=False,
            env={**os.environ, "E2B_WORKER_RECORD": str(record), "MPLCONFIGDIR": str(folder), **(env or {})})
        self.code, self.out, self.err = done.returncode, done.stdout.decode(), done.stderr.decode()
        self.results, self.exception, self.dropped = [], None, 0
        text = (record / "results").read_bytes() if (record / "results").exists() else b""
        while text:
            line, _, text = text.partition(b"\n")
            if line.startswith(b"!exception"):
                lengths = [int(word) for word in line.split()[1:]]
                self.exception = []
                for length in lengths:
                    self.exception.append(text[:length].decode())
                    text = text[length:]
                text = text[1:]
            elif line.startswith(b"!dropped"):
                self.dropped = int(line.split()[1])
            else:
                self.results.append(json.loads(line))
        usage = record / "usage"
        self.peak = int(usage.read_text()) if usage.exists() else -1


def plain(folder, source, *args):
    """The same by the interpreter itself."""
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "main.py").write_text(source)
    return subprocess.run([PYTHON, "-u", str(folder / "code" / "main.py"), *args], cwd=folder, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=50, check=False)


# ---- like python3 itself ----

@pytest.mark.parametrize("source", [
    "", "x = 1", "print('a'); print('b')", "import sys; sys.exit(3)", "import sys; sys.exit()", "raise SystemExit(0)",
    "import sys; sys.exit('sorry')", "import sys; sys.exit(-1)", "import os; os._exit(5)", "1/0", "def f():\n    1/0\nf()",
    "try:\n    1/0\nexcept Exception as e:\n    raise KeyError('k') from e", "raise ExceptionGroup('g', [ValueError(1)])",
    "import nothing_of_that_name", "class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E",
    "import atexit; atexit.register(print, 'bye')", "import sys; print(__name__, sys.argv[1:])",
    "import threading; threading.Thread(target=lambda: print('thread')).start()",
    "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\n1/0",
    "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)",
    "import inspect\ndef f(): pass\nprint(inspect.getsource(f))",
    "import os\nif os.fork() == 0:\n    print('child')\nelse:\n    os.wait(); print('parent')",
    "import multiprocessing as m\ndef f(x):\n    return x * x\nif __name__ == '__main__':\n"
    "    with m.get_context('spawn').Pool(1) as p: print(p.map(f, [1, 2]))",
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "from __future__ import annotations\ndef f(x: nothing): pass\nprint(f.__annotations__)",
    "'''The doc.'''\nprint(__doc__)", "import sys; print(sys.path[0])", "print(input())", "def f(", "if 1:\nx", "return 1",
    "print('\\ud800')", "import sys; sys.setrecursionlimit(60)\ndef f(): f()\nf()", "x: int = 3\nprint(__annotations__)",
])
def test_as_python_does(tmp_path, source):
    want = plain(tmp_path, source, "a", "b c")
    got = Run(tmp_path, source, "a", "b c")
    assert got.code == want.returncode, got.err
    assert got.out.encode() == want.stdout
    if "setrecursionlimit" not in source:  # we stand a few frames deep already
        assert got.err.encode() == want.stderr


def test_a_coding_cookie(tmp_path):
    assert Run(tmp_path, "# coding: latin-1\nprint('é')".encode("latin-1"), env={"PYTHONIOENCODING": "utf-8"}).out == "é\n"


def test_files_in_the_working_directory_can_be_imported(tmp_path):
    (tmp_path / "helper.py").write_text("value = 3")
    assert Run(tmp_path, "import helper; print(helper.value)").out == "3\n"


def test_input_is_the_scripts(tmp_path):
    assert Run(tmp_path, "import sys; print(sys.stdin.read()[::-1])", given=b"abc").out == "cba\n"


def test_nothing_of_the_driver_is_left_in_sight(tmp_path):
    run_ = Run(tmp_path, "import os\nprint('E2B_WORKER_RECORD' in os.environ, sorted(n for n in globals() if n[0] != '_'))")
    assert run_.out == "False ['os']\n"


# ---- how it failed ----

@pytest.mark.parametrize("source,name,value", [
    ("1/0", "ZeroDivisionError", "division by zero"),
    ("def f(", "SyntaxError", "'(' was never closed (main.py, line 1)"),
    ("if 1:\nx", "IndentationError", "expected an indented block after 'if' statement on line 1 (main.py, line 2)"),
    ("raise MemoryError", "MemoryError", ""),
    ("x = [0] * (1 << 60)", "MemoryError", ""),
    ("raise OSError(28, 'No space left on device')", "OSError", "[Errno 28] No space left on device"),
    ("raise ValueError('a\\0\\ud800é')", "ValueError", "a?é"),
])
def test_an_exception_is_kept(tmp_path, source, name, value):
    got = Run(tmp_path, source)
    assert got.code == 1
    assert got.exception[:2] == [name, value]
    assert "<string>" not in got.exception[2] and "Error" in got.exception[2]


@pytest.mark.parametrize("source", ["import sys; sys.exit(3)", "print(1)", "try:\n    1/0\nexcept Exception: pass",
                                    "import os; os._exit(4)"])
def test_an_end_of_its_own_is_no_exception(tmp_path, source):
    assert Run(tmp_path, source).exception is None


def test_an_endless_message_is_cut(tmp_path):
    got = Run(tmp_path, "raise ValueError('é' * 1000000)")
    assert all(len(text.encode()) < 70000 for text in got.exception)


def test_an_interrupt(tmp_path):
    got = Run(tmp_path, "raise KeyboardInterrupt")
    assert (got.code, got.exception[0]) == (130, "KeyboardInterrupt")


# ---- results ----

@pytest.mark.parametrize("source,text", [
    ("1 + 1", "2"), ("x = 3\nx", "3"), ("'abc'", "abc"), ("{'a': 1}", "{'a': 1}"), ("[1,\n 2]", "[1, 2]"), ("'''doc'''", "doc"),
    ("from __future__ import annotations\n5", "5"), ("(lambda: 7)()  # why", "7"), ("int", "<class 'int'>"),
])
def test_the_last_value(tmp_path, source, text):
    got = Run(tmp_path, source)
    assert got.results == [{"is_main_result": True, "text": text}]
    assert got.out == ""


@pytest.mark.parametrize("source", ["None", "print(1)", "x = 1", "5;", "1\nx = 2", "def f(): 1", "if 1:\n    5"])
def test_no_last_value(tmp_path, source):
    assert Run(tmp_path, source).results == []


def test_rich_representations(tmp_path):
    got = Run(tmp_path, """
class Rich:
    def __repr__(self): return "plain"
    def _repr_html_(self): return "<b>é</b>"
    def _repr_markdown_(self): return "**m**"
    def _repr_svg_(self): return "<svg/>"
    def _repr_png_(self): return b"png"
    def _repr_jpeg_(self): return b"jpeg", {"width": 3}
    def _repr_latex_(self): return "$x$"
    def _repr_json_(self): return {"a": [1, None]}
    def _repr_javascript_(self): return "x()"
    def _repr_pdf_(self): return None
    def _repr_mimebundle_(self, include=None, exclude=None): return {"application/vnd.own+json": {"k": 1}}, {}
Rich()
""")
    assert got.results == [{
        "is_main_result": True, "text": "plain", "html": "<b>é</b>", "markdown": "**m**", "svg": "<svg/>",
        "png": base64.b64encode(b"png").decode(), "jpeg": base64.b64encode(b"jpeg").decode(), "latex": "$x$",
        "json": {"a": [1, None]}, "javascript": "x()", "extra": {"application/vnd.own+json": {"k": 1}}}]


def test_a_representation_that_fails_is_left_out(tmp_path):
    got = Run(tmp_path, "class A:\n    def _repr_html_(self): 1/0\n    def _repr_json_(self): return float('nan')\n"
                        "    def __repr__(self): return 'a'\nA()")
    assert (got.code, got.results) == (0, [{"is_main_result": True, "text": "a"}])


def test_display(tmp_path):
    got = Run(tmp_path, "display(1, 'two')\nprint('out')\ndisplay(3)")
    assert [(result["text"], result["is_main_result"]) for result in got.results] == [("1", False), ("two", False),
                                                                                       ("3", False)]
    assert got.out == "out\n"


def test_results_before_an_exception_are_kept(tmp_path):
    got = Run(tmp_path, "display(1)\n1/0")
    assert [result["text"] for result in got.results] == ["1"]
    assert got.exception[0] == "ZeroDivisionError"


def test_bounds(tmp_path):
    got = Run(tmp_path, "for i in range(100): display(i)")
    assert (len(got.results), got.dropped) == (64, 36)


def test_bounds_in_bytes(tmp_path):
    got = Run(tmp_path, "display('x' * 2000000)\ndisplay('small')\n'y' * 1000")
    assert [len(result["text"]) for result in got.results] == [5, 1000]
    assert got.dropped == 1


@needs_matplotlib
def test_figures(tmp_path):
    got = Run(tmp_path, """
import matplotlib.pyplot as plt
plt.plot([1, 2]); plt.show()
plt.figure(); plt.bar([1], [2]); plt.figure(); plt.pie([1])
plt.show(block=True)
plt.scatter([1], [1])
print(plt.get_backend().lower())
fig, ax = plt.subplots()
""")
    assert (got.code, got.out, got.err) == (0, "agg\n", "")
    assert len(got.results) == 5
    for result in got.results:
        assert base64.b64decode(result["png"]).startswith(PNG)
        assert not result["is_main_result"]
        assert re.match("<Figure size", result["text"])


@needs_matplotlib
def test_a_figure_as_last_value_comes_once(tmp_path):
    got = Run(tmp_path, "from matplotlib import pyplot\nfig, ax = pyplot.subplots()\nax.plot([1])\nfig")
    assert [("png" in result, result["is_main_result"]) for result in got.results] == [(True, True)]


@needs_matplotlib
def test_open_figures_are_kept_when_the_script_fails(tmp_path):
    got = Run(tmp_path, "import matplotlib.pyplot as plt\nplt.plot([1])\nimport sys\nsys.exit(2)")
    assert (got.code, len(got.results)) == (2, 1)


@needs_matplotlib
def test_a_figure_shows_itself(tmp_path):
    got = Run(tmp_path, "import matplotlib.pyplot as plt\nf = plt.figure()\nf.show()")
    assert (len(got.results), got.err) == (1, "")


@needs_pandas
def test_a_data_frame(tmp_path):
    got = Run(tmp_path, "import pandas\npandas.DataFrame({'a': [1, 2]})")
    assert "<table" in got.results[0]["html"]
    assert got.results[0]["text"] == "   a\n0  1\n1  2"


def test_memory_is_measured(tmp_path):
    got = Run(tmp_path, "x = bytearray(50 << 20)")
    assert 50 << 20 < got.peak < 200 << 20


def test_by_itself_it_just_runs(tmp_path):
    (tmp_path / "main.py").write_text("import sys\nprint(sys.argv)\n42")
    environment = {name: value for name, value in os.environ.items() if name != "E2B_WORKER_RECORD"}
    done = subprocess.run([PYTHON, "-c", DRIVER, "1000", str(tmp_path / "main.py")], capture_output=True, check=True,
                          timeout=20, env=environment)
    assert done.stdout.decode() == "['%s']\n" % (tmp_path / "main.py")


# ---- with the wrapper ----

def test_both_together(tmp_path):
    record = tmp_path / "permit" / "run"
    (tmp_path / "main.py").write_text("import sys\nprint('out')\ndisplay(1)\nx = bytearray(30 << 20)\nsys.exit(4)")
    answer = run(record, PYTHON, "-u", "-c", DRIVER, "100000", "main.py", cwd=str(tmp_path))
    assert (answer.report, answer.out, answer.results) == (("exit", 4), b"out\n", 1)
    assert 30 << 20 < answer.peak_bytes < 200 << 20
    assert (record / "results").read_text().startswith("{")


def test_a_script_that_is_killed(tmp_path):
    (tmp_path / "main.py").write_text("import os\ndisplay(1)\nos.kill(os.getpid(), 9)")
    answer = run(tmp_path / "p" / "run", PYTHON, "-u", "-c", DRIVER, "100000", "main.py", cwd=str(tmp_path))
    assert (answer.report, answer.results) == (("signal", signal.SIGKILL.value), 1)
