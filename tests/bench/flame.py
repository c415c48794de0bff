"""Where the worker's CPU goes: perf looks at it under the throughput load; each sample counts once, for the part that it was
taken in. By hand: `tests/bench/run profile`."""
from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator

from rig import Lane, Load, OurWorker, run_lanes
from scenarios import IN_FLIGHT, Bench, Outcome
from stack import PROGRAMS

HERTZ = 997  # a prime: in step with no timer
STACK_BYTES = 24576  # of each sample, for the unwinder: libuv alone has 12 KiB of events there
LEAST_SHARE = 0.002  # narrower frames are left out of the picture
WIDTH_PX = 1200
WORKER = PROGRAMS / "e2b-worker/e2b-worker"
RENDERERS = [pathlib.Path("/usr/share/perl5/Devel/NYTProf/flamegraph.pl"), pathlib.Path("/usr/bin/flamegraph.pl")]
FRAME = re.compile(r"\s+([0-9a-f]+) (.+) \((.*)\)$")
SOURCE = re.compile(r"/src/(programs/[^/]+|[^/]+)/")
KERNEL = "[kernel]"


class CannotProfile(SystemExit):
    """Ends the run with a sentence on standard error, and 1."""

    def __init__(self, reason: str):
        super().__init__(f"profile: {reason}")


# ---- record ----

class Recording:
    """perf at a process that lives already: it waits until it is told, so that only the work is seen."""

    def __init__(self, pid: int, folder: pathlib.Path):
        self.data, log = folder / "perf.data", folder / "perf.log"
        theirs, self.orders = os.pipe()
        self.answers, answer = os.pipe()
        with open(log, "wb") as out:
            self.process = subprocess.Popen([*record_words(self.data), "-D", "-1", "--control", f"fd:{theirs},{answer}",
                                             "-p", str(pid)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            pass_fds=(theirs, answer), start_new_session=True)
        os.close(theirs)
        os.close(answer)
        self.log = log

    def order(self, word: str) -> None:
        try:
            os.write(self.orders, f"{word}\n".encode())
        except BrokenPipeError:
            pass  # it is gone; why is told below
        if not os.read(self.answers, 64):
            self.process.wait(10)
            raise CannotProfile(f"perf ended early: {self.log.read_text(errors='replace').strip()}")

    def start(self) -> None:
        self.order("enable")

    def stop(self) -> None:
        self.order("stop")
        self.process.wait(60)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self.orders)
        os.close(self.answers)


def record_words(data: pathlib.Path) -> list[str]:
    """By the clock, since virtual machines often count no cycles; callers by their unwind tables, since Debian's libraries keep no
    frame pointers."""
    return ["perf", "record", "-e", "cpu-clock", "-F", str(HERTZ), "-m", "4M", "--call-graph", f"dwarf,{STACK_BYTES}",
            "-o", str(data)]


def check_tools(folder: pathlib.Path) -> pathlib.Path:
    """Tries a recording. Returns: the program that draws flame graphs."""
    for name, package in (("perf", "linux-perf"), ("addr2line", "binutils")):
        if not shutil.which(name):
            raise CannotProfile(f"{name} is not there: Debian's package is {package} (deploy/install profile)")
    renderer = next((path for path in RENDERERS if path.exists()), None)
    if not renderer:
        raise CannotProfile("flamegraph.pl is not there: Debian's package is libdevel-nytprof-perl (deploy/install profile)")
    data = folder / "probe.data"
    tried = subprocess.run([*record_words(data), "--", "true"], capture_output=True, text=True, check=False)
    how = "run it as root, or set kernel.perf_event_paranoid to -1 and kernel.kptr_restrict to 0"
    if tried.returncode != 0:
        raise CannotProfile(f"perf may not record here ({how}): {tried.stderr.strip()}")
    events = subprocess.run(["perf", "evlist", "-v", "-i", data], capture_output=True, text=True, check=True).stdout
    if "exclude_kernel: 1" in events:
        raise CannotProfile(f"perf may not see the kernel's part here: {how}")
    return renderer


class RecordedLane(Lane):
    """recording: from before the first job until no sandbox lives."""
    recording: Recording | None = None

    def note_start(self) -> None:
        self.recording = Recording(self.parts[0].process.pid, self.rig.folder)
        self.recording.start()
        super().note_start()

    def note_end(self) -> None:
        super().note_end()
        self.recording.stop()

    def end(self) -> None:
        if self.recording:
            self.recording.end()
        super().end()


