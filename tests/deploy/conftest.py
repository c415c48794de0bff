"""Tests of what deploys the worker: the Kubernetes base, the example configurations, the image's recipe."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKER = ROOT / os.environ.get("E2BW_BUILD", "build/asan") / "src/programs/e2b-worker/e2b-worker"


@pytest.fixture(scope="session")
def check_config():
    """Reads a configuration as a worker would. Returns: the program's output; fails with it."""
    def check(path: pathlib.Path, **environment: str) -> str:
        done = subprocess.run([WORKER, "config", "check", "--config", path], capture_output=True, text=True, timeout=60,
                              env={"PATH": os.environ["PATH"], **environment})
        assert done.returncode == 0, f"{path}: {done.stdout}{done.stderr}"
        return done.stdout
    return check
