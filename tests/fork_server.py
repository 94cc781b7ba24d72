"""`python` as a process of its own without the seconds that imports take: forked from a server that has made them.

`python tests/fork_server.py SOCKET PID` is the server, which lives as long as the process PID; `python
tests/fork_client.py` takes `-m MODULE`, `-c CODE` or a script, and arguments, as `python` does. The process has its own
environment, directory, standard streams, signals and exit code; killed, the client takes the process with it. Tests of
how an interpreter starts, and of what is imported, need `python` itself.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import runpy
import signal
import socket
import sys
import threading
import traceback
from typing import Any, NoReturn

import torch.distributed.run  # noqa: F401

import lossval_cli.cli.score
import lossval_cli.pipeline  # noqa: F401  (imported here, once)
from lossval_cli.__main__ import run

IDLE = 1.0
"""Seconds between two looks whether the process that this one lives with is still there."""


def serve(path: str, lives_with: int) -> None:
    """Accept calls until the process `lives_with` has gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who answer calls
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(IDLE)
        while is_running(lives_with):
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                listener.close()
                answer(connection)
            connection.close()
    os.unlink(path)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def answer(connection: socket.socket) -> NoReturn:
    """Start what a client asks for; send it the process id and, once it has ended, the exit code."""
    connection.settimeout(None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    request = bytearray()
    while len(request) < int.from_bytes(size):
        request += connection.recv(1 << 16)
    child = os.fork()
    if child == 0:
        connection.close()
        become(json.loads(request), streams)
    for stream in streams:
        os.close(stream)
    try:
        connection.sendall(child.to_bytes(8))
        threading.Thread(target=kill_without, args=(connection, child), daemon=True).start()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(code.to_bytes(8, signed=True))
    except BrokenPipeError:
        pass
    os._exit(0)


def kill_without(connection: socket.socket, child: int) -> None:
    """Kill a process whose client has been killed."""
    with contextlib.suppress(ConnectionResetError):
        connection.recv(1)
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        os.kill(child, signal.SIGKILL)


def become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be the process of the client, as far as the command can see."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # nohup, and a shell in the background, let the server ignore some
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  (as long as the process)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False, buffering=1 if os.isatty(1) else -1)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)  # noqa: SIM115
    try:
        execute(*request["arguments"])
        os._exit(finish(0))
    except SystemExit as end:
        os._exit(finish(end.code))
    except BaseException:  # noqa: BLE001  (never back into the server)
        traceback.print_exc()
        os._exit(finish(1))


def execute(first: str, *arguments: str) -> None:
    """Run what `python FIRST ARGUMENT...` would."""
    if first == "-c":
        sys.argv = [first, *arguments[1:]]
        sys.path.insert(0, "")
        exec(compile(arguments[0], "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m" and arguments[0] == "lossval_cli":
        sys.argv = ["lossval", *arguments[1:]]
        run()
    elif first == "-m":
        sys.argv = list(arguments)
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *arguments]
        sys.path.insert(0, os.path.dirname(os.path.abspath(first)))
        runpy.run_path(first, run_name="__main__")


def finish(code: str | int | None) -> int:
    """What an interpreter does at its end; the exit code."""
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
