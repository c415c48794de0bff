"""A bash code context: one bash process that lives from run to run; the events are those of kernel_python.py.

Both outputs of bash are one pipe, since the real kernel reports errors as stdout too. Each run ends with a marker line
that carries the last status; the marker is new for every run, so that code cannot print it by accident.
"""

import datetime
import json
import os
import select
import signal
import socket
import subprocess
import time
import uuid

FLUSH_S = 0.04


class Kernel:
    def __init__(self, fd):
        self.socket = socket.socket(fileno=fd)
        self.count = 0
        self.is_running = False
        signal.signal(signal.SIGINT, self.on_interrupt)  # before bash: what is ignored here would be ignored there
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        self.output = read_end
        os.set_blocking(read_end, False)
        # bash reads its commands from descriptor 9: the code's own standard input is empty.
        commands_read, self.commands = os.pipe2(os.O_CLOEXEC)
        self.bash = subprocess.Popen(
            ["/bin/bash", "--norc", "-c",
             "while IFS= read -r -u 9 -d '' e2b_code; do eval \"$e2b_code\"; e2b_status=$?; done"],
            stdin=subprocess.DEVNULL, stdout=write_end, stderr=write_end, pass_fds=(),
            preexec_fn=lambda: os.dup2(commands_read, 9), close_fds=False, start_new_session=False)
        os.close(write_end)
        os.close(commands_read)

    def on_interrupt(self, _number, _frame):
        """Interrupts what bash runs, not bash: its loop holds the context's state."""
        if not self.is_running:
            return
        children = []
        try:
            with open("/proc/%d/task/%d/children" % (self.bash.pid, self.bash.pid)) as file:
                children = [int(pid) for pid in file.read().split()]
        except OSError:
            pass
        for pid in children:
            try:
                os.kill(pid, signal.SIGINT)
            except OSError:
                pass

    def send(self, *events):
        self.socket.sendall(b"".join(json.dumps(event).encode() + b"\n" for event in events))

    def send_text(self, data):
        if data:
            stamp = datetime.datetime.now(datetime.timezone.utc).isoformat()
            self.send({"type": "stdout", "text": data.decode("utf-8", "replace"), "timestamp": stamp})

    def read_until(self, marker):
        """Streams bash's output. Returns the last status, or None when bash itself ended."""
        kept = b""
        while True:
            select.select([self.output], [], [], 0.5)
            time.sleep(FLUSH_S / 4)
            try:
                data = os.read(self.output, 65536)
            except BlockingIOError:
                data = None
            if data == b"" or (data is None and self.bash.poll() is not None):
                self.send_text(kept)
                return None
            kept += data or b""
            found = kept.find(marker)
            if found >= 0 and kept.find(b"\n", found) >= 0:
                self.send_text(kept[:found])
                return int(kept[found + len(marker):kept.find(b"\n", found)])
            # What could be the beginning of the marker waits for more.
            cut = len(kept)
            for size in range(min(len(marker) - 1, len(kept)), 0, -1):
                if marker.startswith(kept[-size:]):
                    cut = len(kept) - size
                    break
            if found >= 0:
                cut = found
            self.send_text(kept[:cut])
            kept = kept[cut:]

    def run(self, request):
        self.count += 1
        self.send({"type": "number_of_executions", "execution_count": self.count})
        marker = "\x01" + uuid.uuid4().hex + ":"
        variables = request.get("variables") or {}
        head = "".join("export %s='%s'\n" % item for item in variables.items())
        tail = "".join("unset %s\n" % name for name in variables)
        script = "%s%s\n" % (head, request["code"])
        self.is_running = True
        try:
            self.write(script + "\0" + "%s printf '\\001%%s%%d\\n' '%s' \"$e2b_status\"\0"
                       % (tail.replace("\n", ";"), marker[1:]))
            status = self.read_until(marker.encode())
        finally:
            self.is_running = False
        if status is None:
            os._exit(1)  # bash is gone, and the context with it
        if status != 0:
            self.send({"type": "error", "name": "", "value": str(status), "traceback": ""})
        self.send({"type": "end_of_execution"})

    def write(self, text):
        data = text.encode()
        while data:
            data = data[os.write(self.commands, data):]

    def serve(self):
        for line in self.socket.makefile("rb"):
            self.run(json.loads(line))


def main(fd):
    Kernel(fd).serve()
