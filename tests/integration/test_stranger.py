"""Somebody who has README.md and schemas/ and a plain Kafka client gets along: tests/integration/stranger_consumer.py."""
from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("stranger_consumer.py")


@pytest.fixture
def stranger(deployment, kafka, tmp_path):
    """Runs the stranger's program with a job."""
    stream = deployment.begin({"general": 3, "quick": 1})
    deployment.worker("w1")

    def run(job: dict) -> subprocess.CompletedProcess:
        path = tmp_path / f"{job['job_id']}.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        words = [kafka.bootstrap, stream.names.jobs("general"), stream.names.results, path]
        return subprocess.run([sys.executable, PROGRAM, *words], capture_output=True, text=True, timeout=120)

    return run


def test_a_stranger_publishes_jobs_and_reads_their_results(stranger):
    good = stranger({"job_id": "stranger-1", "code": "print('grüße')\n40 + 2"})
    assert (good.returncode, good.stdout) == (0, "grüße\n42\n"), good.stderr
    assert good.stderr == "stranger-1 succeeded\n"
    bad = stranger({"job_id": "stranger-2", "language": "bash", "code": "echo partly; exit 3"})
    assert (bad.returncode, bad.stdout) == (1, "partly\n"), bad.stderr
    assert bad.stderr.startswith("stranger-2 failed: NONZERO_EXIT: ")
    refused = stranger({"job_id": "stranger-3", "code": 5})
    assert refused.returncode == 1 and "stranger-3 rejected: INVALID_JOB: /code" in refused.stderr
    other = stranger({"job_id": "stranger-1", "code": "print('again')"})
    assert (other.returncode, other.stderr) == (3, "stranger-1 exists already\n")


def test_the_program_of_a_stranger_knows_nothing_of_ours():
    imported = {line.split()[1] for line in PROGRAM.read_text(encoding="utf-8").splitlines() if line.startswith("import ")}
    assert imported == {"asyncio", "json", "sys", "aiokafka"}
    assert "\nfrom " not in PROGRAM.read_text(encoding="utf-8")
