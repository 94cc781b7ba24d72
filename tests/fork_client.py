"""`python` by way of the process of `fork_server.py`, whose socket LOSSVAL_FORK_SERVER names."""

import json
import os
import signal
import socket
import sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.environ["LOSSVAL_FORK_SERVER"])
    request = json.dumps(
        {"arguments": sys.argv[1:], "directory": os.getcwd(), "environment": dict(os.environ)}
    ).encode()
    socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(request)
    child = int.from_bytes(server.recv(8), "big")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(child, number))
    for stream in (0, 1, 2):  # whoever reads the other end of a pipe waits for the command alone
        os.close(stream)
    code = int.from_bytes(server.recv(8), "big", signed=True)
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
