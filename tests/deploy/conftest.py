"""Tests of what deploys the worker: the Kubernetes base, the example configurations, the image's recipe."""
import os
import pathlib
import subprocess

import pytest
from places import WORKER


@pytest.fixture(scope="session")
def check_config():
    """Reads a configuration as a worker would. Returns: the program's output; fails with it."""
    def check(path: pathlib.Path, **environment: str) -> str:
        done = subprocess.run([WORKER, "config", "check", "--config", path], capture_output=True, text=True, timeout=60,
                              env={"PATH": os.environ["PATH"], **environment})
        assert done.returncode == 0, f"{path}: {done.stdout}{done.stderr}"
        return done.stdout
    return check
