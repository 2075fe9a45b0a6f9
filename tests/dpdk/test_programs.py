#!/usr/bin/env python3
"""A real program on libpal-dpdk, and real clients of the kernel's: nc, curl, Python's sockets. TAP on standard output.

usage: test_programs.py ECHO WIRE

ECHO is examples/echo linked with libpal-dpdk; WIRE is as dpdk_lab.py says. Nothing is judged by the clock: deadlines
only end what hangs.
"""

import contextlib
import hashlib
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dpdk_lab  # noqa: E402
from dpdk_lab import bytes_of, lab, tap  # noqa: E402
from netstack_lab import PALIO, WAIT_S, exchange, must, receive  # noqa: E402

PORT = 7000

program = ""


class Server:
    """A running echo server. Use as a context; counts are what it says at its end."""

    def __init__(self, version, *arguments):
        settings = f"{dpdk_lab.DEVICES[dpdk_lab.wire]} ; {dpdk_lab.ADDRESSES} ; profile power"
        self.version = version
        self.process = subprocess.Popen([*dpdk_lab.inside(), program, "--bind", PALIO[version], str(PORT), *arguments],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env={**os.environ, "PALIO_DPDK": settings})
        self.connections = self.allocations = None

    def __enter__(self):
        line = self.process.stdout.readline() if select.select([self.process.stdout], [], [], WAIT_S)[0] else ""
        if not line.startswith("echo: dpdk on "):
            raise AssertionError(f"the server says {line!r} {self._kill()}")
        dpdk_lab.await_wire()
        return self

    def __exit__(self, kind, *_):
        if kind:
            print("# the server said: " + self._kill())
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            output, errors = self.process.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not end: {self._kill()}") from None
        must(self.process.returncode == 0, f"exit status {self.process.returncode}: {output}{errors}")
        match = re.search(r"echo: ended; (\d+) connections, (\d+) allocations", output)
        must(match, f"its last words are {output!r}")
        self.connections, self.allocations = map(int, match.groups())

    def _kill(self):
        self.process.kill()
        return " ".join(self.process.communicate())

    def client(self, kind=socket.SOCK_STREAM):
        """A connected socket of the kernel's, with deadlines."""
        sock = socket.socket(socket.AF_INET if self.version == 4 else socket.AF_INET6, kind)
        sock.settimeout(WAIT_S)
        sock.connect((PALIO[self.version], PORT))
        return sock


# ---- streams ----


@tap.case
def nc_gets_back_what_it_sends():
    tap.need("nc")
    for version in (4, 6):
        data = bytes_of(1 << 20, version)
        with Server(version):
            done = subprocess.run(["nc", "-N", "-w", str(WAIT_S), PALIO[version], str(PORT)], input=data,
                                  capture_output=True, timeout=WAIT_S)
            must(done.returncode == 0 and done.stdout == data, f"{len(done.stdout)} bytes, {done.stderr}")


@tap.case
def curl_reads_its_line_back():
    tap.need("curl")
    for version, host in ((4, PALIO[4]), (6, f"[{PALIO[6]}]")):
        with Server(version):
            with subprocess.Popen(["curl", "-sNg", "-m", str(WAIT_S), f"telnet://{host}:{PORT}"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE) as curl:
                curl.stdin.write(b"one line\n")
                curl.stdin.flush()
                answer = curl.stdout.readline() if select.select([curl.stdout], [], [], WAIT_S)[0] else b""
                curl.kill()
            must(answer == b"one line\n", f"another line: {answer}")


@tap.case
def bulk_goes_both_ways_and_comes_back_unchanged():
    for version in (4, 6):
        data = bytes_of(32 << 20, f"bulk {version}")
        with Server(version) as server, server.client() as sock:
            answer = exchange(sock, data)
            must(len(answer) == len(data), f"{len(answer)} bytes of {len(data)}")
            must(hashlib.sha256(answer).digest() == hashlib.sha256(data).digest(), "other bytes")


@tap.case
def many_connections_each_get_their_own_bytes():
    for version in (4, 6):
        with Server(version) as server, contextlib.ExitStack() as stack:
            socks = [stack.enter_context(server.client()) for _ in range(300)]
            for turn in range(3):
                for i, sock in enumerate(socks):
                    sock.sendall(struct.pack("!QQ", i, turn))
                for i, sock in enumerate(socks):
                    must(receive(sock, 16) == struct.pack("!QQ", i, turn), "bytes of another connection")
        must(server.connections == 300, f"{server.connections} connections counted")
        must(server.allocations == 0, f"{server.allocations} allocations since the start")


@tap.case
def connections_that_come_go_and_break_leave_the_server_well():
    with Server(4) as server:
        for i in range(300):
            with server.client() as sock:
                sock.sendall(b"read or not")
                if i % 3 == 1:
                    must(receive(sock, 11) == b"read or not", "another answer")
                if i % 2:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with server.client() as sock:
            must(exchange(sock, b"still here") == b"still here", "another answer")


@tap.case
def slow_reader_gets_all_in_order_while_another_is_served():
    data = bytes_of(16 << 20, "slow")
    with Server(4) as server, server.client() as slow, server.client() as other:
        thread = threading.Thread(target=lambda: (slow.sendall(data), slow.shutdown(socket.SHUT_WR)), daemon=True)
        thread.start()
        half = receive(slow, len(data) // 2)
        for i in range(200):
            other.sendall(struct.pack("!Q", i))
            must(receive(other, 8) == struct.pack("!Q", i), "another answer")
        answer = half + receive(slow, len(data) - len(half))
        thread.join(WAIT_S)
        must(answer == data, "bytes are missing or out of order")


# ---- datagrams ----


@tap.case
def datagrams_come_back():
    for version in (4, 6):
        with Server(version, "--udp") as server, server.client(socket.SOCK_DGRAM) as sock:
            for size in (1, 2, 64, 1024, lab.UNFRAGMENTED, *lab.sizes_that_pass(9000, 60000), 0, 64):
                data = bytes_of(size, size)
                sock.send(data)
                must(sock.recv(65536) == data, f"another answer to {size} bytes")
            for burst in range(20):
                numbers = [burst * 50 + i for i in range(50)]
                for number in numbers:
                    sock.send(struct.pack("!Q", number))
                answers = [struct.unpack("!Q", sock.recv(100))[0] for _ in numbers]
                must(answers == numbers, "missing, or out of order")
        must(server.allocations == 0, f"{server.allocations} allocations since the start")


def main():
    global program
    if len(sys.argv) != 3 or sys.argv[2] not in dpdk_lab.DEVICES:
        sys.exit(__doc__)
    program = sys.argv[1]
    return dpdk_lab.main(f"dpdk-programs-{sys.argv[2]}", sys.argv[2])


if __name__ == "__main__":
    sys.exit(main())
