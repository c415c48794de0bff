"""Where things are."""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("E2BW_BUILD", "build/asan")
WORKER = BUILD / "src/programs/e2b-worker/e2b-worker"
