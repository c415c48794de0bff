#!/usr/bin/env python3
"""What the compiler cannot refuse: foreign headers in the wrong layer, relative includes, and files or functions that
grew too long. One table, checked; prints each breach as file:line and exits 1."""
import pathlib
import re
import subprocess
import sys

# Which libraries of others a layer's files may include. Everything else must be libc or one of our ports, which the
# include views of cmake/layers.cmake already guard.
FOREIGN = {
    "base": ["openssl/", "uuid/"],
    "loop": ["uv.h"],
    "http": ["curl/", "microhttpd.h"],
    "e2b": ["jansson.h", "e2b/"],
    "core": [],
    "codec": ["jansson.h"],
    "kafka": ["librdkafka/"],
    "redis": ["hiredis/"],
    "config": ["jansson.h"],
    "worker": [],
    "programs/e2b-worker": ["jansson.h", "e2b/"],
    "programs/e2b-local": ["jansson.h", "openssl/"],
}
LIBC = set("""assert ctype dirent errno fcntl fnmatch getopt inttypes limits malloc math netdb poll pthread regex sched
search setjmp signal spawn stdarg stdatomic stdbool stddef stdint stdio stdlib string strings time unistd""".split())
LIBC_FOLDERS = ("sys/", "netinet/", "arpa/", "linux/", "net/")
FILE_LINES, FUNCTION_LINES = 800, 80


def layer_of(path: pathlib.Path) -> str:
    parts = path.parts[1:-1]
    return "/".join(parts[:2]) if parts[0] == "programs" else parts[0]


def check_includes(path: pathlib.Path) -> list[str]:
    layer = layer_of(path)
    breaches = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)', line)
        if not match:
            continue
        kind, name = match.groups()
        if kind == '"':
            fine = ".." not in name.split("/")
        else:
            fine = (name.removesuffix(".h") in LIBC or name.startswith(LIBC_FOLDERS)
                    or any(name == f or f.endswith("/") and name.startswith(f) for f in FOREIGN.get(layer, [])))
        if not fine:
            breaches.append(f"{path}:{number}: {layer} may not include {name}")
    return breaches


def check_lengths(paths: list[pathlib.Path]) -> list[str]:
    breaches = [f"{p}:1: {n} lines; a file has at most {FILE_LINES}" for p in paths
                if (n := len(p.read_text().splitlines())) > FILE_LINES]
    tags = subprocess.run(["ctags", "--fields=+ne", "--kinds-c=f", "-f", "-", "-L", "-"], text=True, capture_output=True,
                          input="\n".join(map(str, paths)), check=True).stdout
    for line in tags.splitlines():
        fields = line.split("\t")
        begin = next((int(f[5:]) for f in fields if f.startswith("line:")), 0)
        end = next((int(f[4:]) for f in fields if f.startswith("end:")), 0)
        if end - begin + 1 > FUNCTION_LINES:
            breaches.append(f"{fields[1]}:{begin}: {fields[0]} has {end - begin + 1} lines; at most {FUNCTION_LINES}")
    return breaches


def main() -> int:
    paths = sorted([*pathlib.Path("src").rglob("*.[ch]")])
    breaches = [b for p in paths for b in check_includes(p)] + check_lengths([p for p in paths if p.suffix == ".c"])
    print("\n".join(breaches) or f"{len(paths)} files keep to the table of layers")
    return bool(breaches)


if __name__ == "__main__":
    sys.exit(main())
