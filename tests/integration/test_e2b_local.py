"""e2b-local, driven by E2B's official SDKs and by raw HTTP.

The SDKs say that it is E2B enough for strangers; the raw requests compare it with recordings of the real services.
"""

import base64
import concurrent.futures
import glob
import hashlib
import http.client
import json
import os
import signal
import struct
import time

import pytest
import requests

from stack import API_KEY, LOCAL_PROGRAM, Local, Part

KEY = {"X-API-KEY": API_KEY}


@pytest.fixture
def sdk(e2b_local):
    """The code interpreter's SDK, imported when its environment is set."""
    import e2b_code_interpreter
    return e2b_code_interpreter


@pytest.fixture
def sandbox(sdk):
    box = sdk.Sandbox.create()
    yield box
    box.kill()


@pytest.fixture(autouse=True)
def no_faults(e2b_local):
    yield
    requests.delete(e2b_local.url + "/__faults", timeout=10)


class Raw:
    """A sandbox over plain HTTP."""

    def __init__(self, local, **body):
        body.setdefault("templateID", "code-interpreter-v1")
        answer = requests.post(local.url + "/v2/sandboxes", json=body, headers=KEY, timeout=30)
        assert answer.status_code == 201, answer.text
        self.local, self.created = local, answer.json()
        self.id, self.token = self.created["sandboxID"], self.created["envdAccessToken"]

    def headers(self, port, **more):
        return {"E2b-Sandbox-Id": self.id, "E2b-Sandbox-Port": str(port), "X-Access-Token": self.token, **more}

    def envd(self, method, path, **options):
        headers = self.headers(49983, **options.pop("headers", {}))
        return requests.request(method, self.local.url + path, headers=headers, timeout=60, **options)

    def interpreter(self, method, path, **options):
        headers = self.headers(49999, **options.pop("headers", {}))
        return requests.request(method, self.local.url + path, headers=headers, timeout=60, **options)

    def execute(self, code, **more):
        answer = self.interpreter("POST", "/execute", json={"code": code, **more})
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def start_execute(self, code, **more):
        """A run whose connection is ours to break."""
        connection = http.client.HTTPConnection("127.0.0.1", self.local.port, timeout=60)
        connection.request("POST", "/execute", json.dumps({"code": code, **more}),
                           {**self.headers(49999), "Content-Type": "application/json"})
        return connection, connection.getresponse()

    def rpc(self, name, message):
        answer = self.envd("POST", "/" + name, json=message)
        return answer.status_code, answer.json()

    def start(self, command, headers=None, **more):
        message = json.dumps({"process": {"cmd": "/bin/bash", "args": ["-c", command]}, "stdin": False, **more})
        return self.stream("Start", message, headers)

    def stream(self, name, message, headers=None):
        answer = self.envd("POST", "/process.Process/" + name, data=struct.pack(">BI", 0, len(message)) + message.encode(),
                           headers={"Content-Type": "application/connect+json", **(headers or {})})
        assert answer.status_code == 200
        return frames(answer.content)

    def kill(self):
        return requests.delete(self.local.url + "/sandboxes/" + self.id, headers=KEY, timeout=60).status_code


def frames(data):
    found = []
    while data:
        flags, length = struct.unpack(">BI", data[:5])
        found.append((flags, json.loads(data[5:5 + length])))
        data = data[5 + length:]
    return found


def output(found):
    """All that a process wrote to its standard output."""
    return b"".join(base64.b64decode(message["event"]["data"].get("stdout", "")) for _, message in found
                    if "data" in message.get("event", {}))


@pytest.fixture
def raw(e2b_local):
    box = Raw(e2b_local)
    yield box
    box.kill()


def fault(local, **switches):
    answer = requests.post(local.url + "/__faults", json=switches, timeout=10)
    assert answer.status_code == 200, answer.text


def stats(local):
    return requests.get(local.url + "/__stats", timeout=10).json()


