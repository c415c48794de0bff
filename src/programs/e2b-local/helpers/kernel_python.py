"""A Python code context: runs one piece of code after the other in one namespace.

Speaks lines of JSON on a socket: in {"code", "variables"}; out the code interpreter's events, exactly as they go to the
client, each run closed by end_of_execution. The first event of a run is held back for a moment: a kernel that dies at
once has then said nothing, as with the real one.
"""

import ast
import base64
import builtins
import datetime
import io
import json
import linecache
import os
import pprint
import select
import signal
import socket
import sys
import threading
import time
import traceback
import types
import zlib

FLUSH_S = 0.04
FIRST_FLUSH_S = 0.02
CONTEXT_LINES = 5

FORMATS = (
    ("text/html", "_repr_html_"),
    ("text/markdown", "_repr_markdown_"),
    ("image/svg+xml", "_repr_svg_"),
    ("image/png", "_repr_png_"),
    ("image/jpeg", "_repr_jpeg_"),
    ("application/pdf", "_repr_pdf_"),
    ("text/latex", "_repr_latex_"),
    ("application/json", "_repr_json_"),
    ("application/javascript", "_repr_javascript_"),
)
FIELDS = {
    "text/plain": "text", "text/html": "html", "text/markdown": "markdown", "image/svg+xml": "svg",
    "image/png": "png", "image/jpeg": "jpeg", "application/pdf": "pdf", "text/latex": "latex",
    "application/json": "json", "application/javascript": "javascript",
}


class StdinNotImplementedError(RuntimeError):
    """What input() raises: nobody can answer."""


def now_text():
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


class Channel:
    """Events to the socket. Whole lines only, from any thread."""

    def __init__(self, fd):
        self.socket = socket.socket(fileno=fd)
        self.socket.setblocking(True)
        self.lock = threading.RLock()
        self.held = b""
        self.held_until = 0.0

    def hold(self, event):
        with self.lock:
            self.held = json.dumps(event).encode() + b"\n"
            self.held_until = time.monotonic() + FIRST_FLUSH_S

    def release(self, is_due_only=False):
        with self.lock:
            if self.held and (not is_due_only or time.monotonic() >= self.held_until):
                held, self.held = self.held, b""
                self.socket.sendall(held)

    def send(self, event):
        line = json.dumps(event).encode() + b"\n"
        with self.lock:
            held, self.held = self.held, b""
            self.socket.sendall(held + line)


class Stream(io.TextIOBase):
    """sys.stdout and sys.stderr: text is gathered for a moment and then sent as one event."""

    def __init__(self, name, channel, wake):
        self.name_ = name
        self.channel = channel
        self.wake = wake
        self.parts = []
        self.lock = threading.RLock()

    @property
    def name(self):
        return "<%s>" % self.name_

    encoding = "UTF-8"
    errors = "replace"

    def writable(self):
        return True

    def isatty(self):
        return False

    def fileno(self):
        return 1 if self.name_ == "stdout" else 2

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not %s" % type(text).__name__)
        with self.lock:
            is_first = not self.parts
            self.parts.append(text)
        if is_first:
            self.wake()
        return len(text)

    def flush(self):
        with self.lock:
            text = "".join(self.parts)
            self.parts.clear()
            if text:
                self.channel.send({"type": self.name_, "text": text, "timestamp": now_text()})


class Pump(threading.Thread):
    """Sends what has gathered, and what other programs wrote to descriptors 1 and 2."""

    def __init__(self, channel):
        super().__init__(daemon=True, name="e2b-output")
        self.channel = channel
        self.wake_read, self.wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.streams = {name: Stream(name, channel, self.wake) for name in ("stdout", "stderr")}
        self.pipes = {}
        for name, fd in (("stdout", 1), ("stderr", 2)):
            read_end, write_end = os.pipe2(os.O_CLOEXEC)
            os.dup2(write_end, fd)
            os.close(write_end)
            os.set_blocking(read_end, False)
            self.pipes[read_end] = name
        self.lock = threading.RLock()

    def wake(self):
        try:
            os.write(self.wake_write, b"x")
        except BlockingIOError:
            pass

    def read_pipes(self):
        for fd, name in self.pipes.items():
            while True:
                try:
                    data = os.read(fd, 65536)
                except BlockingIOError:
                    break
                if not data:
                    break
                self.streams[name].write(data.decode("utf-8", "replace"))

    def flush(self):
        with self.lock:
            for stream in self.streams.values():
                stream.flush()
            self.read_pipes()
            for stream in self.streams.values():
                stream.flush()

    def run(self):
        poller = select.poll()
        for fd in [self.wake_read, *self.pipes]:
            poller.register(fd, select.POLLIN)
        while True:
            poller.poll()
            time.sleep(FIRST_FLUSH_S)
            self.channel.release(is_due_only=True)
            time.sleep(FLUSH_S - FIRST_FLUSH_S)
            try:
                os.read(self.wake_read, 4096)
            except BlockingIOError:
                pass
            self.channel.release(is_due_only=True)
            self.flush()


