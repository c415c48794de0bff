"""tests/chaos/run: the promises, under every fault, on real parts. See --help."""
from __future__ import annotations

import argparse
import datetime
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.dont_write_bytecode = True

import faults as faults_module  # noqa: E402
import facts as facts_module  # noqa: E402
import judge  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402
from cluster import Cluster, Interrupted  # noqa: E402
from load import LONGEST_S, Load  # noqa: E402
from results import Results  # noqa: E402
from wire import now_ms  # noqa: E402

PROGRESS_S, STANDSTILL_S, AFTER_STANDSTILL_MS = 10, 15, 60_000
ABOUT = """Starts three brokers, a Redis with a replica, e2b-local and workers on 127.0.0.1, publishes a mix of jobs, injects
faults one at a time, and judges the promises by what Kafka, Redis, e2b-local and the jobs' own counters say. Exit code 0: all
of them hold; 1: one does not; 2: wrong words; 130: interrupted. Everything it starts ends with it."""


class Run:
    """What is under way, and the clock of it."""

    def __init__(self, options, folder: pathlib.Path):
        self.options, self.folder = options, folder
        self.cluster = Cluster(folder, options)
        self.windows: list[faults_module.Window] = []
        self.began = now_ms()
        self.is_interrupted = False
        self.told = time.monotonic()
        self.load: Load | None = None
        self.results: Results | None = None
        self.left: dict[str, int] = {}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.on_signal)

    def on_signal(self, number, frame) -> None:
        self.is_interrupted = True  # seen at the next pause: never in the middle of a step

    def tell(self, text: str) -> None:
        print(f"{(now_ms() - self.began) / 1000:7.1f} s  {text}", flush=True)

    def pause(self, seconds: float) -> None:
        """All waiting of a run is in here: it reports, and it hears of an interruption."""
        began = time.monotonic()
        until, seen = began + seconds, began
        while True:
            self.note_standstill(seen)
            seen = time.monotonic()
            if self.is_interrupted:
                raise Interrupted
            self.cluster.check_alive()
            for thread in (self.load, self.results):
                if thread.error:
                    raise thread.error
            if time.monotonic() >= self.told + PROGRESS_S:
                self.told = time.monotonic()
                self.progress()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.25))

    def note_standstill(self, seen: float) -> None:
        """All of this machine, or of this run, stood still: that is a fault too, and nobody's."""
        stood_s = time.monotonic() - seen
        if stood_s > STANDSTILL_S:
            now = now_ms()
            self.windows.append(faults_module.Window("standstill", now - round(stood_s * 1000), now, now + AFTER_STANDSTILL_MS))
            self.tell(f"everything stood still for {stood_s:.0f} s, the run too")

    def progress(self) -> None:
        under_way = [window.name for window in self.windows if not window.recovered]
        live = self.cluster.live_sandboxes()
        ready = sum(member.ready()[0] == 200 for member in self.cluster.members.values())
        self.tell(f"published {len(self.load.jobs)}, finished {len(self.results.finished)}, open {self.load.open_count()}; "
                  f"sandboxes {'?' if live is None else live} of {self.options.limit}; "
                  f"workers ready {ready} of {len(self.cluster.members)}"
                  + (f"; under way: {', '.join(under_way)}" if under_way else ""))

    # ---- the parts of a run ----

    def begin(self) -> None:
        self.cluster.start(self.tell)
        names, bootstrap = self.cluster.names, self.cluster.kafka.bootstrap
        self.results = Results(bootstrap, names.results, self.cluster.topics[names.results])
        maker = scenarios.maker(self.options, self.cluster.counter.port)
        self.load = Load(bootstrap, names, maker, self.results, self.options.rate, self.options.seed)
        self.load.long_until = time.monotonic() + self.options.minutes * 60 - LONGEST_S
        self.results.on_finished, self.results.on_started = self.load.on_finished, self.load.on_started
        self.results.start()
        self.load.start()
        self.load_began = now_ms()

    def settle(self) -> None:
        """Waits until nothing is left, or until no more patience is."""
        self.tell("no more jobs are published; waiting for what is open")
        began, told = time.monotonic(), 0.0
        self.cluster.find_topics()
        while time.monotonic() - began < self.options.settle:
            left = facts_module.what_is_left(self)
            if not any(left.values()):
                break
            if time.monotonic() >= told + PROGRESS_S:
                told = self.told = time.monotonic()
                self.tell("left: " + ", ".join(f"{count} {what}" for what, count in left.items() if count))
            self.pause(2)
        self.left = facts_module.what_is_left(self)
        self.settled_s = time.monotonic() - began

    def work(self) -> None:
        self.begin()
        scenarios.SCENARIOS[self.options.scenario](self)
        self.load.stop()
        self.load_ended = now_ms()
        self.settle()
        self.results.stop()


