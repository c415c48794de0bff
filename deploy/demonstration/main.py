"""deploy/demo: the whole of e2b-worker once, on one host. What it starts and shows stands in parts.py and report.py,
what it expects in examples.py."""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import examples
import report
from parts import FOR_SIMPLE_BROKER, Deployment, Failure, Interrupted, Interruption, Part, end_process, set_options, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/release"
WORKERS = 2
JOBS_TIMEOUT_S = 150
IDLE_TIMEOUT_S = 30
EVENT_PREFIX = "e2b-worker.job."
EXIT_DIFFERENT, EXIT_USAGE, EXIT_BROKEN, EXIT_INTERRUPTED = 1, 2, 69, 130


def tell(text: str = "") -> None:
    print(text, flush=True)


def read_options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="deploy/demo", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Installs what is missing (Debian 12 or 13, as root or with sudo), builds, starts an embedded Kafka\n"
                    "broker, a Redis, e2b-local in place of E2B and two workers, all on 127.0.0.1; runs the jobs of\n"
                    "schemas/examples, shows them as they run, compares every result with what its example expects,\n"
                    "prints one table and stops everything. It needs no account and takes no key.",
        epilog="exit codes: 0 all results are as expected and nothing is left; 1 a result differs, or something was left;\n"
               "2 usage; 69 a part did not install, build or start; 130 interrupted")
    parser.add_argument("--keep", action="store_true", help="leave it running at the end, and tell how to use and stop it")
    parser.add_argument("--programs", metavar="FOLDER", type=pathlib.Path,
                        help="use what was built there, as build/asan; install and build nothing")
    parser.add_argument("--stop", metavar="FOLDER", type=pathlib.Path, help="stop what an earlier --keep left running")
    return parser.parse_args(arguments)


# ---- before: install, build ----

def run_step(what: str, commands: list[list], log: pathlib.Path, advice: str) -> None:
    tell(what)
    begun = time.monotonic()
    with open(log, "wb") as out:
        for command in commands:
            if subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode != 0:
                lines = log.read_text(errors="replace").splitlines()[-25:]
                raise Failure(f"{' '.join(map(str, command))} failed; its last lines:\n" + "\n".join(lines), advice)
    tell(f"  done in {time.monotonic() - begun:.1f} s")


def install() -> None:
    # On the terminal, because sudo may ask for a password.
    if subprocess.run([ROOT / "deploy/install", "build", "local"]).returncode != 0:
        raise Failure("the packages could not be installed",
                      "look at the lines above; the network and the package sources must be reachable")


def build(folder: pathlib.Path) -> None:
    # Tests need packages of their own, and a user of the demo need not wait for them.
    run_step("building build/release", [["cmake", "--preset", "release", "-DBUILD_TESTING=OFF"],
                                        ["cmake", "--build", BUILD, "--parallel", str(os.cpu_count() or 1)]],
             folder / "build.log", "a build/release that somebody else made, or that was moved: rm -r build/release")


# ---- jobs ----

class Watch:
    """e2b-worker watch --json, read as it writes."""

    def __init__(self, deployment: Deployment):
        self.part = deployment.start("watch", [deployment.worker_program, "watch", "--json",
                                               *set_options(FOR_SIMPLE_BROKER)])
        wait_until(lambda: "reading at" in self.part.log.read_text(), 20, "the results topic can be read", [self.part])
        self.file = open(self.part.output, encoding="utf-8")
        self.rest = ""

    def take(self) -> list[dict]:
        *lines, self.rest = (self.rest + self.file.read()).split("\n")
        return [json.loads(line) for line in lines]


def begin_submit(deployment: Deployment, jobs: list[examples.Example]) -> Part:
    """Some examples show how the worker says no; without --force submit would say it first."""
    file = deployment.folder / "jobs.jsonl"
    file.write_text("".join(json.dumps(example.job, ensure_ascii=False) + "\n" for example in jobs), encoding="utf-8")
    return deployment.start("submit", [deployment.worker_program, "submit", file, "--json", "--force"])


def check_parts(deployment: Deployment, submission: Part) -> None:
    for part in deployment.parts:
        code = part.process.poll()
        if code is not None and not (part is submission and code == 0):
            raise Failure(f"{part.name} ended while jobs ran (exit code {code})", part=part)


def follow(watch: Watch, jobs: list[examples.Example], deployment: Deployment) -> dict[str, list[dict]]:
    """Sends the jobs and prints events until each has its result. Returns: the results by job id; one is right."""
    names = {example.job_id: example.name for example in jobs}
    begun = time.monotonic()
    submission = begin_submit(deployment, jobs)
    results: dict[str, list[dict]] = {}
    while len(results) < len(names):
        for event in watch.take():
            kind, data = event["type"].removeprefix(EVENT_PREFIX).removesuffix(".v1"), event["data"]
            if data.get("job_id") not in names:
                continue
            tell(f"  {time.monotonic() - begun:6.2f} s  {report.event_line(kind, data, names[data['job_id']])}")
            if kind == "finished":
                results.setdefault(data["job_id"], []).append(data)
        check_parts(deployment, submission)
        if time.monotonic() - begun > JOBS_TIMEOUT_S:
            late = sorted(names[job_id] for job_id in names.keys() - results.keys())
            raise Failure(f"no result within {JOBS_TIMEOUT_S} s of: {', '.join(late)}", part=watch.part)
        time.sleep(0.02)
    wait_until(lambda: not submission.is_alive(), 20, "e2b-worker submit ends")
    deployment.forget(submission)
    watch.part.stop()
    deployment.forget(watch.part)
    tell(f"{len(results)} results after {time.monotonic() - begun:.1f} s\n")
    return results