# ---- results ----

def cut_quotes(text):
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def format_plain(value):
    text = repr(value)
    if len(text) > 79 and type(value) in (list, dict, tuple, set, frozenset):
        return pprint.pformat(value, width=79, sort_dicts=False)
    return text


def encode_binary(data):
    return base64.b64encode(data).decode() if isinstance(data, bytes) else data


def call_format(value, name):
    method = getattr(value, name, None)
    if method is None or isinstance(value, type) or not callable(method):
        return None
    try:
        answer = method()
    except NotImplementedError:
        return None
    if isinstance(answer, tuple):
        answer = answer[0]
    return encode_binary(answer)


def json_value(value):
    """A cell of a table as JSON: numbers stay numbers, times become ISO text, the rest becomes text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        return json_value(value.item())
    return str(value)


def table_data(value):
    return {str(name): [json_value(cell) for cell in value.iloc[:, i].tolist()]
            for i, name in enumerate(value.columns)}


def is_figure(value):
    return type(value).__module__.startswith("matplotlib") and hasattr(value, "savefig") and hasattr(value, "axes")


def is_table(value):
    return type(value).__module__.startswith("pandas") and type(value).__name__ == "DataFrame"


def figure_png(figure):
    out = io.BytesIO()
    figure.savefig(out, format="png", bbox_inches="tight")
    return base64.b64encode(out.getvalue()).decode()


def chart_kind(axes):
    from matplotlib.collections import PathCollection
    if axes.containers and axes.patches:
        return "bar"
    if any(isinstance(item, PathCollection) for item in axes.collections):
        return "scatter"
    return "line" if axes.lines else "unknown"


def split_label(label):
    """"X (m)" has the unit m."""
    if label.endswith(")") and "(" in label:
        return label, label[label.rindex("(") + 1:-1] or None
    return label or None, None


def axis_fields(axes, prefix):
    axis = getattr(axes, prefix + "axis")
    label, unit = split_label(getattr(axes, "get_%slabel" % prefix)())
    ticks = [float(tick) for tick in axis.get_majorticklocs()]
    return {
        prefix + "_label": label, prefix + "_unit": unit, prefix + "_ticks": ticks,
        prefix + "_tick_labels": [text.get_text() for text in axis.get_majorticklabels()],
        prefix + "_scale": axis.get_scale(),
    }


def chart_elements(axes, kind):
    if kind == "line":
        return [{"label": str(line.get_label()), "points": [[json_value(x), json_value(y)] for x, y in line.get_xydata()]}
                for line in axes.lines]
    if kind == "scatter":
        return [{"label": str(item.get_label()), "points": [[float(x), float(y)] for x, y in item.get_offsets()]}
                for item in axes.collections]
    labels = [text.get_text() for text in axes.get_xticklabels()]
    return [{"label": labels[i] if i < len(labels) else "", "group": str(container.get_label()),
             "value": json_value(bar.get_height())}
            for container in axes.containers for i, bar in enumerate(container)]


def chart_data(figure):
    """Line, scatter and bar charts with one pair of axes; None for all else."""
    try:
        if len(figure.axes) != 1:
            return None
        axes = figure.axes[0]
        kind = chart_kind(axes)
        if kind == "unknown":
            return None
        chart = {"type": kind, "title": axes.get_title() or None, "elements": chart_elements(axes, kind)}
        x_fields, y_fields = axis_fields(axes, "x"), axis_fields(axes, "y")
        for name in ("label", "unit"):
            chart["x_" + name], chart["y_" + name] = x_fields.pop("x_" + name), y_fields.pop("y_" + name)
        if kind != "bar":
            chart.update(x_fields)
            chart.update(y_fields)
        return chart
    except Exception:
        return None


def describe_mime(bundle):
    event, extra = {}, {}
    for mime, data in bundle.items():
        if mime in FIELDS:
            event[FIELDS[mime]] = encode_binary(data)
        elif isinstance(data, (str, bytes, dict, list)):
            extra[mime] = encode_binary(data)
    return event, extra


def describe(value):
    """The fields of a result event, in the order of the real one."""
    bundle = {"text/plain": format_plain(value)}
    method = getattr(value, "_repr_mimebundle_", None)
    if callable(method) and not isinstance(value, type):
        found = method(include=None, exclude=None)
        bundle.update(found[0] if isinstance(found, tuple) else found or {})
    for mime, name in FORMATS:
        if mime not in bundle:
            data = call_format(value, name)
            if data is not None:
                bundle[mime] = data
    event, extra = describe_mime(bundle)
    event["text"] = cut_quotes(event["text"])
    if is_figure(value):
        event["png"] = figure_png(value)
        chart = chart_data(value)
        if chart:
            event["chart"] = chart
    if is_table(value):
        event["data"] = table_data(value)
    event["extra"] = extra
    return event


# ---- errors ----

def syntax_text(error, cell):
    lines = ["  %s, line %s" % (cell, error.lineno)]
    text = (error.text or "").rstrip("\n")
    if text:
        stripped = text.lstrip()
        lines.append("    " + stripped)
        if error.offset:
            lines.append("    " + " " * (error.offset - 1 - (len(text) - len(stripped))) + "^")
    lines.append("%s: %s" % (type(error).__name__, error.msg))
    return "\n".join(lines) + "\n"


def frame_title(frame, line, cells):
    code = frame.f_code
    where = cells.get(code.co_filename)
    title = "%s, line %d" % (where, line) if where else "File %s:%d" % (code.co_filename, line)
    if code.co_name != "<module>":
        count = code.co_argcount + code.co_kwonlyargcount
        names = ", ".join(code.co_varnames[:count]) if where else "*args"
        title += ", in %s(%s)" % (code.co_name, names)
    return title


def frame_text(frame, line, cells):
    title = frame_title(frame, line, cells)
    source = linecache.getlines(frame.f_code.co_filename, frame.f_globals)
    first = max(1, line - CONTEXT_LINES // 2)
    last = min(len(source), first + CONTEXT_LINES - 1)
    out = [title]
    for number in range(first, last + 1):
        text = source[number - 1].rstrip("\n")
        if number == line:
            out.append("%s> %d %s" % ("-" * (5 - len(str(number))), number, text))
        else:
            out.append("%7d %s" % (number, text))
    return "\n".join(out) + "\n"


def error_text(error):
    return "".join(traceback.format_exception_only(type(error), error)).rstrip("\n")


def describe_error(error, cells):
    name = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename in cells:
        value = "%s (%s, line %s)" % (error.msg, os.path.basename(error.filename), error.lineno)
        text = syntax_text(error, cells[error.filename])
    else:
        value = str(error)
        head = "Traceback (most recent call last)"
        text = "-" * 75 + name + " " * max(1, 75 - len(name) - len(head)) + head
        frames = [item for item in traceback.walk_tb(error.__traceback__)
                  if not item[0].f_globals.get("__name__") == "e2b_local_kernel"]
        text += "".join(frame_text(frame, line, cells) for frame, line in frames)
        text += error_text(error)
    return {"type": "error", "name": name, "value": value, "traceback": text}


# ---- running ----

class Shell:
    """The little of IPython's shell that code relies on."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.user_ns = kernel.namespace

    def system(self, command):
        import subprocess
        self.kernel.pump.flush()
        subprocess.call(command, shell=True, executable="/bin/bash")

    def run_line_magic(self, name, line):
        if name in ("pip", "conda"):
            self.system("%s -m %s %s" % (sys.executable, name, line))
        elif name == "cd":
            os.chdir(os.path.expanduser(line.strip() or "~"))
        elif name not in ("matplotlib", "config", "load_ext", "autoreload"):
            sys.stderr.write("UsageError: Line magic function `%%%s` not found.\n" % name)

    magic = run_line_magic


