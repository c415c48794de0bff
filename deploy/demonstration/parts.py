"""The processes of the demo. Each runs in a session of its own, so that Ctrl-C reaches the demo alone and the order of
stopping stays ours; each is known by its pid and its start time, so that no stranger with a recycled pid is stopped."""
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

LOG_LINES = 12
# The broker of `e2b-worker dev` is simpler than Kafka: it answers a waiting fetch when its time is over, not when a record
# comes, and gives a rebalance all of the session timeout. Shorter times make up for it; a real cluster needs none of them.
FOR_SIMPLE_BROKER = {"kafka.properties.fetch.wait.max.ms": 20, "kafka.properties.session.timeout.ms": 6000,
                     "kafka.properties.heartbeat.interval.ms": 500}


class Interrupted(Exception):
    pass


class Interruption:
    """Ctrl-C, SIGTERM or a closed terminal as an exception; put off while something is half made."""

    def __init__(self):
        self.is_held = self.is_wanted = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.on_signal)

    def on_signal(self, number, frame) -> None:
        self.is_wanted = True
        if not self.is_held:
            raise Interrupted

    @contextlib.contextmanager
    def held(self):
        self.is_held = True
        try:
            yield
        finally:
            self.is_held = False
        if self.is_wanted:
            raise Interrupted

    @staticmethod
    def ignore() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


class Failure(Exception):
    """What went wrong, and what to do about it."""

    def __init__(self, message: str, advice: str = "", part: Part | None = None):
        super().__init__(message)
        self.advice, self.part = advice, part


def wait_until(condition, timeout_s: float, what: str, parts: list[Part] = (), advice: str = "", every_s: float = 0.05,
               why=lambda: ""):
    """Returns the first truthy value of condition(). Fails after timeout_s, or as soon as one of `parts` has ended."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        for part in parts:
            if not part.is_alive():
                raise Failure(f"{part.name} ended (exit code {part.process.returncode}) before this: {what}", advice, part)
        if time.monotonic() > deadline:
            reason = why()
            raise Failure(f"not within {timeout_s:g} s: {what}" + (f" ({reason})" if reason else ""), advice,
                          parts[-1] if parts else None)
        time.sleep(every_s)


def set_options(values: dict) -> list[str]:
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def http_get(url: str) -> tuple[int, str]:
    """Returns: status 0 and the reason when nobody answers."""
    # A proxy of the environment is no way to our own loopback address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError as absent:
        return 0, str(absent)


def start_time(pid: int) -> str | None:
    """When the process began, in the kernel's ticks; None: there is no such process, or it is dead already."""
    try:
        # The name may hold blanks and brackets; what follows its last bracket does not.
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def end_process(pid: int, started: str | None, timeout_s: float) -> bool:
    """SIGTERM, then SIGKILL. Returns: whether SIGTERM was enough."""
    def is_gone():
        return started is None or start_time(pid) != started

    for number, patience_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 10)):
        if is_gone():
            return True
        os.kill(pid, number)
        deadline = time.monotonic() + patience_s
        while not is_gone() and time.monotonic() < deadline:
            time.sleep(0.02)
        if number == signal.SIGTERM and is_gone():
            return True
    return False


