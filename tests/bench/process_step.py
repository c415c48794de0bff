#!/usr/bin/env python3
"""What a process step costs beyond the bare command, on this machine and now: starts an e2b-local, and in one of its
sandboxes runs `echo hello` by itself and as the worker's process step (src/worker/step.sh, with its record), alternately.
Prints medians, ninth deciles and the differences. Wants a build: cmake --preset release && cmake --build --preset release"""
from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("E2BW_BUILD", "build/release")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from stack import BUILD, LOCAL_PROGRAM, Local  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="environment: E2BW_BUILD (build/release) what is measured\n"
                                            "exit codes: 0 measured; 1 a run failed; 2 usage, or nothing is built")
    parser.add_argument("--count", type=int, default=200, metavar="N", help="runs of each kind (200)")
    options = parser.parse_args()
    program = BUILD / "tests/bench/process_step"
    for needed in (LOCAL_PROGRAM, program):
        if not needed.exists():
            parser.error(f"{needed} is not built")
    if options.count < 1:
        parser.error("--count wants at least 1")
    with tempfile.TemporaryDirectory() as folder:
        local = Local(pathlib.Path(folder), "--log-level", "warn")
        try:
            status = subprocess.run([program, local.url, local.url, str(options.count)]).returncode
        finally:
            local.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