# ---- read ----

@dataclasses.dataclass(frozen=True)
class Frame:
    """folder: of src, where the frame is the worker's own."""
    name: str
    library: str
    folder: str = ""


@dataclasses.dataclass
class Sample:
    """frames: from the leaf up."""
    thread: str
    frames: list[Frame]

    @property
    def is_of_kafka(self) -> bool:
        return self.thread.startswith("rdk:")


def read_script(data: pathlib.Path) -> Iterator[tuple[str, list[tuple[int, str, str]]]]:
    """Each sample's thread and its frames: (address in the file, name, file)."""
    done = subprocess.run(["perf", "script", "-i", data, "-F", "comm,ip,sym,dso", "--no-inline"], capture_output=True, text=True,
                          errors="replace", check=False)
    if done.returncode != 0:
        raise CannotProfile(f"perf script ended with {done.returncode}: {done.stderr.strip()[-1000:]}")
    for paragraph in done.stdout.split("\n\n"):
        thread, *lines = paragraph.strip("\n").splitlines() or [""]
        found = [match for line in lines if (match := FRAME.match(line)) and match[3] != "[unknown]"]
        if found:
            yield thread.strip(), [(int(match[1], 16), match[2], match[3]) for match in found]


def find_folders(addresses: set[int]) -> dict[int, str]:
    """Which folder of src each address's line stands in: names would not say it, static functions share some."""
    asked = sorted(addresses)
    told = subprocess.run(["addr2line", "-e", WORKER], input="\n".join(f"{address:x}" for address in asked), capture_output=True,
                          text=True, check=True).stdout.splitlines()
    return {address: match[1] for address, line in zip(asked, told) if (match := SOURCE.search(line))}


def read(data: pathlib.Path) -> list[Sample]:
    raw = list(read_script(data))
    folders = find_folders({address for _, frames in raw for address, _, path in frames if path == str(WORKER)})

    def frame(address: int, name: str, path: str) -> Frame:
        if path.startswith("[kernel") or path.endswith(".ko"):
            return Frame(name, KERNEL)
        library = path.rpartition("/")[2].partition(".so")[0]
        return Frame(re.sub(r"(?<=.)@.*", "", name), library, folders.get(address, "") if path == str(WORKER) else "")
    return [Sample(thread, [frame(*one) for one in frames]) for thread, frames in raw]


# ---- where it is spent ----

CALL = r"(__\w+_|k|_{2,3})sys_"  # as in __x64_sys_sendto, ksys_write, ___sys_sendmsg
KERNEL_GROUPS = [(group, re.compile(names)) for group, names in (
    ("kernel: interrupts, giving way to others", r"(asm_)?sysvec_|(asm_)?common_interrupt|irqentry_exit|exit_to_user_mode"
                                                 r"|syscall_exit_to_user_mode"),
    ("kernel: waiting and waking (epoll, futex)", CALL + r"(epoll_|p?poll$|p?select|futex|nanosleep|clock_nanosleep)|eventfd_"),
    ("kernel: sending", CALL + r"(send|p?writev?)"),
    ("kernel: receiving", CALL + r"(recv|p?readv?)"),
    ("kernel: connections", CALL + r"(socket|connect|accept|close|shutdown|[gs]etsockopt|getsockname|getpeername|fcntl|ioctl)"),
    ("memory (malloc, free, page faults)", r"(asm_)?exc_page_fault|" + CALL + r"(brk|mmap|munmap|mremap|madvise|mprotect)"))]
MEMORY = re.compile(r"_*(libc_)?(malloc|calloc|realloc|c?free|memalign)$|_int_(malloc|free|realloc|memalign)|malloc_consolidate"
                    r"|unlink_chunk|sysmalloc|systrim|tcache_|arena_get")
TEXT = re.compile(r"\w*printf|_IO_|_itoa|outstring|_*parse_one_spec|read_int$")
LIBRARIES = {"libcurl": "libcurl", "libnghttp2": "libcurl", "libssl": "TLS, digests (OpenSSL)",
             "libcrypto": "TLS, digests (OpenSSL)", "librdkafka": "librdkafka", "libhiredis": "Redis (hiredis)",
             "libjansson": "JSON (jansson)", "libuv": "libuv", "libmicrohttpd": "HTTP server (libmicrohttpd)"}
REST = "the rest"


