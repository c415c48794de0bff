"""What the workers say to Redis, and what it answers: a proxy in between that keeps a journal of every ledger operation,
is switched to another server in a failover, cuts single workers off, and can act exactly between an operation's answer
and the worker that waits for it. So every window that the ledger's rules are about can be hit without a hook in the
product.

The operations are known by the first comment of their Lua scripts (src/redis/lua), which names what they take."""
from __future__ import annotations

import asyncio
import collections
import dataclasses
import hashlib
import re
import threading
import time

from stack import ROOT

TEXT_MAX = 200  # of an argument or answer that is kept
UNPRINTABLE = {code: " " for code in range(32)}
ANSWERED_EACH = {"acquire", "bind", "seal"}
GROUPED = ANSWERED_EACH | {"done", "release"}  # one command may ask for several of these


def now_ms() -> int:
    return time.time_ns() // 1_000_000


# ---- RESP ----

class Incomplete(Exception):
    pass


def read_line(data: bytearray, at: int) -> tuple[bytes, int]:
    end = data.find(b"\r\n", at)
    if end < 0:
        raise Incomplete
    return bytes(data[at:end]), end + 2


def read_value(data: bytearray, at: int):
    """Returns: the value that begins there, and where the next one does. Texts are bytes; errors are exceptions."""
    line, after = read_line(data, at)
    kind, rest = line[:1], line[1:]
    if kind == b"$":
        length = int(rest)
        if length < 0:
            return None, after
        if len(data) < after + length + 2:
            raise Incomplete
        return bytes(data[after:after + length]), after + length + 2
    if kind in b"*~>":
        items = []
        for _ in range(max(int(rest), 0)):
            item, after = read_value(data, after)
            items.append(item)
        return items, after
    if kind == b"%":
        items = []
        for _ in range(2 * int(rest)):
            item, after = read_value(data, after)
            items.append(item)
        return items, after
    if kind == b":":
        return int(rest), after
    if kind == b"-":
        return RuntimeError(rest.decode(errors="replace")), after
    return rest, after  # "+", and what RESP3 writes on one line


def to_text(value) -> str | list:
    if isinstance(value, list):
        return [to_text(item) for item in value]
    if isinstance(value, bytes):
        return value[:TEXT_MAX].decode(errors="replace").translate(UNPRINTABLE)
    if isinstance(value, RuntimeError):
        return f"error: {value}"
    return "" if value is None else str(value)


# ---- operations ----

def name_of(worker: str) -> str:
    """Without the incarnation: what the worker was configured with."""
    return worker.rpartition(".")[0]


@dataclasses.dataclass
class Call:
    """One operation of the ledger on the wire. asked and at: when it left for Redis, and when the answer came."""
    op: str
    worker: str  # name and incarnation
    arguments: dict[str, str]
    asked: int
    at: int = 0
    answer: list[str] = dataclasses.field(default_factory=list)
    note: str = ""  # what was done to it on its way
    times: int = 1  # that it was answered so, in a row
    last: int = 0  # ... and when at last

    @property
    def job(self) -> str:
        return self.arguments.get("job", "")

    @property
    def permit(self) -> str:
        return self.arguments.get("permit", "")

    @property
    def verdict(self) -> str:
        return self.answer[0] if self.answer else ""


@dataclasses.dataclass(frozen=True)
class Signature:
    """Of a script: the names of the words that come once, and of those that come for each operation of a command."""
    op: str
    once: list[str]
    each: list[str]

    def operations(self, words: list[str]) -> list[dict[str, str]]:
        arguments = dict(zip(self.once, words))
        if self.op not in GROUPED:
            return [arguments]
        found, at = [], len(self.once)
        while at < len(words):
            after = at + len(self.each)
            own = arguments | dict(zip(self.each, words[at:after]))
            if self.op == "acquire":
                limits, after = after, after + 2 * int(own["count"])
                own["limits"] = " ".join(f"{limit}={most}" for limit, most in zip(words[limits:after:2], words[limits + 1:after:2]))
            found.append(own)
            at = after
        return found