def processes_with(marker):
    """Processes of this machine whose command line holds the marker."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                line = file.read()
        except OSError:
            continue
        if marker.encode() in line and int(path.split("/")[2]) != os.getpid():
            found.append(line)
    return found


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited %s s in vain" % seconds
        time.sleep(0.02)


# ---- the SDKs: code ----

def test_code_keeps_its_state(sandbox):
    assert sandbox.run_code("x = 20").results == []
    run = sandbox.run_code("import sys\nprint('out')\nprint('err', file=sys.stderr)\nx + 1")
    assert run.text == "21"
    assert run.logs.stdout == ["out\n"] and run.logs.stderr == ["err\n"]
    assert run.error is None


def test_an_exception_has_name_value_and_traceback(sandbox):
    run = sandbox.run_code("def f(x):\n    return 1 / x\nf(0)")
    assert (run.error.name, run.error.value) == ("ZeroDivisionError", "division by zero")
    assert "Traceback (most recent call last)Cell In[1], line 3" in run.error.traceback
    assert "----> 2 " in run.error.traceback


def test_a_data_frame_has_text_html_and_data(sandbox):
    run = sandbox.run_code("import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})")
    assert run.results[0].is_main_result
    assert "<table" in run.results[0].html
    assert run.results[0].data == {"a": [1, 2], "b": ["x", "y"]}


def test_a_plot_is_a_png_and_a_chart(sandbox):
    run = sandbox.run_code("import matplotlib.pyplot as plt\nplt.plot([1, 2, 3], [4, 5, 6], label='a')\nplt.title('T')\n"
                           "plt.xlabel('X (m)')\nplt.show()")
    assert base64.b64decode(run.results[0].png).startswith(b"\x89PNG")
    assert not run.results[0].is_main_result
    assert run.results[0].chart.title == "T"


def test_display_and_rich_reprs(raw):
    events = raw.execute("class R:\n def _repr_html_(self): return '<b>'\n def _repr_png_(self): return b'p'\n"
                         " def _repr_json_(self): return {'k': 1}\n def _repr_mimebundle_(self, **k): return {'a/b': 'c'}\n"
                         "display(R())\nR()")
    results = [event for event in events if event["type"] == "result"]
    assert [event["is_main_result"] for event in results] == [False, True]
    assert results[0]["html"] == "<b>" and results[0]["png"] == base64.b64encode(b"p").decode()
    assert results[0]["json"] == {"k": 1} and results[0]["extra"] == {"a/b": "c"}


def test_bash_keeps_its_state(sandbox):
    run = sandbox.run_code("cd /tmp; V=3; echo er >&2; false", language="bash")
    assert (run.error.name, run.error.value) == ("", "1")
    assert run.logs.stdout == ["er\n"]
    assert sandbox.run_code("echo $V $PWD", language="bash").logs.stdout == ["3 /tmp\n"]


def test_javascript_awaits_and_keeps_its_state(sandbox):
    run = sandbox.run_code("const a = 4; console.log(a); await Promise.resolve(a * 2)", language="javascript")
    assert run.text == "8" and run.logs.stdout == ["4\n"]
    assert sandbox.run_code("a + 1", language="js").text == "5"
    failed = sandbox.run_code("throw new TypeError('bad')", language="javascript")
    assert (failed.error.name, failed.error.value) == ("TypeError", "bad")


def test_contexts_are_apart(sandbox):
    context = sandbox.create_code_context(cwd="/tmp")
    sandbox.run_code("x = 1")
    assert sandbox.run_code("import os; os.getcwd()", context=context).text == "/tmp"
    assert sandbox.run_code("x", context=context).error.name == "NameError"


def test_a_timeout_interrupts_the_kernel(sdk, sandbox):
    with pytest.raises(Exception):
        sandbox.run_code("import time\ntry:\n  time.sleep(60)\nexcept BaseException as e:\n  seen = type(e).__name__",
                         timeout=1)
    assert sandbox.run_code("seen").text == "KeyboardInterrupt"


# ---- the SDKs: commands and files ----

def test_commands(sdk, sandbox):
    run = sandbox.commands.run("echo out; echo err >&2; pwd")
    assert (run.stdout, run.stderr, run.exit_code) == ("out\n/home/user\n", "err\n", 0)
    with pytest.raises(sdk.CommandExitException) as caught:
        sandbox.commands.run("exit 3")
    assert caught.value.exit_code == 3
    assert sandbox.commands.run("echo $A $B", envs={"A": "1", "B": "2"}, cwd="/tmp").stdout == "1 2\n"


def test_a_command_in_the_background_is_listed_and_killed(sdk, sandbox):
    command = sandbox.commands.run("echo begun; sleep 1000", background=True)
    assert command.pid in [row.pid for row in sandbox.commands.list()]
    # A second command sees the first, as in a real sandbox.
    assert sandbox.commands.run("ps -p %d -o pid=" % command.pid).stdout.strip() == str(command.pid)
    assert command.kill()
    with pytest.raises(sdk.CommandExitException):
        command.wait()
    assert not sandbox.commands.kill(command.pid)


def test_a_command_reads_its_stdin(sandbox):
    command = sandbox.commands.run("cat", background=True, stdin=True)
    sandbox.commands.send_stdin(command.pid, "hello\n")
    sandbox.commands.close_stdin(command.pid)
    assert command.wait().stdout == "hello\n"


def test_a_commands_timeout(sdk, sandbox):
    begun = time.monotonic()
    with pytest.raises(sdk.TimeoutException):
        sandbox.commands.run("sleep 60", timeout=1)
    assert time.monotonic() - begun < 10


def test_files(sandbox):
    sandbox.files.write("dir/a.txt", "hello")
    assert sandbox.files.read("/home/user/dir/a.txt") == "hello"
    sandbox.files.write("/tmp/b.bin", b"\x00\xff")
    assert bytes(sandbox.files.read("/tmp/b.bin", format="bytes")) == b"\x00\xff"
    assert [entry.name for entry in sandbox.files.list("dir")] == ["a.txt"]
    assert sandbox.commands.run("cat dir/a.txt; wc -c < /tmp/b.bin").stdout == "hello2\n"
    assert sandbox.run_code("open('/home/user/dir/a.txt').read()").text == "hello"
    sandbox.files.rename("dir/a.txt", "dir/c.txt")
    assert sandbox.files.exists("dir/c.txt") and not sandbox.files.exists("dir/a.txt")
    assert sandbox.files.make_dir("dir/d") and not sandbox.files.make_dir("dir/d")
    sandbox.files.remove("dir")
    assert not sandbox.files.exists("dir")


def test_a_pseudo_terminal(sandbox):
    from e2b import PtySize
    seen = bytearray()
    terminal = sandbox.pty.create(PtySize(cols=80, rows=24), timeout=30)
    sandbox.pty.send_stdin(terminal.pid, b"stty size; exit 4\n")
    with pytest.raises(Exception) as caught:
        terminal.wait(on_pty=seen.extend)
    assert caught.value.exit_code == 4
    assert b"24 80" in seen


# ---- the SDKs: life ----

def test_metadata_finds_a_sandbox(sdk):
    box = sdk.Sandbox.create(metadata={"permit": "a b&c", "worker": "w"})
    try:
        query = sdk.SandboxQuery(metadata={"permit": "a b&c"})
        assert [info.sandbox_id for info in sdk.Sandbox.list(query=query).next_items()] == [box.sandbox_id]
        assert sdk.Sandbox.list(query=sdk.SandboxQuery(metadata={"permit": "x"})).next_items() == []
    finally:
        assert box.kill()
    assert not sdk.Sandbox.kill(box.sandbox_id)


def test_set_timeout_and_expiry(sdk):
    box = sdk.Sandbox.create(timeout=60)
    box.set_timeout(1)
    assert box.is_running()
    wait_until(lambda: not box.is_running(), 5)
    with pytest.raises(sdk.NotFoundException):
        sdk.Sandbox.get_info(box.sandbox_id)


def test_pause_and_connect(sdk):
    box = sdk.Sandbox.create()
    box.run_code("x = 5")
    box.pause()
    assert sdk.Sandbox.get_info(box.sandbox_id).state.value == "paused"
    again = sdk.Sandbox.connect(box.sandbox_id)
    assert again.run_code("x").text == "5"
    again.kill()


def test_sandbox_variables_reach_commands_and_kernels(sdk):
    box = sdk.Sandbox.create(envs={"GLOBAL_ONE": "g'1"})
    assert box.commands.run("echo $GLOBAL_ONE").stdout == "g'1\n"
    assert box.run_code("import os; os.environ['GLOBAL_ONE']").text == "g'1"
    box.kill()


# ---- recorded shapes: control plane ----

def test_keys(e2b_local):
    url = e2b_local.url + "/sandboxes"
    missing = requests.get(url, timeout=10)
    assert (missing.status_code, missing.json()["message"]) == (401, "authorization header is missing")
    wrong = requests.get(url, headers={"X-API-KEY": "other"}, timeout=10)
    assert wrong.status_code == 401 and "\nCannot get the team for the given API key" in wrong.json()["message"]


@pytest.mark.parametrize("path, body, status, message", [
    ("/sandboxes", {"templateID": "nope"}, 404, "template 'nope' not found"),
    ("/v2/sandboxes", {"templateID": "base:odd"}, 404, "template 'base:odd' not found"),
    ("/sandboxes", {"templateID": "base", "timeout": 0}, 400, "Timeout must be greater than 0"),
    ("/sandboxes", {"templateID": "base", "timeout": 10 ** 6}, 400, "Timeout cannot be greater than 24 hours"),
])
def test_create_refusals(e2b_local, path, body, status, message):
    answer = requests.post(e2b_local.url + path, json=body, headers=KEY, timeout=10)
    assert answer.status_code == status
    assert answer.json() == {"code": status, "message": message}


def test_an_unknown_sandbox_is_404_everywhere(e2b_local):
    url = e2b_local.url + "/sandboxes/i" + "0" * 20
    for method, path, body in (("DELETE", "", None), ("GET", "", None), ("POST", "/timeout", {"timeout": 5}),
                               ("POST", "/refreshes", {}), ("POST", "/connect", {"timeout": 5})):
        answer = requests.request(method, url + path, json=body, headers=KEY, timeout=10)
        assert answer.status_code == 404
        assert answer.json()["message"].endswith("doesn't exist or you don't have access to it")


def test_version_1_lives_15_seconds_and_has_no_token(e2b_local):
    created = requests.post(e2b_local.url + "/sandboxes", json={"templateID": "base"}, headers=KEY, timeout=10).json()
    assert "envdAccessToken" not in created
    url = e2b_local.url + "/sandboxes/" + created["sandboxID"]
    shown = requests.get(url, headers=KEY, timeout=10).json()
    from datetime import datetime
    life = datetime.fromisoformat(shown["endAt"]) - datetime.fromisoformat(shown["startedAt"])
    assert abs(life.total_seconds() - 15) < 1
    assert requests.delete(url, headers=KEY, timeout=10).status_code == 204
    assert requests.delete(url, headers=KEY, timeout=10).status_code == 404


def test_an_idempotency_key_creates_once(e2b_local):
    headers = {**KEY, "Idempotency-Key": "key-%d" % time.time_ns()}
    url = e2b_local.url + "/v2/sandboxes"
    first = requests.post(url, json={"templateID": "base"}, headers=headers, timeout=10)
    second = requests.post(url, json={"templateID": "base"}, headers=headers, timeout=10)
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    other = requests.post(url, json={"templateID": "base", "timeout": 9}, headers=headers, timeout=10)
    assert other.status_code == 422 and other.json()["error_code"] == "idempotency_request_mismatch"
    fault(e2b_local, idempotency="ignore")
    third = requests.post(url, json={"templateID": "base"}, headers=headers, timeout=10)
    assert third.json()["sandboxID"] != first.json()["sandboxID"]
    for created in (first, third):
        requests.delete(e2b_local.url + "/sandboxes/" + created.json()["sandboxID"], headers=KEY, timeout=10)


def test_lists_have_pages(e2b_local):
    boxes = [Raw(e2b_local, metadata={"page": "yes"}) for _ in range(5)]
    seen, token = [], None
    while True:
        query = {"metadata": "page=yes", "limit": 2, **({"nextToken": token} if token else {})}
        answer = requests.get(e2b_local.url + "/v2/sandboxes", params=query, headers=KEY, timeout=10)
        assert answer.headers["X-Total-Running"] == "5"
        seen += [row["sandboxID"] for row in answer.json()]
        token = answer.headers.get("X-Next-Token")
        if not token:
            break
    assert sorted(seen) == sorted(box.id for box in boxes)
    for box in boxes:
        assert box.kill() == 204


def test_refreshes_only_extend(raw, e2b_local):
    url = e2b_local.url + "/sandboxes/" + raw.id
    before = requests.get(url, headers=KEY, timeout=10).json()["endAt"]
    assert requests.post(url + "/refreshes", json={"duration": 20}, headers=KEY, timeout=10).status_code == 204
    assert requests.get(url, headers=KEY, timeout=10).json()["endAt"] == before
    assert requests.post(url + "/timeout", json={"timeout": 20}, headers=KEY, timeout=10).status_code == 204
    assert requests.get(url, headers=KEY, timeout=10).json()["endAt"] < before


# ---- recorded shapes: routing ----

def test_what_the_proxy_says(raw, e2b_local):
    gone = {"E2b-Sandbox-Id": "i" + "0" * 20, "E2b-Sandbox-Port": "49983"}
    answer = requests.get(e2b_local.url + "/health", headers=gone, timeout=10)
    assert answer.status_code == 502
    assert answer.json() == {"sandboxId": "i" + "0" * 20, "message": "The sandbox was not found", "code": 502}
    closed = requests.get(e2b_local.url + "/", headers=raw.headers(8000), timeout=10)
    assert closed.json() == {"sandboxId": raw.id, "message": "The sandbox is running but port is not open",
                             "port": 8000, "code": 502}
    half = requests.get(e2b_local.url + "/", headers={"E2b-Sandbox-Id": raw.id}, timeout=10)
    assert (half.status_code, half.text) == (400, "missing header")
    by_host = requests.get(e2b_local.url + "/health", headers={"Host": "49999-%s.e2b.local" % raw.id}, timeout=10)
    assert by_host.text == '"OK"'


def test_traffic_tokens(e2b_local):
    box = Raw(e2b_local, network={"allowPublicTraffic": False})
    refused = box.interpreter("GET", "/health")
    assert refused.status_code == 403
    assert refused.json()["message"].endswith("Token header 'e2b-traffic-access-token' is missing")
    assert box.envd("GET", "/health").status_code == 204
    token = {"E2B-Traffic-Access-Token": box.created["trafficAccessToken"]}
    assert box.interpreter("GET", "/health", headers=token).status_code == 200
    box.kill()


# ---- recorded shapes: code interpreter ----

def test_event_order_and_keys(raw):
    events = raw.execute("import sys\nprint('out')\nprint('err', file=sys.stderr)\n'value'")
    assert [event["type"] for event in events] == ["number_of_executions", "stdout", "stderr", "result",
                                                   "end_of_execution"]
    assert events[0] == {"type": "number_of_executions", "execution_count": 1}
    assert sorted(events[1]) == ["text", "timestamp", "type"]
    assert events[3] == {"type": "result", "text": "value", "extra": {}, "is_main_result": True}


@pytest.mark.parametrize("code, name, value", [
    ("1/0", "ZeroDivisionError", "division by zero"),
    ("import sys; sys.exit(3)", "SystemExit", "3"),
    ("input()", "StdinNotImplementedError", "raw_input was called, but this frontend does not support input requests."),
])
def test_errors_of_code(raw, code, name, value):
    errors = [event for event in raw.execute(code) if event["type"] == "error"]
    assert [(event["name"], event["value"]) for event in errors] == [(name, value)]


def test_a_syntax_error_reads_as_recorded(raw):
    error = raw.execute("def f(:\n pass")[1]
    assert error["traceback"] == ("  Cell In[1], line 1\n    def f(:\n          ^\nSyntaxError: invalid syntax\n")
    assert error["value"].startswith("invalid syntax (") and error["value"].endswith(".py, line 1)")


def test_a_division_by_zero_reads_as_recorded(raw):
    error = raw.execute("1/0")[1]
    assert error["traceback"] == ("-" * 75 + "ZeroDivisionError" + " " * 25 + "Traceback (most recent call last)"
                                  "Cell In[1], line 1\n----> 1 1/0\nZeroDivisionError: division by zero")


def test_variables_of_a_request_are_taken_back(raw):
    code = "import os\nprint(os.environ.get('A'))"
    assert raw.execute(code, env_vars={"A": "1"})[1]["text"] == "1\n"
    assert raw.execute(code)[1]["text"] == "None\n"
    broken = raw.execute("print(1)", env_vars={"Q": "it's"})[1]
    assert broken["name"] == "SyntaxError" and "unterminated string literal" in broken["value"]


def test_a_dead_kernel_is_restarted(raw):
    raw.execute("x = 1")
    events = raw.execute("import os; os._exit(1)")
    assert events == [{"type": "error", "name": "ContextRestarting", "value": "Context was restarted",
                       "traceback": ""}, {"type": "end_of_execution"}]
    assert raw.execute("x")[1]["name"] == "NameError"


def test_too_much_memory_kills_the_kernel_only(e2b_local):
    if not e2b_local.limits_sandboxes():
        pytest.skip("no control groups here")
    box = Raw(e2b_local, templateID="small")
    events = box.execute("b = bytearray(400 * 1024 * 1024); len(b)")
    assert "ContextRestarting" in [event.get("name") for event in events]
    assert box.execute("1 + 1")[1]["text"] == "2"
    box.kill()


def test_refusals_of_the_interpreter(raw):
    def ask(body):
        answer = raw.interpreter("POST", "/execute", data=body)
        return answer.status_code, answer.text
    assert ask('{"code": "x", "language": "ruby"}') == (
        500, 'Failed to create context: {"message": "The \'ruby\' kernel is not available. Please pick another suitable '
             'kernel instead, or install that kernel.", "short_message": "ruby not found"}')
    assert ask('{"code": "x", "language": "python", "context_id": "abc"}') == (
        400, "Only one of context_id or language can be provided")
    assert ask('{"code": "x", "context_id": "nope"}') == (404, "Context nope not found")
    assert ask('{"language": "python"}') == (
        422, '{"detail":[{"type":"missing","loc":["body","code"],"msg":"Field required","input":{"language":"python"}}]}')
    assert ask("{bad")[0] == 422


def test_contexts_over_http(raw):
    context = raw.interpreter("POST", "/contexts", json={"language": "python", "cwd": "/tmp"}).json()
    assert context["language"] == "python" and context["cwd"] == "/tmp"
    assert context["id"] in [row["id"] for row in raw.interpreter("GET", "/contexts").json()]
    assert raw.execute("import os;print(os.getcwd())", context_id=context["id"])[1]["text"] == "/tmp\n"
    connection, answer = raw.start_execute("import time\nprint('x', flush=True)\ntime.sleep(30)", context_id=context["id"])
    assert json.loads(answer.readline())["type"] == "number_of_executions"
    assert json.loads(answer.readline())["text"] == "x\n"
    assert raw.interpreter("POST", "/contexts/%s/restart" % context["id"]).text == "null"
    names = [json.loads(line).get("name") for line in answer.read().splitlines()]
    assert names == ["WebSocketError", "UnexpectedEndOfExecution", None]
    connection.close()
    assert raw.interpreter("DELETE", "/contexts/" + context["id"]).text == "null"
    again = raw.interpreter("DELETE", "/contexts/" + context["id"])
    assert (again.status_code, again.text) == (404, "Context %s not found" % context["id"])


def test_output_is_streamed(raw):
    connection, answer = raw.start_execute("import time\nfor i in range(3):\n  print(i)\n  time.sleep(0.4)")
    times = []
    for line in iter(answer.readline, b""):
        if json.loads(line)["type"] == "stdout":
            times.append(time.monotonic())
    assert len(times) == 3 and times[2] - times[0] > 0.6
    connection.close()


def test_what_subprocesses_print_is_heard(raw):
    events = raw.execute("import subprocess\nsubprocess.run('echo from below; echo e >&2', shell=True)\nNone")
    assert [event["text"] for event in events if event["type"] in ("stdout", "stderr")] == ["from below\n", "e\n"]


def test_one_run_at_a_time_and_leaving_while_queued(raw):
    first, answer = raw.start_execute("import time; time.sleep(1.5); ran = ['first']")
    second, _ = raw.start_execute("ran.append('second')")
    time.sleep(0.3)
    second.close()
    answer.read()
    first.close()
    assert raw.execute("ran")[1]["text"] == "['first']"


@pytest.mark.parametrize("language, endless, then, text", [
    ("javascript", "var q = 1; await new Promise((done) => setTimeout(done, 60000))", "1 + 1", "2"),
    ("javascript", "while (true) {}", "1 + 1", "2"),
    ("bash", "V=7; sleep 60", "echo $V", "7\n"),
])
def test_leaving_interrupts_other_kernels_too(raw, language, endless, then, text):
    connection, answer = raw.start_execute(endless, language=language)
    assert answer.readline()
    time.sleep(0.2)
    connection.close()
    assert raw.execute(then, language=language)[1]["text"] == text


def test_silence_is_filled_with_keepalives(raw):
    events = raw.execute("import time; time.sleep(5.5)")
    assert [event["type"] for event in events] == ["number_of_executions", "keepalive", "end_of_execution"]


def test_without_the_token_the_refusal_becomes_the_environment(raw):
    raw.token = "wrong"
    assert raw.execute("import os; os.environ['code']")[1]["text"] == "401"


def test_a_deleted_default_context_stays_away(raw):
    contexts = raw.interpreter("GET", "/contexts").json()
    raw.interpreter("DELETE", "/contexts/" + contexts[0]["id"])
    named = raw.interpreter("POST", "/execute", json={"code": "1", "language": "python"})
    assert (named.status_code, named.text) == (404, "Context None not found")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        raw.interpreter("POST", "/execute", json={"code": "1"})


# ---- recorded shapes: envd ----

def test_a_process_stream_reads_as_recorded(raw):
    found = raw.start("echo out; echo err >&2; exit 3")
    assert "pid" in found[0][1]["event"]["start"]
    data = sorted(json.dumps(message["event"]["data"]) for flags, message in found[1:3])
    assert data == ['{"stderr": "ZXJyCg=="}', '{"stdout": "b3V0Cg=="}']
    assert found[3:] == [(0, {"event": {"end": {"exitCode": 3, "exited": True, "status": "exit status 3",
                                                "error": "exit status 3"}}}), (2, {})]


def test_exit_code_zero_is_left_out(raw):
    assert raw.start("true")[1] == (0, {"event": {"end": {"exited": True, "status": "exit status 0"}}})


def test_the_deadline_has_no_end_event(raw):
    found = raw.start("sleep 30", headers={"Connect-Timeout-Ms": "1500"})
    assert found[-1] == (2, {"error": {"code": "deadline_exceeded", "message": "context deadline exceeded"}})
    assert ["end" in message.get("event", {}) for _, message in found] == [False] * len(found)


def test_keepalives_of_a_process(raw):
    found = [message["event"] for flags, message in raw.start("sleep 2.5", headers={"Keepalive-Ping-Interval": "1"})[:-1]]
    assert "start" in found[0] and "end" in found[-1]
    assert found[1:3] == [{"keepalive": {}}, {"keepalive": {}}]


@pytest.mark.parametrize("message, headers, code, text", [
    ({"process": {"cmd": "/bin/true", "cwd": "/no/dir"}}, {}, "invalid_argument", "cwd '/no/dir' does not exist"),
    ({"process": {"cmd": "/bin/true"}}, {"Authorization": "Basic bm9ib2R5OTo="}, "unauthenticated",
     "invalid username: 'nobody9'"),
])
def test_starts_that_fail(raw, message, headers, code, text):
    assert raw.stream("Start", json.dumps(message), headers) == [(2, {"error": {"code": code, "message": text}})]


def test_a_missing_program_is_exit_127(raw):
    found = raw.stream("Start", json.dumps({"process": {"cmd": "/no/such/cmd"}}))
    assert base64.b64decode(found[1][1]["event"]["data"]["stderr"]) == (
        b"/usr/bin/nice: '/no/such/cmd': No such file or directory\n")
    assert found[2][1]["event"]["end"]["exitCode"] == 127


def test_a_process_goes_on_without_listeners_and_is_found_again(raw):
    connection = http.client.HTTPConnection("127.0.0.1", raw.local.port, timeout=30)
    message = json.dumps({"process": {"cmd": "/bin/bash", "args": ["-c", "echo 1; sleep 1; echo 2; exit 7"]},
                          "stdin": False, "tag": "bg"}).encode()
    connection.request("POST", "/process.Process/Start", struct.pack(">BI", 0, len(message)) + message,
                       {**raw.headers(49983), "Content-Type": "application/connect+json"})
    assert connection.getresponse().read(5)
    connection.close()
    status, listed = raw.rpc("process.Process/List", {})
    pid = listed["processes"][0]["pid"]
    assert listed["processes"][0]["tag"] == "bg"
    found = raw.stream("Connect", json.dumps({"process": {"pid": pid}}))
    assert found[0][1] == {"event": {"start": {"pid": pid}}}
    assert found[-2][1]["event"]["end"]["exitCode"] == 7
    again = raw.stream("Connect", json.dumps({"process": {"pid": pid}}))
    assert [message for _, message in again] == [found[0][1], found[-2][1], {}]
    assert raw.rpc("process.Process/List", {}) == (200, {})
    assert raw.rpc("process.Process/SendSignal", {"process": {"pid": 999999}, "signal": "SIGNAL_SIGKILL"}) == (
        404, {"code": "not_found", "message": "process with pid 999999 not found"})


def test_a_background_child_that_holds_the_output_delays_the_end(raw):
    begun = time.monotonic()
    raw.start("sleep 1 & exit 0")
    assert time.monotonic() - begun > 0.9


def test_much_output_arrives_whole(raw):
    found = raw.start("head -c 3000000 /dev/zero")
    assert len(output(found)) == 3000000


def test_envd_asks_for_the_token(raw):
    right, raw.token = raw.token, "wrong"
    refused = raw.envd("POST", "/process.Process/List", json={})
    assert refused.status_code == 401
    assert refused.json() == {"code": 401, "message": "unauthorized access, please provide a valid access token or "
                                                      "method signing if supported"}
    assert raw.envd("GET", "/health").status_code == 204
    raw.token = right
    assert raw.envd("POST", "/init", json={}).status_code == 404
    assert raw.envd("GET", "/envs").json()["E2B_SANDBOX_ID"] == raw.id
    assert raw.envd("POST", "/process.Process/Nope", json={}).text == "404 page not found\n"
    assert raw.envd("POST", "/process.Process/Start", json={}).status_code == 415


def test_files_over_http(raw):
    octets = {"Content-Type": "application/octet-stream"}
    written = raw.envd("POST", "/files?path=a.txt", data=b"hello file", headers=octets)
    assert written.json() == [{"name": "a.txt", "path": "/home/user/a.txt", "type": "file"}]
    assert written.headers["Content-Type"] == "text/plain; charset=utf-8"
    chunked = raw.envd("POST", "/files?path=/home/user/c.bin", data=iter([b"abcde", b"fgh"]), headers=octets)
    assert chunked.status_code == 200
    assert raw.envd("GET", "/files?path=c.bin").content == b"abcdefgh"
    part = raw.envd("GET", "/files?path=c.bin", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"cde")
    parts = raw.envd("POST", "/files", files=[("file", ("/home/user/m1", b"m1")), ("file", ("/home/user/m2", b"m2"))])
    assert [row["path"] for row in parts.json()] == ["/home/user/m1", "/home/user/m2"]
    joined = {"source_paths": ["/home/user/m1", "/home/user/m2"], "destination": "/home/user/joined"}
    assert raw.envd("POST", "/files/compose", json=joined).json()["path"] == "/home/user/joined"
    assert raw.envd("GET", "/files?path=joined").text == "m1m2"
    assert raw.envd("POST", "/files/compose", json=joined).json() == {
        "code": 404, "message": "source file not found: /home/user/m1"}


@pytest.mark.parametrize("method, query, headers, status, message", [
    ("GET", "path=/home/user/nope", {}, 404, "path '/home/user/nope' does not exist"),
    ("GET", "path=/home/user", {}, 400, "path '/home/user' is a directory"),
    ("POST", "", {"Content-Type": "application/octet-stream"}, 400, "path query parameter is required for raw body upload"),
    ("POST", "path=/home/user", {"Content-Type": "application/octet-stream"}, 400, "path is a directory: /home/user"),
    ("POST", "path=z", {"Content-Type": "text/plain"}, 400,
     "unsupported content type: text/plain, expected multipart/form-data or application/octet-stream"),
    ("POST", "path=z&username=nobody9", {"Content-Type": "application/octet-stream"}, 401,
     "error looking up user 'nobody9': user: unknown user nobody9"),
])
def test_refusals_of_files(raw, method, query, headers, status, message):
    answer = raw.envd(method, "/files?" + query, data=b"x" if method == "POST" else None, headers=headers)
    assert (answer.status_code, answer.json()) == (status, {"code": status, "message": message})


def signed(raw, path, operation, expiry):
    text = ":".join([path, operation, "", raw.token, str(expiry)])
    signature = "v1_" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
    headers = {"E2b-Sandbox-Id": raw.id, "E2b-Sandbox-Port": "49983"}
    return requests.get(raw.local.url + "/files", headers=headers, timeout=10, params={
        "path": path, "signature": signature, "signature_expiration": expiry})


def test_signed_files(raw):
    raw.envd("POST", "/files?path=a.txt", data=b"s", headers={"Content-Type": "application/octet-stream"})
    assert signed(raw, "a.txt", "read", int(time.time()) + 60).text == "s"
    assert signed(raw, "a.txt", "read", 1).json()["message"] == "signature is already expired"
    assert signed(raw, "a.txt", "write", int(time.time()) + 60).json()["message"] == "invalid signature"


def test_links_do_not_lead_out_of_the_sandbox(raw):
    raw.start("ln -s / out; ln -s ../../../../../../../.. up; echo in > /tmp/marker")
    assert raw.envd("GET", "/files?path=/home/user/out/tmp/marker").text == "in\n"
    assert raw.envd("GET", "/files?path=/home/user/up/tmp/marker").text == "in\n"
    assert raw.envd("GET", "/files?path=/home/user/out/root/.bashrc").status_code == 404


def test_filesystem_calls(raw):
    assert raw.rpc("filesystem.Filesystem/Stat", {"path": "/nope"}) == (
        404, {"code": "not_found", "message": "file not found: lstat /nope: no such file or directory"})
    status, made = raw.rpc("filesystem.Filesystem/MakeDir", {"path": "/home/user/d1/d2"})
    assert status == 200 and made["entry"]["type"] == "FILE_TYPE_DIRECTORY" and made["entry"]["mode"] == 493
    assert raw.rpc("filesystem.Filesystem/MakeDir", {"path": "/home/user/d1/d2"}) == (
        409, {"code": "already_exists", "message": "directory already exists: /home/user/d1/d2"})
    one = raw.rpc("filesystem.Filesystem/ListDir", {"path": "/home/user"})[1]["entries"]
    two = raw.rpc("filesystem.Filesystem/ListDir", {"path": "/home/user", "depth": 2})[1]["entries"]
    assert ([entry["name"] for entry in one], [entry["name"] for entry in two]) == (["d1"], ["d1", "d2"])
    assert raw.rpc("filesystem.Filesystem/Remove", {"path": "/home/user/d1"}) == (200, {})
    assert raw.rpc("filesystem.Filesystem/Remove", {"path": "/home/user/d1"}) == (200, {})
    meta = {"Content-Type": "application/octet-stream", "X-Metadata-Job": "42"}
    raw.envd("POST", "/files?path=meta.txt", data=b"m", headers=meta)
    entry = raw.rpc("filesystem.Filesystem/Stat", {"path": "/home/user/meta.txt"})[1]["entry"]
    assert (entry["size"], entry["permissions"]) == ("1", "-rw-r--r--")


# ---- kill, faults, stats ----

def test_a_kill_cuts_streams_and_takes_daemons_along(raw):
    marker = "98%d" % (time.time_ns() % 10 ** 9)
    raw.start("setsid sleep %s >/dev/null 2>&1 & disown; nohup sleep %s >/dev/null 2>&1 &" % (marker, marker))
    wait_until(lambda: len(processes_with(marker)) >= 2, 20)
    connection, answer = raw.start_execute("import time; print(1, flush=True); time.sleep(60)")
    assert answer.readline()
    assert raw.kill() == 204
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()
    assert processes_with(marker) == []
    assert raw.id not in raw.local.folders()
    assert [path for path in raw.local.groups() if path.name == raw.id] == []
    assert raw.interpreter("GET", "/health").json()["message"] == "The sandbox was not found"


def test_failing_creates(e2b_local):
    def create():
        return requests.post(e2b_local.url + "/v2/sandboxes", json={"templateID": "base"}, headers=KEY, timeout=10)
    fault(e2b_local, create_fail={"count": 1, "kind": "rate", "retry_after": 2})
    assert (create().headers["Retry-After"], create().status_code) == ("2", 201)
    fault(e2b_local, create_fail={"count": 1, "kind": "concurrency"})
    refused = create()
    assert refused.status_code == 429 and "Retry-After" not in refused.headers
    assert refused.json()["message"].startswith("you have reached the maximum number of concurrent E2B sandboxes")
    fault(e2b_local, create_fail={"count": 1, "status": 503, "error_code": "sandbox_capacity_unavailable"})
    assert create().json()["error_code"] == "sandbox_capacity_unavailable"
    fault(e2b_local, v2=False)
    assert create().status_code == 405
    fault(e2b_local, v2=True, reject_all=True)
    assert create().status_code == 401
    fault(e2b_local, reject_all=False, lose="any")


def test_a_silent_create_makes_its_sandbox(e2b_local):
    fault(e2b_local, create_silent={"count": 1, "after_ms": 100})
    body = {"templateID": "base", "metadata": {"silent": "yes"}}
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.post(e2b_local.url + "/v2/sandboxes", json=body, headers=KEY, timeout=10)
    listed = requests.get(e2b_local.url + "/v2/sandboxes?metadata=silent%3Dyes", headers=KEY, timeout=10).json()
    assert len(listed) == 1
    fault(e2b_local, lose=listed[0]["sandboxID"])
    assert requests.get(e2b_local.url + "/sandboxes/" + listed[0]["sandboxID"], headers=KEY, timeout=10).status_code == 404


def test_cut_streams(raw):
    fault(raw.local, cut_stream={"count": 1, "after_bytes": 60, "plane": "interpreter"})
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        raw.execute("print('x' * 1000)")
    assert raw.execute("1")[1]["text"] == "1"
    fault(raw.local, cut_stream={"count": 1, "after_bytes": 10, "plane": "process"})
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        raw.start("echo 1")


def test_delays_and_failing_kills(e2b_local):
    fault(e2b_local, create_delay_ms=300)
    begun = time.monotonic()
    box = Raw(e2b_local)
    assert time.monotonic() - begun >= 0.3
    fault(e2b_local, create_delay_ms=0, kill_fail={"count": 1, "status": 500})
    assert (box.kill(), box.kill()) == (500, 204)


def test_a_late_create_is_carried_out_though_its_client_has_left(e2b_local):
    fault(e2b_local, create_delay_ms=400)
    body = {"templateID": "base", "metadata": {"late": "yes"}}
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(e2b_local.url + "/v2/sandboxes", json=body, headers=KEY, timeout=0.1)
    listing = e2b_local.url + "/v2/sandboxes?metadata=late%3Dyes"
    wait_until(lambda: len(requests.get(listing, headers=KEY, timeout=10).json()) == 1)
    late = requests.get(listing, headers=KEY, timeout=10).json()[0]["sandboxID"]
    assert requests.delete(e2b_local.url + "/sandboxes/" + late, headers=KEY, timeout=10).status_code == 204


def test_an_end_that_is_set_late_counts_from_then(raw):
    fault(raw.local, keep_delay_ms=300)
    keep = raw.local.url + "/sandboxes/" + raw.id + "/timeout"
    begun = time.monotonic()
    assert requests.post(keep, json={"timeout": 60}, headers=KEY, timeout=10).status_code == 204
    assert time.monotonic() - begun >= 0.3
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(keep, json={"timeout": 0}, headers=KEY, timeout=0.1)
    wait_until(lambda: raw.kill() == 404)


def test_an_unknown_fault_is_refused(e2b_local):
    assert requests.post(e2b_local.url + "/__faults", json={"typo": 1}, timeout=10).status_code == 400


def test_stats_count(e2b_local):
    requests.post(e2b_local.url + "/__stats/reset", timeout=10)
    before = stats(e2b_local)
    assert before["created"] == 0
    box = Raw(e2b_local)
    during = stats(e2b_local)
    assert (during["create_requests"], during["created"], during["live"]) == (1, 1, before["live"] + 1)
    assert during["max_live"] >= before["live"] + 1
    box.kill()
    after = stats(e2b_local)
    assert (after["killed"], after["live"]) == (1, before["live"])


def test_a_hundred_at_once_leave_nothing_behind(e2b_local):
    marker = "97%d" % (time.time_ns() % 10 ** 9)

    def live(number):
        box = Raw(e2b_local)
        assert box.execute("print(%d)" % number)[1]["text"] == "%d\n" % number
        box.start("setsid sleep %s >/dev/null 2>&1 &" % marker)
        return box

    before = stats(e2b_local)["live"]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        boxes = list(pool.map(live, range(100)))
        assert stats(e2b_local)["live"] == before + 100
        assert len(processes_with(marker)) == 100
        assert set(pool.map(Raw.kill, boxes)) == {204}
    assert stats(e2b_local)["live"] == before
    assert processes_with(marker) == []
    ids = {box.id for box in boxes}
    assert ids.isdisjoint(e2b_local.folders())
    assert ids.isdisjoint(path.name for path in e2b_local.groups())


# ---- the program ----

def run_program(*arguments):
    import subprocess
    program = LOCAL_PROGRAM
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)


def test_wrong_use_says_what_is_wrong():
    assert run_program("--help").returncode == 0
    for arguments in (["--listen", "0.0.0.0:3010"], ["--nope"], ["extra"], ["--template", "x:y"],
                      ["--max-sandboxes", "0"], ["--isolation", "magic"]):
        run = run_program(*arguments)
        assert run.returncode == 2 and run.stderr, arguments
    missing = run_program("--python", "/no/such/python", "--listen", "127.0.0.1:0")
    assert missing.returncode == 1 and "--python" in missing.stderr
    unwritable = run_program("--journal", "/no/such/folder/journal", "--listen", "127.0.0.1:0")
    assert unwritable.returncode == 1 and "/no/such/folder/journal" in unwritable.stderr


@pytest.fixture
def starts_local(tmp_path):
    """Starts an e2b-local with options of its own; it ends with the test."""
    started = []

    def start(*options):
        started.append(Local(tmp_path, "--log-level", "warn", *options))
        return started[-1]

    yield start
    for local in started:
        if local.process.poll() is None:
            local.stop()


def test_without_isolation(starts_local):
    local = starts_local("--isolation", "none", "--max-sandboxes", "1")
    box = Raw(local)
    full = requests.post(local.url + "/sandboxes", json={"templateID": "base"}, headers=KEY, timeout=10)
    assert full.status_code == 429 and "concurrent E2B sandboxes (1)" in full.json()["message"]
    box.envd("POST", "/files?path=a.txt", data=b"hello", headers={"Content-Type": "application/octet-stream"})
    found = box.start("cat a.txt; cat ~/a.txt")
    assert output(found) == b"hellohello"
    assert box.execute("open('a.txt').read()")[1]["text"] == "hello"
    marker = "96%d" % (time.time_ns() % 10 ** 9)
    box.start("setsid sleep %s >/dev/null 2>&1 &" % marker)
    local.stop()
    if os.path.exists("/sys/fs/cgroup/memory") or os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        assert processes_with(marker) == []


def test_the_journal_tells_what_became_of_every_create_and_every_sandbox(starts_local, tmp_path):
    path = tmp_path / "journal"
    local = starts_local("--journal", path, "--max-sandboxes", "2")
    one, two = Raw(local, metadata={"permit": "p-1"}), Raw(local)
    requests.post(local.url + "/v2/sandboxes", json={"templateID": "base"}, headers={**KEY, "Idempotency-Key": "k"}, timeout=10)
    fault(local, create_fail={"count": 1, "status": 500})
    requests.post(local.url + "/v2/sandboxes", json={"templateID": "base"}, headers=KEY, timeout=10)
    one.start("true")
    one.execute("1")
    one.kill()
    fault(local, lose=two.id)
    local.stop()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(line["at"] for line in lines)
    # What e2b-local starts in a sandbox for itself is no program of the client's.
    told = [(line["event"], line.get("sandbox") or line.get("key"), line.get("live"), line.get("why")) for line in lines
            if line["event"] not in ("process.started", "code.started", "sandbox.end_set")]
    assert told == [("create.asked", None, None, None), ("sandbox.created", one.id, 0, None),
                    ("create.asked", None, None, None), ("sandbox.created", two.id, 1, None),
                    ("create.asked", "k", None, None), ("create.refused", "k", None, "full"),
                    ("create.asked", None, None, None), ("create.refused", None, None, "fault"),
                    ("kill.asked", one.id, None, None), ("sandbox.ended", one.id, 1, "killed"),
                    ("sandbox.ended", two.id, 0, "lost")]
    assert [json.loads(line["metadata"]) for line in lines if "metadata" in line] == [{"permit": "p-1"}, {}]
    for event in ("process.started", "code.started", "sandbox.end_set"):
        assert one.id in [line["sandbox"] for line in lines if line["event"] == event], event
    assert [line["left_ms"] for line in lines if line["event"] == "sandbox.end_set"] == [300000, 300000]


def test_the_kernels_parent_is_started_again(starts_local):
    local = starts_local("--log-level", "none")
    box = Raw(local)
    box.execute("x = 1")
    children = "/proc/%d/task/%d/children" % (local.process.pid, local.process.pid)
    parents = [int(pid) for pid in open(children).read().split()
               if b"zygote.py" in open("/proc/%s/cmdline" % pid, "rb").read()]
    for pid in parents:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: [event.get("name") for event in box.execute("x")][1:2] == ["NameError"], 20)
    assert box.kill() == 204


@pytest.mark.parametrize("isolation", ["auto", "none"])
def test_the_next_start_sweeps_what_a_killed_one_left(starts_local, isolation):
    first = starts_local("--isolation", isolation)
    box, paused = Raw(first), Raw(first)
    markers = ["94%d" % (time.time_ns() % 10 ** 9 + n) for n in range(2)]
    for sandbox, marker in zip((box, paused), markers):
        sandbox.start("setsid sleep %s >/dev/null 2>&1 &" % marker)
        sandbox.execute("1")
    assert requests.post(first.url + "/sandboxes/" + paused.id + "/pause", headers=KEY, timeout=10).status_code == 204
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait(timeout=10)
    left = list(first.directory.iterdir())
    assert [path.name.startswith("e2b-local.") for path in left] == [True]

    second = starts_local("--isolation", isolation)
    assert not left[0].exists() and "predecessor.swept" in second.output()
    wait_until(lambda: processes_with(markers[0]) == processes_with(markers[1]) == [], 10)
    assert first.groups() == [] and first.port != second.port

    living = Raw(second)
    third = starts_local("--isolation", isolation)  # one that lives is left alone
    assert Part.stop(third) == 0
    assert living.execute("6 * 7")[1]["text"] == "42" and living.id in second.folders()


def test_a_sudden_death_takes_the_sandboxes_along(starts_local):
    local = starts_local()
    box = Raw(local)
    marker = "95%d" % (time.time_ns() % 10 ** 9)
    box.start("setsid sleep %s >/dev/null 2>&1 &" % marker)
    box.execute("1")
    os.kill(local.process.pid, signal.SIGKILL)
    local.process.wait(timeout=10)
    wait_until(lambda: processes_with(marker) == [], 10)