def translate(code):
    """Lines that begin with ! or % are IPython's, not Python's."""
    out = []
    for line in code.split("\n"):
        stripped = line.lstrip()
        indent = line[:len(line) - len(stripped)]
        if stripped.startswith("!"):
            line = indent + "get_ipython().system(%r)" % stripped[1:]
        elif stripped.startswith("%") and stripped[1:2].isalpha():
            name, _, rest = stripped[1:].partition(" ")
            line = indent + "get_ipython().run_line_magic(%r, %r)" % (name, rest)
        out.append(line)
    return "\n".join(out)


class Kernel:
    def __init__(self, fd):
        self.channel = Channel(fd)
        self.pump = Pump(self.channel)
        self.count = 0
        self.cells = {}
        self.is_running = False
        self.loop = None
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self.namespace = module.__dict__
        self.shell = Shell(self)
        self.namespace.update(__builtins__=builtins, display=self.display, get_ipython=lambda: self.shell,
                              In=[""], Out={}, _="")
        builtins.display = self.display
        builtins.input = self.no_input
        builtins.exit = builtins.quit = self.exit
        sys.stdout, sys.stderr = self.pump.streams["stdout"], self.pump.streams["stderr"]
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
        sys.stdin = open(os.devnull, encoding="utf-8")
        os.dup2(sys.stdin.fileno(), 0)
        sys.argv = [""]
        sys.path.insert(0, "")
        self.set_up_plots()
        signal.signal(signal.SIGINT, self.on_interrupt)

    @staticmethod
    def exit(code=None):
        raise SystemExit(code)

    @staticmethod
    def no_input(prompt=""):
        raise StdinNotImplementedError("raw_input was called, but this frontend does not support input requests.")

    def on_interrupt(self, _number, _frame):
        if self.is_running:
            raise KeyboardInterrupt

    # -- output

    def display(self, *values, **_options):
        for value in values:
            self.send_result(value, False)

    def send_result(self, value, is_main):
        event = {"type": "result", **describe(value), "is_main_result": is_main}
        self.pump.flush()
        self.channel.send(event)

    def set_up_plots(self):
        plots = sys.modules.get("matplotlib.pyplot")
        if plots is None:
            return
        self.patched = plots
        plots.show = lambda *_args, **_options: self.show_figures()

    def show_figures(self):
        plots = sys.modules.get("matplotlib.pyplot")
        if plots is None:
            return
        if plots is not getattr(self, "patched", None):
            self.set_up_plots()
        for number in plots.get_fignums():
            self.send_result(plots.figure(number), False)
        plots.close("all")

    # -- code

    def parse(self, code, name):
        try:
            return ast.parse(code, name)
        except SyntaxError:
            translated = translate(code)
            if translated == code:
                raise
            tree = ast.parse(translated, name)
            linecache.cache[name] = (len(translated), None, translated.splitlines(True), name)
            return tree

    def evaluate(self, code_object):
        value = eval(code_object, self.namespace)
        if code_object.co_flags & 0x80:  # CO_COROUTINE: await stood at the top level
            import asyncio
            if self.loop is None:
                self.loop = asyncio.new_event_loop()
                asyncio.set_event_loop(self.loop)
            value = self.loop.run_until_complete(value)
        return value

    def run_tree(self, tree, name):
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = tree.body.pop()
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        if tree.body:
            self.evaluate(compile(tree, name, "exec", flags))
        if last is None:
            return
        source_ends_silent = self.current.rstrip().endswith(";")
        value = self.evaluate(compile(ast.Expression(last.value), name, "eval", flags))
        if value is not None and not source_ends_silent:
            self.namespace["_"] = value
            self.namespace["Out"][self.count] = value
            self.send_result(value, True)

    def run_code(self, code):
        name = "/tmp/ipykernel_%d/%d.py" % (os.getpid(), zlib.crc32(code.encode("utf-8", "replace")))
        self.cells[name] = "Cell In[%d]" % self.count
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        self.current = code
        self.namespace["In"].append(code)
        try:
            self.is_running = True
            self.run_tree(self.parse(code, name), name)
            self.show_figures()
        finally:
            self.is_running = False

    def run(self, request):
        self.count += 1
        self.channel.hold({"type": "number_of_executions", "execution_count": self.count})
        self.pump.wake()
        variables = request.get("variables") or {}
        before = {name: os.environ.get(name) for name in variables}
        # The real server writes the values into the code as they are; a quote in a value breaks it there, too.
        head = "".join("import os; os.environ['%s'] = '%s'\n" % item for item in variables.items())
        try:
            self.run_code(head + request["code"])
        except BaseException as error:
            self.report(error)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self.pump.flush()
        self.channel.send({"type": "end_of_execution"})

    def report(self, error):
        self.pump.flush()
        self.channel.send(describe_error(error, self.cells))
        plots = sys.modules.get("matplotlib.pyplot")
        if plots is not None:
            plots.close("all")
        if isinstance(error, SystemExit):
            sys.stderr.write("UserWarning: To exit: use 'exit', 'quit', or Ctrl-D.\n")

    def serve(self):
        self.pump.start()
        reader = self.channel.socket.makefile("rb")
        for line in reader:
            self.run(json.loads(line))


def main(fd):
    Kernel(fd).serve()