def read_signature(text: str) -> Signature | None:
    """From the comment that a script begins with."""
    def names(words: str) -> list[str]:
        found = [re.match(r"\w+", word.strip())[0] for word in words.split(";")[0].split(",") if word.strip()]
        return list(dict.fromkeys(found))  # acquire: count, and what comes so often

    for found in re.finditer(r"^-- ([a-z_]+): (.*(?:\n--.*)*)", text, re.MULTILINE):
        if (ROOT / "src/redis/lua" / f"{found[1]}.lua").exists():
            taken = re.sub(r"\([^)]*\)", "", found[2].replace("\n--", " ").split("->")[0])
            once, _, each = taken.partition("[")
            return Signature(found[1], names(once), names(each.split("]")[0]))
    return None


def answers_to(calls: list[Call], answer) -> list[list[str]]:
    """Each one's, out of what their command was answered."""
    texts = to_text(answer)
    if calls[0].op in ANSWERED_EACH and isinstance(texts, list) and len(texts) == len(calls):
        return [one if isinstance(one, list) else [one] for one in texts]
    if calls[0].op == "release":
        drops = [call.arguments.get("keep") != "1" for call in calls]
        if texts == str(sum(drops)):  # how many permits are gone: all that were to go
            return [[str(int(is_dropped))] for is_dropped in drops]
        return [[f"{texts} in all"]] * len(calls)
    return [texts if isinstance(texts, list) else [texts]] * len(calls)


@dataclasses.dataclass
class Gate:
    """Waits for one operation; then acts, with the operation's bytes held back on this side."""
    op: str
    side: str  # "request": on its way to Redis; "answer": on its way to the worker
    when: callable  # of the call
    act: callable
    drops: bool = False  # the bytes never arrive
    hit: threading.Event = dataclasses.field(default_factory=threading.Event)
    call: Call | None = None


