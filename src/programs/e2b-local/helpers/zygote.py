"""The parent of all kernels of e2b-local.

It imports what is heavy once, and then forks one process per code context, so that a context starts in some ms and
shares the modules' memory with all others. It knows no HTTP and keeps nothing between requests.

Requests come as JSON, one message each, over the socket on descriptor 3, with descriptors attached: the kernel's own
socket, then control groups to enter, then namespaces to enter. The answer names the new process, with a pidfd.
"""

import ctypes
import gc
import json
import os
import signal
import socket
import sys

CLONE_NEWPID = 0x20000000
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
LAST_CAPABILITY = 63

HELPERS = os.path.dirname(os.path.abspath(__file__))
NODE = sys.argv[1] if len(sys.argv) > 1 else "node"
libc = ctypes.CDLL(None, use_errno=True)


def preload():
    """What is not installed is not preloaded; a context then fails at its own import, as anywhere else."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    if not os.access(os.path.expanduser("~"), os.W_OK):
        os.environ.setdefault("MPLCONFIGDIR", os.path.join(HELPERS, "matplotlib"))
    for name in ("asyncio", "decimal", "fractions", "statistics", "datetime", "re", "random", "csv", "numpy",
                 "pandas", "matplotlib.pyplot"):
        try:
            __import__(name)
        except Exception:
            pass


def extra_folders():
    """Folders outside /usr that an interpreter inside a sandbox must see."""
    found = []
    for folder in (sys.prefix, sys.base_prefix):
        real = os.path.realpath(folder)
        if not real.startswith("/usr") and real != "/" and real not in found:
            found.append(real)
    return found


def set_namespace(fd, kind):
    if libc.setns(fd, kind) != 0:
        raise OSError(ctypes.get_errno(), "setns: " + os.strerror(ctypes.get_errno()))


def drop_privileges():
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def drop_own_capabilities():
    """The fork keeps what the zygote holds; a kernel does not exec, so the sets are emptied directly."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(0, 0, 0, 0, 0, 0)
    libc.capset(header, data)


def enter(request, groups, namespaces):
    for fd in groups:
        os.write(fd, b"0")
    for fd, kind in zip(namespaces, request["kinds"]):
        if kind != CLONE_NEWPID:
            set_namespace(fd, kind)
    os.setsid()
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    drop_privileges()
    drop_own_capabilities()
    os.environ.clear()
    os.environ.update(request["variables"])
    try:
        os.chdir(request["cwd"])
    except OSError:
        os.chdir(request["home"])


def run_child(request, fds, control):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until the kernel has its own handler
    groups = fds[1:1 + request["groups"]]
    namespaces = fds[1 + request["groups"]:]
    source = load_kernel(request["language"])
    enter(request, groups, namespaces)
    for fd in fds[1:]:
        os.close(fd)
    control.close()
    os.dup2(fds[0], 3, inheritable=False)
    os.close(fds[0])
    if request["language"] == "javascript":
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.set_inheritable(3, True)
        os.execvpe(NODE, [NODE, "--no-warnings", "-e", source], os.environ)
    import builtins
    scope = {"__name__": "e2b_local_kernel", "__builtins__": builtins}
    exec(source, scope)
    scope["main"](3)


def load_kernel(language):
    name = {"python": "kernel_python.py", "bash": "kernel_bash.py", "javascript": "kernel_javascript.js"}[language]
    if name in KERNELS:
        return KERNELS[name]
    with open(os.path.join(HELPERS, name), encoding="utf-8") as file:
        text = file.read()
    KERNELS[name] = compile(text, name, "exec") if name.endswith(".py") else text
    return KERNELS[name]


KERNELS = {}


def fork(request, fds, control, own_pid_namespace):
    """As the caller's cell_fork: the namespace of processes counts for children only, so it is set around the fork."""
    inside = None
    for fd, kind in zip(fds[1 + request["groups"]:], request["kinds"]):
        if kind == CLONE_NEWPID:
            inside = fd
    if inside is not None:
        set_namespace(inside, CLONE_NEWPID)
    try:
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                run_child(request, fds, control)
                status = 0
            except BaseException as error:
                sys.stderr.write("e2b-local: kernel: %r\n" % (error,))
            finally:
                os._exit(status)
    finally:
        if inside is not None:
            set_namespace(own_pid_namespace, CLONE_NEWPID)
    return pid


def serve(control):
    own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    while True:
        message, fds, _flags, _address = socket.recv_fds(control, 1 << 20, 16)
        if not message:
            return
        request = json.loads(message)
        pidfd = -1
        try:
            pid = fork(request, fds, control, own_pid_namespace)
            pidfd = os.pidfd_open(pid)
            answer = {"id": request["id"], "pid": pid}
        except OSError as error:
            answer = {"id": request["id"], "error": str(error)}
        for fd in fds:
            os.close(fd)
        socket.send_fds(control, [json.dumps(answer).encode()], [pidfd] if pidfd >= 0 else [])
        if pidfd >= 0:
            os.close(pidfd)


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the system; their pidfds tell the caller
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    preload()
    for language in ("python", "bash", "javascript"):
        load_kernel(language)
    gc.collect()
    gc.freeze()  # keeps the collector from touching, and so copying, the shared pages
    control = socket.socket(fileno=3)
    control.send(json.dumps({"id": 0, "folders": extra_folders()}).encode())
    serve(control)


main()