def group_of(frame: Frame) -> str | None:
    """None: it works for its caller, as memcpy does."""
    if frame.library == KERNEL:
        return next((group for group, names in KERNEL_GROUPS if names.match(frame.name)), None)
    if frame.library == "libc" and MEMORY.match(frame.name):
        return "memory (malloc, free, page faults)"
    if frame.library == "libc" and TEXT.match(frame.name):
        return "formatting text (printf)"
    return LIBRARIES.get(frame.library) or (f"src/{frame.folder}" if frame.folder else None)


def group_of_sample(sample: Sample) -> str:
    """The first from the leaf up that has one. What the kernel does is not looked for further down than the kernel."""
    in_kernel = [frame for frame in sample.frames if frame.library == KERNEL]
    return next((group for frame in in_kernel or sample.frames if (group := group_of(frame))),
                "kernel: the rest" if in_kernel else REST)


def rows_of(samples: list[Sample], us_per_job: float) -> tuple[list[list[str]], dict[str, float]]:
    """Returns: the table's rows, the most first, and us per job by group."""
    counts: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for sample in samples:
        counts[group_of_sample(sample)][sample.is_of_kafka] += 1
    scale = us_per_job / len(samples)

    def row(name: str, ours: int, kafka: int) -> list[str]:
        return [name, f"{(ours + kafka) / len(samples) * 100:.1f}", f"{(ours + kafka) * scale:.1f}", f"{ours * scale:.1f}",
                f"{kafka * scale:.1f}"]
    found = sorted(counts.items(), key=lambda item: (item[0] == REST, -item[1].total()))
    rows = [row(name, count[False], count[True]) for name, count in found]
    rows.append(row("all", *(sum(count[is_of_kafka] for count in counts.values()) for is_of_kafka in (False, True))))
    return rows, {name: count.total() * scale for name, count in found}


# ---- the picture ----

def stack_of(sample: Sample) -> str:
    """From the thread to the leaf. Functions without a name stand as their library, once for all that follow each other."""
    names = [sample.thread.split(":")[0] if sample.is_of_kafka else sample.thread]
    for frame in reversed(sample.frames):
        name = f"[{frame.library.strip('[]')}]" if frame.name == "[unknown]" else frame.name
        if name != names[-1] and name not in ("_start", "__libc_start_main", "__libc_start_call_main", "clone3", "start_thread"):
            names.append(name.replace(";", ","))
    return ";".join(names)


def draw(samples: list[Sample], renderer: pathlib.Path, title: str) -> str:
    """Returns: the flame graph, as SVG."""
    stacks = collections.Counter(map(stack_of, samples))
    text = "".join(f"{stack} {count}\n" for stack, count in sorted(stacks.items()))
    return subprocess.run(["perl", renderer, "--hash", "--title", title, "--width", str(WIDTH_PX), "--minwidth",
                           f"{WIDTH_PX * LEAST_SHARE:g}"], input=text, capture_output=True, text=True, check=True).stdout


# ---- the scenario ----

def profile(bench: Bench) -> Outcome:
    renderer = check_tools(bench.rig.folder)
    load = Load(jobs=4000 if bench.is_short else 20000, in_flight=IN_FLIGHT)
    plain = bench.measure(OurWorker(), load)
    server = bench.rig.server(load)
    try:
        lane = RecordedLane(bench.rig, OurWorker("with perf"), load, server)
        recorded, = run_lanes([lane])
    finally:
        server.stop()
    bench.note(recorded)
    samples = read(lane.recording.data)
    bench.rig.tell(f"{len(samples)} samples, {lane.recording.data.stat().st_size / (1 << 20):.0f} MiB of them; CPU per job is "
                   f"{recorded.cpu_us_per_job / plain.cpu_us_per_job:.2f} of what it is without perf")
    if not samples:
        raise CannotProfile("perf took no sample")
    rows, by_group = rows_of(samples, plain.cpu_us_per_job)
    about = f"where the worker's CPU goes: {load.jobs} jobs, {IN_FLIGHT} in flight, as in throughput; {len(samples)} samples, " \
            "each counted once, for the first part from its leaf up that has a name here; us per job: of the " \
            f"{plain.cpu_us_per_job:.0f} that a run without perf takes"
    flame = draw(samples, renderer, f"e2b-worker, {load.jobs} jobs, {IN_FLIGHT} in flight")
    columns = ["where", "% of CPU", "us/job", "in our threads", "in librdkafka's threads"]
    return bench.settle(Outcome("profile", about, columns, rows, [], [("CPU per job", "us", by_group)], pictures={"flame": flame}))