def parse(words: list[str]):
    parser = argparse.ArgumentParser(prog="tests/chaos/run", description=ABOUT,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8, help="for which jobs are published (8); starting and settling "
                        "come on top")
    parser.add_argument("--faults", default="all", help="names with commas between, all, or none (all); see --list")
    parser.add_argument("--scenario", choices=sorted(scenarios.SCENARIOS), default="faults",
                        help="rolling: three workers are restarted one after the other, nothing may run twice")
    parser.add_argument("--seed", type=int, help="of the order of faults, their victims and the jobs (random, told)")
    parser.add_argument("--workers", type=int, help="(4; rolling: 3)")
    parser.add_argument("--rate", type=float, default=8, help="jobs published a second, at most (8)")
    parser.add_argument("--limit", type=int, default=16, help="sandboxes, at most (16)")
    parser.add_argument("--delivery", choices=("at_least_once", "transactional"), default="at_least_once",
                        help="results.delivery of the workers; transactional: no result may come twice")
    parser.add_argument("--settle", type=float, default=600, help="seconds that may pass until all is finished, every sandbox "
                        "is gone and every permit is back (600)")
    parser.add_argument("--drain-s", type=int, default=25, help="worker.drain_ms of the workers (25 s)")
    parser.add_argument("--double", action="store_true", help="do not wait for recovery: faults meet the last one's aftermath")
    parser.add_argument("--keep", action="store_true", help="keep logs and records of a run that holds, too")
    parser.add_argument("--list", action="store_true", help="the faults, and what each is")
    options = parser.parse_args(words)
    options.workers = options.workers or (3 if options.scenario == "rolling" else 4)
    options.seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    known = faults_module.load_all()
    if options.faults == "all":
        options.faults = [name for name, fault in known.items() if fault.is_in_all]
    else:
        options.faults = [name for name in options.faults.split(",") if name and name != "none"]
    for name in options.faults:
        if name not in known:
            parser.error(f"there is no fault {name}; --list names them")
    return options


def finish(run: Run) -> bool:
    """Judges and reports. Returns: whether all promises hold."""
    facts = facts_module.gather(run)
    run.tell("workers are told to end")
    run.cluster.stop_workers()
    facts.read_logs(run.cluster.log_files())
    findings = judge.judge(facts)
    report.tell(facts, findings, run.folder)
    return all(finding.holds for finding in findings)


def main() -> int:
    options = parse(sys.argv[1:])
    if options.list:
        for fault in faults_module.TABLE.values():
            print(f"{fault.name:<22} {fault.about}" + ("" if fault.is_in_all else "  (only by name)"))
        return 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="e2b-worker-chaos-"))
    run = Run(options, folder)
    print(f"seed {options.seed}, {options.minutes:g} minutes, {datetime.datetime.now():%Y-%m-%d %H:%M:%S}, in {folder}")
    status = 1
    try:
        run.work()
        status = 0 if finish(run) else 1
    except Interrupted:
        print("interrupted: everything is ended", flush=True)
        status = 130
    finally:
        problems = run.cluster.stop()
        for problem in problems:
            print("at the end: " + problem)
        status = status or int(bool(problems))
        if status == 130 or (status == 0 and not options.keep):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            for part in ("kafka", "local"):
                shutil.rmtree(folder / part / part, ignore_errors=True)
            print(f"logs and records: {folder}")
    return status


if __name__ == "__main__":
    sys.exit(main())
