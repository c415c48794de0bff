"""Runs a Python script as `python3 script args` would, and keeps its rich results. In the sandbox:

    python3 -u -c THIS MAX_BYTES script args...

The folder that E2B_WORKER_RECORD names gets the file `results`: one line of JSON for the value of a last expression,
each figure, each display() (E2B's MIME bundle), "!dropped N" for those beyond the bounds, and for an exception that
ends the script "!exception A B C" and a line with its name, value and traceback in so many bytes; and the file `usage`:
the largest resident memory in bytes. Python 3.8 or later, nothing to install; what costs time to import is imported
when it is needed.
"""
import os
import sys

RESULTS_MAX = 64
RESULT_BYTES_MAX = 8 * 1024 * 1024
TEXT_BYTES_MAX = 64 * 1024

FORMATS = {
    "text/html": "html", "text/markdown": "markdown", "image/svg+xml": "svg", "image/png": "png",
    "image/jpeg": "jpeg", "application/pdf": "pdf", "text/latex": "latex", "application/json": "json",
    "application/javascript": "javascript",
}
METHODS = {
    "_repr_html_": "text/html", "_repr_markdown_": "text/markdown", "_repr_svg_": "image/svg+xml",
    "_repr_png_": "image/png", "_repr_jpeg_": "image/jpeg", "_repr_pdf_": "application/pdf",
    "_repr_latex_": "text/latex", "_repr_json_": "application/json",
    "_repr_javascript_": "application/javascript",
}


def clean(text):
    """Lone surrogates, which some programs make, are no text for others."""
    return text.encode("utf-8", "replace").decode("utf-8")


def cut(text):
    """The text as bytes, its middle left out when there is too much."""
    data = text.replace("\0", "").encode("utf-8", "replace")
    if len(data) <= TEXT_BYTES_MAX:
        return data
    half = TEXT_BYTES_MAX // 2
    ends = data[:half].decode("utf-8", "ignore"), data[-half:].decode("utf-8", "ignore")
    return "{}\n[...]\n{}".format(*ends).encode("utf-8")


class Results:
    """The results file, within its bounds."""

    def __init__(self, record, bytes_max):
        self.path = os.path.join(record, "results") if record else None
        self.bytes_left = bytes_max
        self.count = self.dropped = 0
        self.owner = os.getpid()

    def append(self, data):
        if not self.path:
            return
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            while data:
                data = data[os.write(handle, data):]
        finally:
            os.close(handle)

    def add(self, bundle, is_main=False):
        import json
        bundle = dict(bundle, is_main_result=is_main)
        try:
            line = json.dumps(bundle, allow_nan=False).encode("ascii") + b"\n"
        except (TypeError, ValueError):
            line = json.dumps({"is_main_result": is_main, "text": bundle.get("text", "")}).encode("ascii") + b"\n"
        if self.count == RESULTS_MAX or len(line) > min(RESULT_BYTES_MAX, self.bytes_left):
            self.dropped += 1
            return
        self.count += 1
        self.bytes_left -= len(line)
        self.append(line)

    def add_exception(self, name, value, traceback):
        parts = cut(name), cut(value), cut(traceback)
        head = "!exception {} {} {}\n".format(*map(len, parts)).encode("ascii")
        self.append(head + b"".join(parts) + b"\n")

    def close(self):
        if self.dropped:
            self.append("!dropped {}\n".format(self.dropped).encode("ascii"))


def mime_of(value):
    """What the value says of itself, by MIME type. A method that fails says nothing."""
    found = {}
    if isinstance(value, type):
        return found
    try:
        bundle = value._repr_mimebundle_()
        bundle = bundle[0] if isinstance(bundle, tuple) else bundle
        found.update(bundle or {})
    except Exception:
        pass
    for method, mime in METHODS.items():
        if mime in found:
            continue
        try:
            data = getattr(value, method)()
        except Exception:
            continue
        data = data[0] if isinstance(data, tuple) else data
        if data is not None:
            found[mime] = data
    return found


def bundle_of(value):
    """E2B's MIME bundle of a value."""
    found = mime_of(value)
    text = found.pop("text/plain", None)
    text = text if isinstance(text, str) else repr(value)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]  # as E2B's interpreter does
    bundle = {"text": clean(text)}
    for mime, data in found.items():
        if isinstance(data, (bytes, bytearray)):
            import base64
            data = base64.b64encode(data).decode("ascii")
        elif isinstance(data, str):
            data = clean(data)
        if mime in FORMATS:
            bundle[FORMATS[mime]] = data
        else:
            bundle.setdefault("extra", {})[mime] = data
    return bundle


def picture_of(figure):
    import base64
    import io
    data = io.BytesIO()
    figure.savefig(data, format="png", bbox_inches="tight")
    return {"text": repr(figure), "png": base64.b64encode(data.getvalue()).decode("ascii")}