class Connection:
    """One connection of a worker, and ours to Redis for it."""

    def __init__(self, wire: Wire, name: str, reader, writer):
        self.wire, self.name, self.reader, self.writer = wire, name, reader, writer
        self.worker = ""  # with its incarnation, once it has said so
        self.is_subscriber = False
        self.waiting: collections.deque[list[Call]] = collections.deque()  # of each command

    async def run(self) -> None:
        pumps = []
        try:
            up_reader, self.up_writer = await asyncio.open_connection("127.0.0.1", self.wire.target, limit=1 << 20)
            pumps = [asyncio.ensure_future(self.pump(self.reader, self.up_writer, self.take_requests)),
                     asyncio.ensure_future(self.pump(up_reader, self.writer, self.take_answers))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            pass  # Redis is not there: the worker sees its connection close
        finally:
            for pump in pumps:
                pump.cancel()
            self.close()

    def close(self) -> None:
        for writer in (self.writer, getattr(self, "up_writer", None)):
            if writer and writer.transport:
                writer.transport.abort()

    async def pump(self, reader, writer, take) -> None:
        data = bytearray()
        while chunk := await reader.read(1 << 16):
            if self.name in self.wire.isolated:
                continue  # as a network does that loses everything
            data += chunk
            out = take(data)
            if out:
                writer.write(out)
                await writer.drain()

    def take_requests(self, data: bytearray) -> bytes:
        out, at = bytearray(), 0
        while at < len(data):
            try:
                words, after = read_value(data, at)
            except Incomplete:
                break
            if self.note_request(words):
                out += data[at:after]
            at = after
        del data[:at]
        return bytes(out)

    def note_request(self, words) -> bool:
        """Returns: whether it is passed on."""
        name = words[0].upper() if words else b""
        calls = []
        if name == b"SUBSCRIBE":
            self.is_subscriber = True
        elif name == b"SCRIPT" and len(words) > 2:
            self.wire.learn(words[2])
        elif name == b"EVALSHA":
            calls = self.wire.make_calls(words)
        for call in calls:
            self.worker = call.worker or self.worker
            call.worker = call.worker or self.worker
        if any([self.wire.meets(call, "request") for call in calls]):
            for call in calls:  # all of them: they are one command
                call.at = now_ms()
                self.wire.keep(call)
            return False
        self.waiting.append(calls)
        return True

    def take_answers(self, data: bytearray) -> bytes:
        if self.is_subscriber:
            out = bytes(data)
            data.clear()
            return out
        out, at = bytearray(), 0
        while at < len(data):
            try:
                answer, after = read_value(data, at)
            except Incomplete:
                break
            if self.note_answer(answer):
                out += data[at:after]
            at = after
        del data[:at]
        return bytes(out)

    def note_answer(self, answer) -> bool:
        calls = self.waiting.popleft() if self.waiting else []
        if not calls:
            return True
        for call, own in zip(calls, answers_to(calls, answer)):
            call.answer, call.at = own, now_ms()
        is_dropped = any([self.wire.meets(call, "answer") for call in calls])
        for call in calls:
            self.wire.keep(call)
        return not is_dropped


class Wire:
    """The proxy, on a loop of its own. Everything but the constructor may be called from any thread."""

    def __init__(self):
        self.target = 0  # the port of the server in charge
        self.ports: dict[str, int] = {}  # of each worker, by name: so every connection is known from its beginning
        self.isolated: set[str] = set()  # names of workers that reach nothing
        self.is_refusing = False
        self.scripts: dict[str, Signature] = {}
        self.calls: list[Call] = []
        self.by_job: dict[str, list[Call]] = collections.defaultdict(list)
        self.connections: set[Connection] = set()
        self.gate: Gate | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        self.loop = asyncio.get_running_loop()

    def port_of(self, name: str) -> int:
        """Where the worker of this name finds Redis."""
        async def listen():
            async def accept(reader, writer):
                await self.accept(name, reader, writer)
            server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 20)
            return server.sockets[0].getsockname()[1]
        if name not in self.ports:
            self.ports[name] = asyncio.run_coroutine_threadsafe(listen(), self.loop).result(10)
        return self.ports[name]

    async def accept(self, name: str, reader, writer) -> None:
        connection = Connection(self, name, reader, writer)
        if self.is_refusing:
            connection.close()
            return
        self.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)

    # -- what passes --

    def learn(self, text: bytes) -> None:
        signature = read_signature(text.decode(errors="replace"))
        if signature:
            self.scripts[hashlib.sha1(text).hexdigest()] = signature

    def make_calls(self, words) -> list[Call]:
        signature = self.scripts.get(words[1].decode().lower())
        if not signature:
            return []
        asked = signature.operations([to_text(word) for word in words[3 + int(words[2]):]])
        return [Call(signature.op, arguments.pop("worker", ""), arguments, now_ms()) for arguments in asked]

    def keep(self, call: Call) -> None:
        if call.op == "acquire" and call.verdict in ("denied", "elsewhere", "not_ready"):
            last = next((one for one in reversed(self.by_job[call.job]) if one.worker == call.worker), None)
            if last and last.answer[:2] == call.answer[:2]:
                last.times, last.last = last.times + 1, call.at
                return  # a worker that polls is told of once
        self.calls.append(call)
        if call.job:
            self.by_job[call.job].append(call)

    def meets(self, call: Call, side: str) -> bool:
        """Returns: whether the bytes are to be dropped."""
        gate = self.gate
        if not gate or gate.op != call.op or gate.side != side or not gate.when(call):
            return False
        self.gate = None
        gate.act(call)
        gate.call = call
        call.note = f"{'dropped' if gate.drops else 'held'} as {side} by a fault"
        gate.hit.set()
        return gate.drops

    # -- what faults do --

    def arm(self, gate: Gate) -> Gate:
        self.gate = gate
        return gate

    def disarm(self) -> None:
        self.gate = None

    def close_all(self, names: set[str] | None = None) -> None:
        """Closes the connections of these workers, None: of all."""
        def close():
            for connection in list(self.connections):
                if names is None or connection.name in names:
                    connection.close()
        self.loop.call_soon_threadsafe(close)

    def switch(self, port: int) -> None:
        self.target = port
        self.close_all()
