"""E2B behind TLS and HTTP/2, as the real one is: nghttpx (Debian's nghttp2-proxy) in front of e2b-local, with a
certificate of our own authority. Its access log says which requests shared a connection, and by which protocol."""
from __future__ import annotations

import json
import pathlib
import socket
import subprocess
import threading

import pytest
from stack import API_KEY, BUILD, SANITIZER_WORDS, Part, free_port, wait_until

PROBE_PROGRAM = BUILD / "tests/integration/e2b_probe"
GONE, BROKEN = 8, 13  # enum e2b_error_kind of <e2b/e2b.h>


class Authority:
    """A certificate authority, and a server's certificate that it signed."""

    def __init__(self, folder: pathlib.Path):
        folder.mkdir(parents=True)
        self.ca, self.certificate, self.key = (folder / name for name in ("ca.pem", "server.pem", "server.key"))
        ca_key, request, extensions = folder / "ca.key", folder / "server.csr", folder / "extensions"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self.openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", self.ca, "-days", "2", "-subj", "/CN=test authority")
        self.openssl("req", *new_key, "-keyout", self.key, "-out", request, "-subj", "/CN=localhost")
        self.openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2",
                     "-extfile", extensions, "-out", self.certificate)

    @staticmethod
    def openssl(*words) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class Proxy(Part):
    """nghttpx: TLS with HTTP/2 and HTTP/1.1 outside, HTTP/1.1 to e2b-local."""

    def __init__(self, folder: pathlib.Path, authority: Authority, backend_port: int):
        self.port, self.access = free_port(), folder / "access.log"
        self.url = f"https://localhost:{self.port}"
        super().__init__("nghttpx", folder, [
            "nghttpx", "--conf=/dev/null", f"--frontend=127.0.0.1,{self.port}", f"--backend=127.0.0.1,{backend_port}",
            "--workers=1", f"--accesslog-file={self.access}", "--accesslog-format=$remote_port $alpn $status $method $path",
            f"--errorlog-file={folder / 'error.log'}", authority.key, authority.certificate])

        def shakes_hands():
            with socket.socket() as link:
                return link.connect_ex(("127.0.0.1", self.port)) == 0
        wait_until(shakes_hands, 10, "nghttpx listens")

    def requests(self) -> list[dict]:
        names = ("port", "protocol", "status", "method", "path")
        return [dict(zip(names, line.split(" ", 4))) for line in self.access.read_text().splitlines()]

    def requests_of(self, *words: str) -> list[dict]:
        return [request for request in self.requests() if any(word in request["path"] for word in words)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority") / "ours")


@pytest.fixture
def start_proxy(authority, tmp_path):
    """Starts the proxy in front of a port; stops it when the test ends."""
    parts = []

    def start(port: int) -> Proxy:
        parts.append(Proxy(tmp_path / "nghttpx", authority, port))
        return parts[-1]
    yield start
    for part in parts:
        part.stop()


@pytest.fixture
def front(start_proxy, e2b_local):
    yield start_proxy(e2b_local.port)
    e2b_local.faults(cut_stream={"count": 0})


def probe(url: str, ca: pathlib.Path, *operations: list) -> list[dict]:
    """What e2b_probe printed: outputs, and for each operation a line with "done"."""
    done = subprocess.run([PROBE_PROGRAM, url, url, API_KEY, ca], input="\n".join(map(json.dumps, operations)),
                          capture_output=True, text=True, timeout=90)
    assert done.returncode == 0 and not any(word in done.stderr for word in SANITIZER_WORDS), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def ends(lines: list[dict]) -> dict[str, dict]:
    return {line["done"]: line for line in lines if "done" in line}


def text_of(lines: list[dict], kind: str) -> str:
    return "".join(line["text"] for line in lines if line.get("output") == kind)


def test_control_and_envd_share_http2_connections_and_each_run_has_its_own(front, authority):
    lines = probe(front.url, authority.ca, ["create", "code-interpreter-v1"], ["inspect"], ["put", "a.txt", "hello"],
                  ["get", "a.txt"], ["list", ".", 1], ["start", "cat", "a.txt"], ["run", "print(6 * 7)"], ["run", "1"],
                  ["keep", 60000], ["kill"])
    assert all(end["ok"] for end in ends(lines).values()), lines
    assert text_of(lines, "stdout") == "hello42\n"
    control, envd = front.requests_of("/sandboxes"), front.requests_of("/files", ".Process/", ".Filesystem/")
    runs = front.requests_of("/execute")
    assert len(control) >= 4 and len(envd) >= 4 and len(runs) == 2, front.requests()
    assert {request["protocol"] for request in control + envd} == {"h2"}
    assert len({request["port"] for request in control}) == 1
    assert len({request["port"] for request in envd}) == 1
    assert {request["protocol"] for request in runs} == {"http/1.1"}
    assert not {request["port"] for request in runs} & {request["port"] for request in control + envd}


@pytest.mark.parametrize("plane, operation", [
    ("process", ["start", "sh", "-c", "echo begun; sleep 1; echo end"]),
    ("interpreter", ["run", "import time\nprint('begun', flush=True)\ntime.sleep(1)\nprint('end')"]),
])
def test_a_cut_stream_is_a_broken_connection_not_an_end(front, authority, e2b_local, plane, operation):
    e2b_local.faults(cut_stream={"count": 1, "after_bytes": 40, "plane": plane})
    lines = probe(front.url, authority.ca, ["create", "code-interpreter-v1"], operation, ["inspect"], ["kill"])
    told = ends(lines)
    assert (told[operation[0]]["ok"], told[operation[0]]["kind"]) == (False, BROKEN), lines
    assert told[operation[0]]["undecided"], lines
    assert told["inspect"]["ok"] and told["kill"]["ok"], lines  # the sandbox lives


@pytest.mark.parametrize("operation", [["start", "sh", "-c", "echo begun; sleep 60"],
                                       ["run", "import time\nprint('begun', flush=True)\ntime.sleep(60)"]])
def test_a_killed_sandbox_is_gone(front, authority, e2b_local, operation):
    assert e2b_local.stats()["live"] == 0
    timer = threading.Timer(2, e2b_local.faults, kwargs={"lose": "any"})
    timer.start()
    lines = probe(front.url, authority.ca, ["create", "code-interpreter-v1"], operation, ["inspect"])
    timer.join()
    told = ends(lines)
    assert not told[operation[0]]["ok"] and told[operation[0]]["kind"] in (GONE, BROKEN), lines
    assert (told["inspect"]["ok"], told["inspect"]["kind"]) == (False, GONE), lines


def test_another_authority_is_refused_with_a_clear_message(front, tmp_path):
    other = Authority(tmp_path / "other")
    told = ends(probe(front.url, other.ca, ["create", "code-interpreter-v1"]))["create"]
    assert (told["ok"], told["kind"], told["undecided"], told["http"]) == (False, BROKEN, False, 0), told
    assert "certificate" in told["message"], told
    missing = ends(probe(front.url, tmp_path / "absent.pem", ["create", "code-interpreter-v1"]))["create"]
    assert not missing["ok"] and "certificate" in missing["message"].lower(), missing
    assert front.requests() == []


def test_a_worker_runs_jobs_through_tls(start_proxy, deployment, authority, tmp_path):
    stream = deployment.begin({"general": 2, "quick": 2})
    front = start_proxy(deployment.local.port)
    worker = deployment.worker("w1", e2b=front.url, e2b__ca_file=authority.ca)
    jobs = [f"job-{i:02}" for i in range(24)]
    for i, job in enumerate(jobs):
        mode = {"language": "bash", "run_mode": "process", "code": f"sleep 1; echo {i}"} if i % 2 else {"code": f"print({i})"}
        stream.publish("general", {"job_id": job, **mode})
    results = stream.collect(jobs, 120)
    for i, job in enumerate(jobs):
        assert (results[job]["status"], results[job]["stdout"]["text"]) == ("succeeded", f"{i}\n"), results[job]
    wait_until(lambda: deployment.local.stats()["live"] == 0, 20, "no sandbox lives")
    assert worker.stop() == 0
    shared = front.requests_of("/sandboxes", ".Process/")
    assert {request["protocol"] for request in shared} == {"h2"}
    assert len({request["port"] for request in shared}) <= 8 < len(shared), front.requests()
    assert {request["protocol"] for request in front.requests_of("/execute")} == {"http/1.1"}

    other = Authority(tmp_path / "other")
    refused = deployment.worker("w2", ready=False, e2b=front.url, e2b__ca_file=other.ca)
    wait_until(lambda: "certificate" in refused.get("/readyz")[1], 30, "/readyz names the certificate")
    assert refused.get("/readyz")[0] == 503