class Display:
    """What the script shows, and how the libraries that show things are told of it."""

    def __init__(self, results):
        self.results = results
        self.hooks = {
            "matplotlib.pyplot": self.teach_pyplot,
            "IPython.core.display_functions": self.teach_ipython,
        }

    def is_figure(self, value):
        figures = sys.modules.get("matplotlib.figure")
        return figures is not None and isinstance(value, getattr(figures, "Figure", ()))

    def show(self, value, is_main=False):
        if not self.is_figure(value):
            self.results.add(bundle_of(value), is_main)
            return
        self.results.add(picture_of(value), is_main)
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot:
            pyplot.close(value)

    def display(self, *values, **_options):
        for value in values:
            self.show(value)

    def main_result(self, value):
        if value is not None:
            self.show(value, is_main=True)

    def show_figures(self):
        pyplot = sys.modules.get("matplotlib.pyplot")
        for number in pyplot.get_fignums() if pyplot else ():
            self.show(pyplot.figure(number))

    def teach_pyplot(self, module):
        module.show = lambda *args, **options: self.show_figures()  # it hangs attributes on it
        module.Figure.show = lambda figure, warn=True: self.show(figure)

    def teach_ipython(self, module):
        module.display = self.display

    # As a finder on sys.meta_path: the module is found by the others, and taught when it has been executed.
    def find_spec(self, name, path=None, target=None):
        teach = self.hooks.pop(name, None)
        if not teach:
            return None
        from importlib.util import find_spec
        spec = find_spec(name)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                teach(module)

            spec.loader.exec_module = exec_module
        return spec


def compile_script(source, path, result_name):
    """The script's code; the value of a last expression, unless a semicolon hides it, goes to `result_name`."""
    import _ast
    tree = compile(source, path, "exec", 0x400, dont_inherit=True)  # only the tree
    last = tree.body[-1] if tree.body else None
    if isinstance(last, _ast.Expr) and not source.rstrip().endswith(b";"):
        place = {name: getattr(last.value, name)
                 for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")}
        function = _ast.Name(id=result_name, ctx=_ast.Load(), **place)
        last.value = _ast.Call(func=function, args=[last.value], keywords=[], **place)
    return compile(tree, path, "exec", dont_inherit=True)


def make_main(path):
    """The module __main__ as the script shall see it."""
    module = type(sys)("__main__")
    module.__dict__.update(__file__=path, __builtins__=__builtins__, __cached__=None, __annotations__={})
    sys.modules["__main__"] = module
    return module


def note_failure(results, error, trace):
    """Tells the person on stderr, and the worker in the results file."""
    import traceback
    error = error.with_traceback(trace)
    try:
        sys.excepthook(type(error), error, trace)
    except BaseException:
        traceback.print_exception(type(error), error, trace)
    try:
        value = str(error)
    except Exception:
        value = ""
    if os.getpid() == results.owner:
        text = "".join(traceback.format_exception(type(error), error, trace))
        results.add_exception(type(error).__name__, value, text)


def run(path, results, display):
    """Returns: the exit code, None where the script did not fail."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        code = compile_script(source, path, "__e2b_result__")
    except (SyntaxError, ValueError, OSError) as error:
        note_failure(results, error, None)
        return 1
    module = make_main(path)
    try:
        exec(code, module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        note_failure(results, error, error.__traceback__.tb_next)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return None


def write_usage(record, owner):
    if not record or os.getpid() != owner:
        return
    import resource
    peak = max(resource.getrusage(who).ru_maxrss
               for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    try:
        with open(os.path.join(record, "usage"), "w") as file:
            file.write("{}\n".format(peak * 1024))
    except OSError:
        pass


def finish(results, display):
    if os.getpid() != results.owner:
        return
    try:
        display.show_figures()
    except Exception as error:
        print("a figure could not be kept: {}".format(error), file=sys.stderr)
    results.close()


def main():
    import atexit
    import builtins
    record = os.environ.pop("E2B_WORKER_RECORD", None)
    os.environ.setdefault("MPLBACKEND", "Agg")
    atexit.register(write_usage, record, os.getpid())
    results = Results(record, int(sys.argv[1]))
    display = Display(results)
    sys.meta_path.insert(0, display)
    builtins.display = display.display
    builtins.__e2b_result__ = display.main_result
    del sys.argv[:2]
    path = os.path.abspath(sys.argv[0])
    # As for any script its own folder comes first; the working directory, where input files are put, comes next.
    sys.path[:1] = dict.fromkeys((os.path.dirname(path), os.getcwd()))
    try:
        code = run(path, results, display)
    finally:
        finish(results, display)
    if code is not None:
        sys.exit(code)


main()
