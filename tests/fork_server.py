"""`lossval` as a process of its own without the seconds that imports take: forked from a server that has made them.

`python tests/fork_server.py SOCKET` is the server; `python tests/fork_client.py ARGUMENT...` behaves like
`lossval ARGUMENT...`, with its own arguments, environment, directory, standard streams, signals and exit code; killed,
it takes the process with it. Tests of how an interpreter starts need `python -m lossval_cli` itself.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys
import threading
import traceback
from typing import Any, NoReturn

import lossval_cli.cli.score
import lossval_cli.pipeline  # noqa: F401  (imported here, once)
from lossval_cli.__main__ import run

IDLE = 5.0
"""Seconds between two looks whether the process that started this one is still there."""


def serve(path: str) -> None:
    """Accept calls until the process that started this one has gone."""
    parent = os.getppid()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who answer calls
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(IDLE)
        while os.getppid() == parent:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                listener.close()
                answer(connection)
            connection.close()


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
    if connection.recv(1) == b"":
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
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  (as long as the process)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False, buffering=1 if os.isatty(1) else -1)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)  # noqa: SIM115
    sys.argv = ["lossval", *request["arguments"]]
    try:
        run()
    finally:  # never back into the server
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    serve(sys.argv[1])
