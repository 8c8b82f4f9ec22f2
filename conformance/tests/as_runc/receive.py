"""What stands at the other end of a runtime's sockets.

receive.py console SOCKET OUT   the terminal's master: writes to OUT what it is, then all that comes out of it
receive.py pidfd SOCKET OUT     a pidfd: writes to OUT the number of its process
receive.py notify SOCKET OUT    datagrams: a line each, numbers left out, until READY=1 and MAINPID have come
"""

import array
import os
import re
import socket
import sys

kind, path, out = sys.argv[1:]


def descriptor():
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen(1)
    connection, _ = server.accept()
    data, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4 * 8))
    numbers = array.array("i")
    for _, _, content in ancillary:
        numbers.frombytes(content[: len(content) // 4 * 4])
    return data, list(numbers)


def console(result):
    data, numbers = descriptor()
    name = os.path.basename(data.decode())
    result.write(f"{len(numbers)} descriptors, terminal {os.isatty(numbers[0])}, {name}\n")
    result.flush()
    while True:
        try:
            text = os.read(numbers[0], 4096)
        except OSError:
            return
        if not text:
            return
        result.write(text.decode().replace("\r\n", "^M\n"))
        result.flush()


def pidfd(result):
    _, numbers = descriptor()
    info = open(f"/proc/self/fdinfo/{numbers[0]}").read()
    result.write(re.search(r"^Pid:\s*(\d+)", info, re.M).group(1) + "\n")


def notify(result):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(path)
    server.settimeout(10)
    told = ""
    while "READY=1" not in told or "MAINPID" not in told:
        text = server.recv(4096).decode()
        told += text
        result.write(re.sub(r"\d{2,}", "N", text).rstrip("\n") + "\n")
        result.flush()


with open(out, "w") as result:
    {"console": console, "pidfd": pidfd, "notify": notify}[kind](result)
