"""tests/bench/run: what the worker costs. See --help."""
from __future__ import annotations

import argparse
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.dont_write_bytecode = True

import report  # noqa: E402
import usage  # noqa: E402
from flame import profile  # noqa: E402
from rig import Rig  # noqa: E402
from scenarios import SCENARIOS, Bench  # noqa: E402
from soak import soak  # noqa: E402

BY_NAME = ("soak", "profile")

ABOUT = """Measures the worker on this machine, beside the same work done by bare C programs (the floor) and, where
../shared/bench is there, beside the workers that others would write: real Kafka, real Redis, a server that answers E2B's
protocol in microseconds. Only ratios within one run count. Exit code 0: no limit is exceeded (goals may be missed: they are
told); 1: one is, or a job was lost; 2: wrong words; 130: interrupted. Everything it starts ends with it."""


def parse(words: list[str]):
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=ABOUT,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(SCENARIOS)} (all); and, only run by their names, soak and "
                        "profile: where the worker's CPU goes, by perf, with a flame graph (results/flame.svg)")
    parser.add_argument("--short", action="store_true", help="few jobs, once: as CI runs it")
    parser.add_argument("--repeats", type=int, help="of each measurement; medians count (3; latency 5)")
    parser.add_argument("--no-peers", action="store_true", help="without the workers of ../shared/bench")
    parser.add_argument("--minutes", type=float, default=60, help="of the soak (60)")
    parser.add_argument("--write", action="store_true", help="keeps what was measured in tests/bench/RESULTS.md, with pictures")
    options = parser.parse_args(words)
    unknown = [name for name in options.scenario if name not in (*SCENARIOS, *BY_NAME)]
    if unknown:
        parser.error(f"no scenario {', '.join(unknown)}: there are {', '.join([*SCENARIOS, *BY_NAME])}")
    return options


def main(words: list[str]) -> int:
    options = parse(words)
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    rig, outcomes = Rig(tell), []
    tell(usage.machine())
    try:
        rig.open(options.short)
        bench = Bench(rig, options.short, options.repeats, not options.no_peers)
        scenarios = {**SCENARIOS, "soak": lambda bench: soak(bench, options.minutes), "profile": profile}
        for name in options.scenario or SCENARIOS:
            tell(name)
            outcomes.append(scenarios[name](bench))
            print("\n" + report.show(outcomes[-1]), flush=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        rig.close()
    if options.write:
        tell(f"kept in {report.write(outcomes, pathlib.Path(__file__).with_name('NOTES.md'))}")
    return 0 if all(report.is_fine(outcome) for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
