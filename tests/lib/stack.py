"""The parts of a deployment as processes of a test or a run: a real Kafka, a real Redis, e2b-local, workers. Each is started on
free ports in a folder of its own and stopped by its pid; what a sanitizer says about one of ours fails the test."""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("E2BW_BUILD", "build/asan")
PROGRAMS = BUILD / "src/programs"
WORKER_PROGRAM = PROGRAMS / "e2b-worker/e2b-worker"
LOCAL_PROGRAM = PROGRAMS / "e2b-local/e2b-local"
API_KEY = "e2b_" + "0" * 40
SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "UndefinedBehaviorSanitizer")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, timeout_s: float, what: str, every_s: float = 0.05):
    """Returns the first truthy value of condition(); fails after timeout_s, naming `what`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(every_s)


def http_get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except (urllib.error.URLError, ConnectionError, TimeoutError) as absent:
        return 0, str(absent)


class Part:
    """One process of ours or of others, with its output in a file. Ctrl-C is for whoever started it, not for it."""

    def __init__(self, name: str, folder: pathlib.Path, command: list, env: dict[str, str] | None = None):
        self.name, self.log = name, folder / f"{name}.log"
        folder.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env={**os.environ, **(env or {})}, cwd=folder, start_new_session=True)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, timeout_s: float = 30) -> int:
        """SIGTERM, then SIGKILL after timeout_s. Returns the exit code; sanitizer reports fail."""
        if self.is_alive():
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
                raise AssertionError(f"{self.name} did not end within {timeout_s} s of SIGTERM:\n{self.output()[-4000:]}")
        text = self.output()
        for word in SANITIZER_WORDS:
            assert word not in text, f"{self.name}:\n{text[max(0, text.index(word) - 500):][:6000]}"
        return self.process.returncode

    def kill(self) -> None:
        if self.is_alive():
            self.process.kill()
            self.process.wait(10)


class Redis(Part):
    def __init__(self, folder: pathlib.Path, *options: str, name: str = "redis", port: int = 0,
                 env: dict[str, str] | None = None):
        self.port = port or free_port()
        super().__init__(name, folder, ["redis-server", "--bind", "127.0.0.1", "--port", self.port, "--save", "",
                                        "--appendonly", "no", "--dir", folder, *options], env)
        self.url = f"redis://127.0.0.1:{self.port}"

        def answers():
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as link:
                    link.sendall(b"PING\r\n")
                    return link.recv(16).startswith(b"+PONG")
        wait_until(answers, 10, "redis-server answers PING")


class Local(Part):
    """e2b-local."""

    def __init__(self, folder: pathlib.Path, *options: str):
        port_file = folder / "local.port"
        port_file.unlink(missing_ok=True)  # of one that was killed
        super().__init__("e2b-local", folder, [LOCAL_PROGRAM, "--listen", "127.0.0.1:0", "--port-file", port_file,
                                               "--dir", folder / "sandboxes", *options])
        wait_until(lambda: port_file.exists() and port_file.read_text().strip(), 20, "e2b-local listens")
        self.port = int(port_file.read_text())
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = folder / "sandboxes"

    def groups(self) -> list[pathlib.Path]:
        """The control groups of its sandboxes."""
        own = f"e2b-local-{self.process.pid}"
        return [pathlib.Path(folder, name) for folder, names, _ in os.walk("/sys/fs/cgroup")
                if os.path.basename(folder) == own for name in names]  # walk bears that others' groups vanish

    def limits_sandboxes(self) -> bool:
        """Whether this machine lets it have control groups."""
        return any(pathlib.Path("/sys/fs/cgroup").glob(f"**/e2b-local-{self.process.pid}"))

    def folders(self) -> list[str]:
        """The directories of its sandboxes."""
        return [path.name for path in self.directory.glob("e2b-local.*/i*")]

    def stop(self, timeout_s: float = 30) -> int:
        status = super().stop(timeout_s)
        assert status == 0, self.output()[-4000:]
        assert list(self.directory.iterdir()) == [], "a sandbox left its directory behind"
        assert self.groups() == [], "a sandbox left its control group behind"
        return status

    def stats(self) -> dict:
        return json.loads(http_get(self.url + "/__stats")[1])

    def faults(self, **switches) -> None:
        request = urllib.request.Request(self.url + "/__faults", json.dumps(switches).encode(),
                                         {"Content-Type": "application/json"}, method="POST")
        urllib.request.urlopen(request, timeout=5).close()


class Kafka:
    """A real cluster: the broker that E2BW_KAFKA names, or brokers of our own by tests/kafka/kafka."""

    def __init__(self, folder: pathlib.Path, brokers: int = 0):
        self.folder = folder
        self.bootstrap = "" if brokers else os.environ.get("E2BW_KAFKA", "")
        self.is_own = not self.bootstrap
        if self.is_own:
            port_file = folder / "kafka.port"
            folder.mkdir(parents=True, exist_ok=True)
            self.script("start", "--brokers", str(brokers or 1), "--port-file", port_file)
            self.bootstrap = port_file.read_text().strip()

    def script(self, verb: str, *options) -> None:
        subprocess.run([ROOT / "tests/kafka/kafka", verb, "--dir", self.folder / "kafka", *options], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def stop(self) -> None:
        if self.is_own:
            self.script("stop")

    def kill_broker(self, number: int) -> None:
        self.script("kill", "--broker", str(number))

    def revive_broker(self, number: int) -> None:
        self.script("revive", "--broker", str(number))


class Names:
    """Topics, group and ledger of one test, so that tests share a broker and a Redis without meeting."""

    def __init__(self):
        self.id = uuid.uuid4().hex[:8]
        self.prefix = f"t{self.id}.jobs."
        self.results, self.dlq = f"t{self.id}.results", f"t{self.id}.dlq"
        self.retry = f"t{self.id}.retry."
        self.control, self.group, self.ledger = f"t{self.id}.control", f"g{self.id}", f"l{self.id}"

    def jobs(self, task_type: str) -> str:
        return self.prefix + task_type

    def sets(self) -> list[str]:
        pattern = "^" + self.prefix.replace(".", "\\.") + "[^.]+$"
        values = {"topics.jobs": json.dumps([pattern]), "topics.jobs_prefix": self.prefix, "topics.results": self.results,
                  "topics.stats": self.results, "topics.dlq": self.dlq, "topics.control": self.control,
                  "topics.retry": self.retry, "kafka.group_id": self.group, "ledger": self.ledger}
        return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


class Worker(Part):
    def __init__(self, folder: pathlib.Path, name: str, *, kafka: str, redis: str, e2b: str, names: Names,
                 sets: dict[str, object] | None = None, env: dict[str, str] | None = None):
        environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "REDIS_URL": redis, "E2B_API_URL": e2b, "E2B_SANDBOX_URL": e2b,
                       "E2B_API_KEY": API_KEY, **(env or {})}
        values = {"worker.name": name, "http.listen": "127.0.0.1:0", "log.level": "debug", "mode": "simulation",
                  "limits.create_per_second": 0, **(sets or {})}
        words = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        super().__init__(name, folder, [WORKER_PROGRAM, "run", *names.sets(), *words], environment)

    def events(self, event: str | None = None) -> list[dict]:
        lines = []
        for line in self.output().splitlines():
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if event is None or record.get("event") == event:
                    lines.append(record)
        return lines

    def port(self) -> int:
        def listening():
            assert self.is_alive(), self.output()[-4000:]
            return next((e["port"] for e in self.events("http.listening")), 0)
        return wait_until(listening, 20, f"{self.name} listens for HTTP")

    def get(self, path: str) -> tuple[int, str]:
        return http_get(f"http://127.0.0.1:{self.port()}{path}")

    def wait_ready(self, timeout_s: float = 60) -> None:
        def ready():
            assert self.is_alive(), self.output()[-4000:]
            return self.get("/readyz")[0] == 200
        try:
            wait_until(ready, timeout_s, f"{self.name} is ready", 0.2)
        except AssertionError as late:
            raise AssertionError(f"{late}; /readyz: {self.get('/readyz')}; log:\n{self.output()[-4000:]}") from None

    def kill9(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait(10)
