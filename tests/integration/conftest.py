"""What the integration tests share: a running e2b-local."""

import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("E2BW_BUILD", ROOT / "build" / "asan"))
API_KEY = "e2b_" + "0" * 40


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class E2bLocal:
    """A process of e2b-local with a directory of its own."""

    def __init__(self, directory, *options):
        self.directory = directory / "sandboxes"
        self.log = directory / "e2b-local.log"
        port_file = directory / "port"
        program = BUILD / "src" / "programs" / "e2b-local" / "e2b-local"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [program, "--listen", "127.0.0.1:0", "--port-file", port_file, "--dir", self.directory, *options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not port_file.exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "e2b-local does not come up"
            time.sleep(0.02)
        self.port = int(port_file.read_text())
        self.url = "http://127.0.0.1:%d" % self.port

    def groups(self):
        """The control groups of its sandboxes."""
        own = "e2b-local-%d" % self.process.pid
        return [path for path in pathlib.Path("/sys/fs/cgroup").glob("**/%s/*" % own) if path.is_dir()]

    def folders(self):
        """The directories of its sandboxes."""
        return [path.name for path in self.directory.glob("e2b-local.*/i*")]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=30)
        log = self.log.read_text(errors="replace")
        assert status == 0, log
        for complaint in ("AddressSanitizer", "LeakSanitizer", "runtime error:"):
            assert complaint not in log, log
        assert list(self.directory.iterdir()) == []
        assert self.groups() == []


@pytest.fixture(scope="session")
def e2b_local(tmp_path_factory):
    """One e2b-local for all tests; the SDKs' environment points at it."""
    local = E2bLocal(tmp_path_factory.mktemp("e2b-local"), "--log-level", "warn", "--template", "small:0.5:128")
    saved = dict(os.environ)
    os.environ.update(E2B_API_KEY=API_KEY, E2B_API_URL=local.url, E2B_SANDBOX_URL=local.url)
    try:
        yield local
    finally:
        os.environ.clear()
        os.environ.update(saved)
        if local.process.poll() is None:
            local.stop()
        else:
            pytest.fail("e2b-local ended by itself: " + local.log.read_text(errors="replace"))
