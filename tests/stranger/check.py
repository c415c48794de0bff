"""Installs libe2b into an empty prefix, builds hello.c against it as a stranger would (pkg-config, then CMake), runs it
against a stub of E2B, and looks at what the library exports."""
import http.server, json, os, pathlib, subprocess, sys, tempfile, threading

build, source, compiler, flags = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4].split()
RUN = ({"type": "number_of_executions", "execution_count": 1}, {"type": "stdout", "text": "hello\n"},
       {"type": "end_of_execution"})


class Stub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = []

    def answer(self, status, body=b""):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append(f"{self.command} {self.path}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        if self.path == "/execute":
            self.answer(200, b"".join(json.dumps(event).encode() + b"\n" for event in RUN))
        else:
            self.answer(201, json.dumps({"sandboxID": "i1", "templateID": "t", "envdAccessToken": "a"}).encode())

    def do_DELETE(self):
        self.answer(204)

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
    for program in (hello, stage + "/b/s"):
        Stub.seen.clear()
        printed = run(program, env=dict(os.environ, E2B_API_KEY="e2b_0", E2B_API_URL=url, E2B_SANDBOX_URL=url), timeout=30)
        assert printed == "hello\n", printed
        assert Stub.seen == ["POST /v2/sandboxes", "POST /execute", "DELETE /sandboxes/i1"], Stub.seen
    server.shutdown()
    failed = subprocess.run([hello], env=dict(os.environ, E2B_API_KEY="e2b_0", E2B_API_URL="http://127.0.0.1:1"),
                            text=True, capture_output=True, timeout=30)
    assert failed.returncode == 1 and failed.stderr.startswith("create: "), failed