def compare(jobs: list[examples.Example], results: dict[str, list[dict]]) -> list[str]:
    """Prints the table. Returns: all differences."""
    rows, found = [], []
    for example in jobs:
        got = results[example.job_id]
        different = example.differences(got[0])
        if len(got) > 1:
            different.append(f"it has {len(got)} results")
        rows.append(report.row(example.name, got[0], not different))
        found += [f"{example.name}: {text}" for text in different]
    tell(report.table(rows))
    tell("Times in ms, as each result reports them. Cost: what these seconds would cost at the catalogue's prices; nothing "
         "was billed.")
    return found


def wait_idle(deployment: Deployment) -> dict:
    """A result does not wait for its sandbox's end, so the last ones may still be ending."""
    def is_idle():
        now = deployment.sandboxes()
        return now if now["live"] == 0 and now["dying"] == 0 else None
    deadline = time.monotonic() + IDLE_TIMEOUT_S
    while not (idle := is_idle()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return idle or deployment.sandboxes()


def work(deployment: Deployment) -> list[str]:
    """Starts, runs, compares. Returns: what is not as it should be."""
    tell("starting")
    deployment.tell = lambda text: tell("  " + text)
    deployment.start_broker()
    deployment.start_redis()
    deployment.start_local()
    deployment.start_workers(WORKERS)
    jobs = examples.load(ROOT / "schemas/examples/job.v1")
    for example in [example for example in jobs if example.missing_programs()]:
        tell(f"left out: {example.name}, because {', '.join(example.missing_programs())} is not installed")
        jobs.remove(example)
    watch = Watch(deployment)
    task_types = {example.job.get("task_type") for example in jobs}
    tell(f"publishing {len(jobs)} jobs of {len(task_types)} task types")
    results = follow(watch, jobs, deployment)
    found = compare(jobs, results)
    end = wait_idle(deployment)
    tell(f"Sandboxes: {end['created']} created, {end['max_live']} alive at once at most, {end['live']} live now.")
    if end["live"] or end["dying"]:
        found.append(f"{end['live']} sandboxes are live and {end['dying']} are ending {IDLE_TIMEOUT_S} s after the last result")
    return found


# ---- after ----

def explain_keep(deployment: Deployment) -> None:
    worker = deployment.worker_program
    tell(f"\nIt is left running in {deployment.folder}. To use it:\n")
    for name, value in deployment.addresses.items():
        tell(f"  export {name}={value}")
    tell(f"""
  echo '{{"task_type": "general", "code": "print(6 * 7)"}}' | {worker} submit --wait
  {worker} watch
  curl {deployment.parts[-1].url}/stats
  {' '.join(map(str, deployment.worker_command('worker-3')))}

To stop it:

  {ROOT}/deploy/demo --stop {deployment.folder}""")


def stop_kept(folder: pathlib.Path) -> int:
    try:
        known = json.loads((folder / "parts.json").read_text())
    except (OSError, ValueError):
        print(f"deploy/demo: {folder} is no folder of a demo that was left running", file=sys.stderr)
        return EXIT_USAGE
    status = 0
    for part in known:
        if end_process(part["pid"], part["started"], part["stop_s"]):
            tell(f"{part['name']} is stopped")
        else:
            tell(f"{part['name']} did not end by SIGTERM and was killed")
            status = EXIT_DIFFERENT
    shutil.rmtree(folder, ignore_errors=True)
    return status


def clean_up(deployment: Deployment) -> list[str]:
    """Returns: what did not end as it should."""
    deployment.interruption.ignore()
    found = deployment.stop()
    sandboxes = deployment.folder / "sandboxes"
    if sandboxes.exists() and any(sandboxes.iterdir()):
        found.append(f"e2b-local left behind: {', '.join(path.name for path in sandboxes.iterdir())}")
    shutil.rmtree(deployment.folder, ignore_errors=True)
    return found


def explain(failure: Failure) -> None:
    print(f"\ndeploy/demo: {failure}", file=sys.stderr)
    if failure.part:
        print(f"  the last lines of {failure.part.name}:\n{failure.part.last_lines()}", file=sys.stderr)
    if failure.advice:
        print(f"  what to do: {failure.advice}", file=sys.stderr)


def run(deployment: Deployment, is_built: bool, is_kept: bool) -> int:
    is_done, left = False, []
    begun = time.monotonic()
    try:
        if not is_built:
            install()
            build(deployment.folder)
        found = work(deployment)
        is_done = True
    except Failure as failure:
        explain(failure)
        return EXIT_BROKEN
    except Interrupted:
        tell("\ninterrupted; stopping everything")
        return EXIT_INTERRUPTED
    finally:
        if not (is_done and is_kept):
            left = clean_up(deployment)
    if is_kept:
        explain_keep(deployment)
    else:
        tell("Everything is stopped and removed.")
    for text in found + left:
        print(f"DIFFERENT  {text}", file=sys.stderr)
    tell(f"{'FAILED' if found or left else 'OK'} after {time.monotonic() - begun:.0f} s")
    return EXIT_DIFFERENT if found or left else 0


def main() -> int:
    options = read_options(sys.argv[1:])
    if options.stop:
        return stop_kept(options.stop)
    interruption = Interruption()
    with interruption.held():
        folder = pathlib.Path(tempfile.mkdtemp(prefix="e2b-worker-demo."))
        programs = (options.programs or BUILD).resolve() / "src/programs"
        deployment = Deployment(folder, programs, tell, interruption)
    return run(deployment, options.programs is not None, options.keep)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Interrupted:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # nobody reads any more: everything is stopped, and there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_BROKEN)
