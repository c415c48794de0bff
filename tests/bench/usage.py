"""What a process costs, seen from outside: CPU by its own clock, memory by /proc."""
from __future__ import annotations

import contextlib
import os
import pathlib
import threading
import time

SAMPLE_S = 0.05


def cpu_s(pid: int) -> float:
    """User and system time of all its threads, living and ended, to the nanosecond; 0 when it is gone. Children are not in it."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid(3) makes it on Linux
    except OSError:
        return 0.0


def cpu_of_threads_s(pid: int, name: str) -> float:
    """User and system time of those living threads of a process whose names hold this, in steps of 10 ms."""
    ticks = 0
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            thread, _, fields = task.read_text().partition("(")[2].rpartition(") ")
            ticks += sum(map(int, fields.split()[11:13])) if name in thread else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_kib(pid: int, field: str = "VmRSS") -> int:
    """VmRSS: now; VmHWM: at most so far. 0 when it is gone."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def machine_s() -> float:
    """CPU seconds that the whole machine was busy, since it began."""
    with open("/proc/stat") as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


class Sampler(threading.Thread):
    """The resident memory of a process, as long as it is looked at: samples of (seconds since the start, KiB)."""

    def __init__(self, pid: int, every_s: float = SAMPLE_S):
        super().__init__(daemon=True, name="sampler")
        self.pid, self.every_s = pid, every_s
        self.samples: list[tuple[float, int]] = []
        self.is_over = threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        while not self.is_over.wait(self.every_s):
            self.samples.append((time.monotonic() - began, memory_kib(self.pid)))

    def end(self) -> int:
        """Returns: the most that was seen, in KiB."""
        self.is_over.set()
        self.join(5)
        return max((kib for _, kib in self.samples), default=0)


def machine() -> str:
    """In one line: what figures of this run are worth elsewhere."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo") as info:
        gib = int(info.readline().split()[1]) / (1 << 20)
    return f"{os.cpu_count()} x {model}, {gib:.0f} GiB, Linux {os.uname().release}"
