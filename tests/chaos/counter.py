"""Counts how often each job's program starts, outside of every sandbox: programs connect to it over loopback and say
"start <tenant>/<job> <sandbox> <pid>"; they go on when it has answered, so that a start that was not counted did not
happen."""
from __future__ import annotations

import asyncio
import collections
import dataclasses

from wire import now_ms


@dataclasses.dataclass
class Told:
    at: int
    what: str  # start | end
    sandbox: str
    pid: str


class Counter:
    def __init__(self):
        self.port = 0
        self.by_job: dict[str, list[Told]] = collections.defaultdict(list)

    async def open(self) -> None:
        server = await asyncio.start_server(self.accept, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]

    async def accept(self, reader, writer) -> None:
        try:
            words = (await reader.readline()).decode().split()
            if len(words) == 4:
                what, job, sandbox, pid = words
                self.by_job[job].append(Told(now_ms(), what, sandbox, pid))
                writer.write(b"ok\n")
                await writer.drain()
        except OSError:
            pass  # its sandbox was killed in between
        finally:
            writer.close()


# What a program says, in its own language. PORT and JOB are replaced.

PYTHON = """import os, socket
def tell(what):
    with socket.create_connection(("127.0.0.1", PORT), 20) as link:
        link.sendall(f"{what} JOB {os.environ.get('E2B_SANDBOX_ID', '-')} {os.getpid()}\\n".encode())
        assert link.recv(3) == b"ok\\n"
"""

BASH = """tell() {
    exec 3<>/dev/tcp/127.0.0.1/PORT || exit 97
    echo "$1 JOB ${E2B_SANDBOX_ID:--} $$" >&3
    read -r -t 20 answer <&3 && [ "$answer" = ok ] || exit 98
    exec 3>&-
}
"""
