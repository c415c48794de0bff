"""Installs libe2b into an empty prefix, builds hello.c against it as a stranger would (pkg-config, then CMake), runs it
against a stub of E2B, and looks at what the library exports."""
import http.server, json, os, pathlib, subprocess, sys, tempfile, threading

build, source, compiler, flags = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4].split()
BEGIN, END = {"type": "number_of_executions", "execution_count": 1}, {"type": "end_of_execution"}
RUN = (BEGIN, {"type": "stdout", "text": "hello\n"}, {"type": "stderr", "text": "careful\n"}, END)
RAISED = (BEGIN, {"type": "error", "name": "E", "value": "v", "traceback": "Traceback: E: v"}, END)


class Stub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen, events, kill_status = [], RUN, 204

    def answer(self, status, body=b""):
        asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        template = json.loads(asked)["templateID"] if self.path == "/v2/sandboxes" else ""
        self.seen.append(f"{self.command} {self.path} {template}".rstrip())
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        if self.path == "/execute":
            self.answer(200, b"".join(json.dumps(event).encode() + b"\n" for event in self.events))
        else:
            self.answer(201, json.dumps({"sandboxID": "i1", "templateID": "t", "envdAccessToken": "a"}).encode())

    def do_DELETE(self):
        self.answer(self.kill_status)

    def log_message(self, *_):
        pass


def run(*command, **kwargs):
    return subprocess.run(command, check=True, text=True, capture_output=True, **kwargs).stdout


with tempfile.TemporaryDirectory() as stage:
    run("cmake", "--install", build, "--component", "libe2b", "--prefix", stage)
    library = next(pathlib.Path(stage).rglob("libe2b.so"))
    exported = [line.split()[2] for line in run("nm", "-D", "--defined-only", str(library)).splitlines()]
    strangers = [name for name in exported if not name.startswith("e2b_")]
    assert exported and not strangers, f"libe2b.so exports {strangers}"

    environment = dict(os.environ, PKG_CONFIG_PATH=str(library.parent / "pkgconfig"),
                       PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1")
    options = run("pkg-config", "--define-variable=prefix=" + stage, "--cflags", "--libs", "libe2b", env=environment)
    hello = os.path.join(stage, "hello")
    run(compiler, *flags, "-Wall", "-Wextra", "-Werror", "-o", hello, str(source / "hello.c"), *options.split(),
        "-Wl,-rpath," + str(library.parent))

    (pathlib.Path(stage) / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(s C)\nfind_package(e2b REQUIRED)\n"
        f"add_executable(s {source}/hello.c)\ntarget_link_libraries(s e2b::e2b uv)\n")
    run("cmake", "-S", stage, "-B", stage + "/b", "-DCMAKE_PREFIX_PATH=" + stage, "-DCMAKE_C_COMPILER=" + compiler,
        "-DCMAKE_C_FLAGS=" + " ".join(flags))
    run("cmake", "--build", stage + "/b")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    answering = dict(os.environ, E2B_API_KEY="e2b_0", E2B_API_URL=url, E2B_SANDBOX_URL=url)
    everything = ["POST /v2/sandboxes code-interpreter-v1", "POST /execute", "DELETE /sandboxes/i1"]

    def tell(program, status, printed, complained, seen, **environment):
        Stub.seen.clear()
        told = subprocess.run([program], env={**answering, **environment}, text=True, capture_output=True, timeout=30)
        assert (told.returncode, told.stdout) == (status, printed) and complained in told.stderr, told
        assert Stub.seen == seen, Stub.seen

    for program in (hello, stage + "/b/s"):
        tell(program, 0, "hello\n", "careful\n", everything)
    tell(hello, 1, "", "hello: Failed to connect to 127.0.0.1", [], E2B_API_URL="http://127.0.0.1:1")
    tell(hello, 1, "", "hello: no api_key", [], E2B_API_KEY="", E2B_API_URL="")
    Stub.events = RAISED
    tell(hello, 1, "", "hello: Traceback: E: v\n", everything)
    Stub.events, Stub.kill_status = RUN, 400
    tell(hello, 1, "hello\n", "hello: ", everything)
    server.shutdown()
