"""The rapport command in processes of its own that need not load it: they are forked from one that has.

To load the program takes ten times as long as what most commands do. A fork is a process as any other: it has a number,
a working directory, variables and files of its own, and can be killed. It has opened nothing and started no thread
before it is forked. How the command begins from nothing is tested where `rapport_command.PROGRAM` is run as it is.
"""

import atexit
import functools
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NoReturn

LONGEST_REQUEST = 128 * 1024
BEGINNING = threading.Lock()


class Forked:
    """A command that runs, with what subprocess.Popen has for it. stdin and stdout are pipes, where they are."""

    def __init__(self, pid: int, stdout: Any = None, stdin: Any = None) -> None:
        self.pid, self.stdout, self.stdin = pid, stdout, stdin
        self.returncode: int | None = None
        self._process = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        if self.returncode is None:
            code = _loaded().ask({"ended": self.pid})
            if code is not None:
                self.returncode = int(code)
                os.close(self._process)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it ended. Raises subprocess.TimeoutExpired."""
        while self.poll() is None:
            if not select.select([self._process], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._process, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close its pipes, of which it may have left the other end."""
        for pipe in (self.stdin, self.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def begin(arguments: list[str], environment: dict[str, str], errors: IO[Any]) -> Forked:
    """Start the command with these arguments and variables; its standard output is a pipe."""
    ours, theirs = os.pipe()
    pid = _start({"arguments": arguments, "environment": environment}, theirs, errors.fileno())
    os.close(theirs)
    return Forked(pid, os.fdopen(ours))


def begin_file(
    file: Path, *arguments: object, environment: dict[str, str] | None = None, errors: IO[Any] | None = None
) -> Forked:
    """Start a script in a file that is talked to by pipes; it complains where this process does, or in `errors`."""
    asked = _scripted_file(file, arguments)
    return _talking(asked | {"environment": environment or asked["environment"]}, errors.fileno() if errors else 2)


def talk_to_script(script: str, *arguments: object) -> Forked:
    """Start other Python than the command's that is talked to by pipes."""
    return _talking(_scripted(script, arguments), 2)


def _talking(asked: dict[str, Any], errors: int) -> Forked:
    heard, said = os.pipe()
    ours, theirs = os.pipe()
    pid = _start(asked, theirs, errors, heard)
    os.close(theirs)
    os.close(heard)
    return Forked(pid, os.fdopen(ours), os.fdopen(said, "w"))


def carried_out(arguments: list[str], environment: dict[str, str], seconds: float) -> tuple[int, str, str]:
    """The exit code of a command and what it wrote. Raises subprocess.TimeoutExpired."""
    return _ended({"arguments": arguments, "environment": environment}, seconds)


def begin_script(script: str, *arguments: object) -> Forked:
    """Start other Python than the command's, which imports what is loaded; it writes where this process does."""
    return Forked(_start(_scripted(script, arguments), 1, 2))


def said_by_script(script: str, *arguments: object, seconds: float = 90) -> str:
    """What other Python than the command's wrote. Raises subprocess.TimeoutExpired."""
    code, out, errors = _ended(_scripted(script, arguments), seconds)
    assert code == 0, errors
    return out


def ended_file(file: Path, *arguments: object, seconds: float = 90) -> tuple[int, str, str]:
    """The exit code of a script in a file, and what it wrote. Raises subprocess.TimeoutExpired."""
    return _ended(_scripted_file(file, arguments), seconds)


def _scripted_file(file: Path, arguments: tuple[object, ...]) -> dict[str, Any]:
    beside = f"import runpy, sys; sys.path.insert(0, {str(file.parent)!r})"
    return _scripted(f"{beside}; runpy.run_path({str(file)!r}, run_name='__main__')", arguments)


def _scripted(script: str, arguments: tuple[object, ...]) -> dict[str, Any]:
    return {"script": script, "arguments": [str(one) for one in arguments], "environment": dict(os.environ)}


def _ended(asked: dict[str, Any], seconds: float) -> tuple[int, str, str]:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        command = Forked(_start(asked, out.fileno(), errors.fileno()))
        try:
            code = command.wait(seconds)
        finally:
            command.kill()
            command.wait()
        for file in (out, errors):
            file.seek(0)
        return code, out.read(), errors.read()


def _start(asked: dict[str, Any], out: int, errors: int, heard: int | None = None) -> int:
    if heard is not None:
        return int(_loaded().ask({"directory": os.getcwd(), **asked}, [out, errors, heard]))
    with open(os.devnull) as nothing:
        return int(_loaded().ask({"directory": os.getcwd(), **asked}, [out, errors, nothing.fileno()]))


class _Loaded:
    """The process that others are forked from."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        atexit.register(self.close)

    def ask(self, asked: dict[str, Any], files: list[int] = []) -> Any:  # noqa: B006 - it is only read
        with self._lock:
            socket.send_fds(self._ours, [json.dumps(asked).encode()], files)
            return json.loads(self._ours.recv(LONGEST_REQUEST))

    def close(self) -> None:
        self._ours.close()
        self._process.wait()


def _loaded() -> _Loaded:
    with BEGINNING:  # commands may be begun by several threads
        return _made()


@functools.cache
def _made() -> _Loaded:
    return _Loaded()


def _forked(control: socket.socket) -> dict[str, Any]:
    """Answer what is asked; what a process that was forked is to do, in that process."""
    while True:
        message, files, _, _ = socket.recv_fds(control, LONGEST_REQUEST, 3)
        if not message:
            sys.exit()
        asked: dict[str, Any] = json.loads(message)
        if "ended" in asked:
            number, status = os.waitpid(asked["ended"], os.WNOHANG)
            control.send(json.dumps(os.waitstatus_to_exitcode(status) if number else None).encode())
        elif number := os.fork():
            control.send(json.dumps(number).encode())
            for file in files:
                os.close(file)
        else:
            control.close()
            for place, file in zip((1, 2, 0), files, strict=True):
                os.dup2(file, place)
                os.close(file)
            return asked


def _run(asked: dict[str, Any]) -> NoReturn:
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["directory"])
    time.tzset()
    sys.argv = ["rapport", *asked["arguments"]]
    if "script" in asked:
        exec(compile(asked["script"], "<script>", "exec"), {"__name__": "__main__"})
    else:
        main()
    sys.exit()


if __name__ == "__main__":
    gc.disable()  # until everything is loaded: all of it stays
    # For those that are forked: what the first migration of a process would load, and its first insert.
    import alembic.command  # noqa: F401
    import pandas  # noqa: F401

    import rapport.app
    import rapport.demo.run  # noqa: F401
    from rapport.cli import main

    assert threading.active_count() == 1, "a fork has no thread but its own; libraries make theirs anew"
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests are run by nohup, which ignores it
    _run(_forked(socket.socket(fileno=int(sys.argv[1]))))