class Part:
    def __init__(self, name: str, folder: pathlib.Path, command: list, environment: dict[str, str], stop_s: float = 20):
        self.name, self.stop_s, self.log = name, stop_s, folder / f"{name}.log"
        self.output = folder / f"{name}.out"
        with open(self.log, "ab") as log, open(self.output, "ab") as output:
            try:
                self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                                                stderr=log, env=environment, cwd=folder, start_new_session=True)
            except OSError as error:
                raise Failure(f"cannot start {name}: {error}", "deploy/install build local") from None
        self.started = start_time(self.process.pid)
        self.is_told_to_end = False

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def last_lines(self) -> str:
        lines = [line for path in (self.output, self.log) for line in path.read_text(errors="replace").splitlines()]
        return "\n".join("    " + line[:300] for line in lines[-LOG_LINES:])

    def tell_to_end(self) -> None:
        self.is_told_to_end = self.is_told_to_end or self.is_alive()
        self.process.terminate()

    def stop(self) -> str:
        """Returns: "" or what was not as it should be."""
        self.tell_to_end()
        if not self.is_told_to_end:
            return f"{self.name} had ended by itself, with exit code {self.process.returncode}"
        try:
            self.process.wait(self.stop_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            return f"{self.name} did not end within {self.stop_s:g} s of SIGTERM and was killed"
        is_well = self.process.returncode in (0, -signal.SIGTERM)
        return "" if is_well else f"{self.name} ended with exit code {self.process.returncode}"


class Deployment:
    """All parts, in the order in which they were started."""

    def __init__(self, folder: pathlib.Path, programs: pathlib.Path, tell, interruption: Interruption):
        self.folder, self.tell, self.interruption = folder, tell, interruption
        self.parts: list[Part] = []
        self.worker_program = programs / "e2b-worker/e2b-worker"
        self.local_program = programs / "e2b-local/e2b-local"
        # Keys and addresses of whoever runs the demo must not lead it to a real account or cluster.
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("E2B_", "KAFKA_")) and name != "REDIS_URL"}
        self.addresses: dict[str, str] = {}

    def start(self, name: str, command: list, **options) -> Part:
        with self.interruption.held():  # a process that is not in the list would not be stopped
            part = Part(name, self.folder, command, {**self.environment, **self.addresses}, **options)
            self.parts.append(part)
            self.save()
        return part

    def forget(self, part: Part) -> None:
        self.parts.remove(part)
        self.save()

    def save(self) -> None:
        """For deploy/demo --stop, in the order of stopping."""
        known = [{"name": part.name, "pid": part.process.pid, "started": part.started, "stop_s": part.stop_s}
                 for part in reversed(self.parts)]
        (self.folder / "parts.json").write_text(json.dumps(known, indent=2) + "\n")

    def start_broker(self) -> None:
        port_file = self.folder / "broker.port"
        part = self.start("broker", [self.worker_program, "dev", "broker", "--port-file", port_file])
        wait_until(port_file.exists, 20, "the broker listens", [part])
        self.addresses["KAFKA_BOOTSTRAP_SERVERS"] = port_file.read_text().strip()
        self.tell(f"broker         {self.addresses['KAFKA_BOOTSTRAP_SERVERS']}, in memory")

    def start_redis(self) -> None:
        advice = "is redis-server installed and able to start? deploy/install local; redis-server --version"
        for attempt in range(3):
            with socket.socket() as probe:  # somebody may take the port before Redis does: then another one
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            part = self.start("redis", ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly",
                                        "no", "--maxmemory-policy", "noeviction", "--dir", self.folder])
            try:
                wait_until(lambda: self.redis_answers(port), 20, f"redis-server answers on port {port}", [part], advice)
                break
            except Failure:
                if part.is_alive() or "already in use" not in part.last_lines() or attempt == 2:
                    raise
                self.forget(part)
        self.addresses["REDIS_URL"] = f"redis://127.0.0.1:{port}"
        self.tell(f"redis-server   127.0.0.1:{port}, nothing is written to disk")

    @staticmethod
    def redis_answers(port: int) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
                link.sendall(b"PING\r\n")
                return link.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def start_local(self) -> None:
        port_file = self.folder / "e2b-local.port"
        sandboxes = self.folder / "sandboxes"
        part = self.start("e2b-local", [self.local_program, "--listen", "127.0.0.1:0", "--port-file", port_file, "--dir",
                                        sandboxes, "--python", "/usr/bin/python3"])
        wait_until(port_file.exists, 30, "e2b-local listens", [part])
        self.local_url = f"http://127.0.0.1:{port_file.read_text().strip()}"
        self.addresses.update(E2B_API_URL=self.local_url, E2B_SANDBOX_URL=self.local_url)
        self.tell(f"e2b-local      {self.local_url}, in place of E2B")

    def start_workers(self, count: int) -> None:
        workers = [self.start(f"worker-{n}", self.worker_command(f"worker-{n}")) for n in range(1, count + 1)]
        for worker in workers:
            worker.url = f"http://127.0.0.1:{self.worker_port(worker)}"
        # All at once: each that joins the group makes the others unready for a moment.
        wait_until(lambda: all([self.is_ready(worker) for worker in workers]), 60, "all workers are ready", every_s=0.2,
                   why=lambda: "; ".join(f"{worker.name}: {worker.said}" for worker in workers), parts=workers)
        for worker in workers:
            self.tell(f"{worker.name:<14} {worker.url}, ready")

    @staticmethod
    def is_ready(worker: Part) -> bool:
        status, text = http_get(worker.url + "/readyz")
        worker.said = text.strip()
        return status == 200

    def worker_command(self, name: str) -> list:
        values = {"worker.name": name, "mode": "simulation", "http.listen": "127.0.0.1:0", "limits.create_per_second": 0,
                  **FOR_SIMPLE_BROKER}
        return [self.worker_program, "run", *set_options(values)]

    @staticmethod
    def worker_port(worker: Part) -> int:
        def listening():
            for path in (worker.log, worker.output):
                for line in path.read_text(errors="replace").splitlines():
                    if '"http.listening"' in line:
                        return json.loads(line)["port"]
            return 0
        return wait_until(listening, 20, f"{worker.name} listens for HTTP", [worker])

    def sandboxes(self) -> dict:
        status, text = http_get(self.local_url + "/__stats")
        if status != 200:
            raise Failure(f"{self.local_url}/__stats does not answer: {text}")
        return json.loads(text)

    def stop(self) -> list[str]:
        """Workers first, so that they can end their sandboxes. Returns: what was not as it should be."""
        for part in self.parts:
            if part.name.startswith("worker-"):
                part.tell_to_end()  # all together; the second one, below, gives back what still runs
        return [text for part in reversed(self.parts) if (text := part.stop())]
