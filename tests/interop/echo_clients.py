#!/usr/bin/env python3
"""The echo server and real clients: socat, nc, curl and Python's sockets. TAP on standard output; loopback only.

usage: echo_clients.py PROGRAM BACKEND

Each case starts a server of its own on a port of the system's choice and ends it by SIGTERM, which must be in good
order. Nothing is judged by the clock: deadlines only end what hangs. A client program that is missing is a skip.
"""

import contextlib
import hashlib
import os
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback

WAIT_S = 20  # for any one answer
RUN_S = 110  # for all cases
CASES = []

program, backend = "", ""


class Skip(Exception):
    """The case cannot run here: "[facility] reason"."""


def case(function):
    """Registers a case; it is reported by its name."""
    CASES.append(function)
    return function


def must(holds, what):
    """A word on what was expected when it does not hold; unlike assert not to be switched off."""
    if not holds:
        raise AssertionError(what)


# ---- the server ----


class Server:
    """A running echo server: addr is for connect(), counts are what it says at its end. Use as a context."""

    def __init__(self, *arguments, descriptors=None):
        def limit_descriptors():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.udp = "--udp" in arguments
        self.process = subprocess.Popen([program, "0", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=limit_descriptors)
        self.connections = self.allocations = None

    def __enter__(self):
        if not select.select([self.process.stdout], [], [], WAIT_S)[0]:
            self.kill()
            raise AssertionError("the server does not say where it listens")
        line = self.process.stdout.readline()
        match = re.fullmatch(rf"echo: {backend} on (\[::1\]|127\.0\.0\.1):(\d+)\n", line)
        if not match:
            raise AssertionError(f"the server says {line!r} {self.kill()}")
        self.host, self.port = match.group(1).strip("[]"), int(match.group(2))
        self.addr = (self.host, self.port)
        return self

    def __exit__(self, kind, *_):
        if kind:
            output = self.kill()
            if self.process.returncode != -signal.SIGKILL:
                print(f"# the server ended by itself, status {self.process.returncode}: {output}")
        elif self.process.returncode is None:
            self.stop()

    def stop(self, number=signal.SIGTERM):
        """Ends it in good order."""
        self.process.send_signal(number)
        try:
            output, errors = self.process.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server does not end at {signal.Signals(number).name}") from None
        must(self.process.returncode == 0, f"exit status {self.process.returncode}: {output}{errors}")
        match = re.fullmatch(r"echo: ended; (\d+) connections, (\d+) allocations since the start\n", output)
        must(match, f"its last words are {output!r}")
        self.connections, self.allocations = map(int, match.groups())

    def kill(self):
        """Ends it at once, and returns all that it has said."""
        self.process.kill()
        return " ".join(self.process.communicate())

    def client(self, receive_size=None, segment_size=None):
        """A connected socket with deadlines; the sizes make small what the kernel would buffer."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM if self.udp else socket.SOCK_STREAM)
        sock.settimeout(WAIT_S)
        if receive_size:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_size)
        if segment_size:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment_size)
        sock.connect(self.addr)
        return sock

    def is_asleep(self):
        """Whether it waits without waking up in between, seen often enough not to be chance."""
        seen = [self._sleep_count() for _ in range(200)]
        return None not in seen and len(set(seen)) == 1

    def _sleep_count(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            status = file.read()
        asleep = re.search(r"^State:\s+S", status, re.MULTILINE)
        return re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE).group(1) if asleep else None


def receive(sock, size):
    """Exactly so many bytes of a stream."""
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(min(size - len(data), 1 << 20))
        must(piece, f"the stream ends after {len(data)} of {size} bytes")
        data += piece
    return bytes(data)


def exchange(sock, message):
    """One message there and back."""
    sock.sendall(message)
    must(receive(sock, len(message)) == message, "the server changed a message")


def bytes_of(size, seed):
    """Bytes among which no piece can be missed, doubled or moved without notice."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def ask(command, data, keep_open=False):
    """What a client program prints for what it is given; with keep_open its input ends only after its answer."""
    if not shutil.which(command[0]):
        raise Skip(f"[{command[0]}] is not installed")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        answer = b""
        if keep_open:
            process.stdin.write(data)
            process.stdin.flush()
            while len(answer) < len(data) and select.select([process.stdout], [], [], WAIT_S)[0]:
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    break
                answer += piece
            return answer
        answer, errors = process.communicate(data, timeout=WAIT_S)
        must(process.returncode == 0, f"{command[0]}: status {process.returncode}: {errors.decode()}")
        return answer
    finally:
        process.kill()
        process.communicate()


def refused(*arguments):
    """Starts a server that cannot start: (exit status, standard error)."""
    done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=WAIT_S, check=False)
    return done.returncode, done.stderr


# ---- streams ----


@case
def socat_gets_back_what_it_sends():
    data = bytes_of(1 << 20, "socat")
    with Server() as server:
        must(ask(["socat", "-t", str(WAIT_S), "-", f"TCP:127.0.0.1:{server.port}"], data) == data, "other bytes")


@case
def nc_gets_back_what_it_sends():
    data = bytes_of(1 << 20, "nc")
    with Server() as server:
        must(ask(["nc", "-N", "-w", str(WAIT_S), "127.0.0.1", str(server.port)], data) == data, "other bytes")


@case
def curl_reads_its_line_back():
    with Server() as server:
        command = ["curl", "-sN", "-m", str(WAIT_S), f"telnet://127.0.0.1:{server.port}"]
        must(ask(command, b"one line\n", keep_open=True) == b"one line\n", "another line")


@case
def many_connections_each_get_their_own_bytes():
    with Server() as server:
        socks = [server.client() for _ in range(500)]
        for turn in range(3):
            for i, sock in enumerate(socks):
                sock.sendall(struct.pack("!QQ", i, turn))
            for i, sock in enumerate(socks):
                must(receive(sock, 16) == struct.pack("!QQ", i, turn), "bytes of another connection")
        for sock in socks:
            sock.close()
        server.stop()
        must(server.connections == 500, f"{server.connections} connections counted")


@case
def large_transfer_is_complete_both_ways():
    data = bytes_of(48 << 20, "large")
    with Server() as server, server.client() as sock:
        writer = threading.Thread(target=sock.sendall, args=[data], daemon=True)
        writer.start()
        answer = receive(sock, len(data))
        writer.join(WAIT_S)
        must(hashlib.sha256(answer).digest() == hashlib.sha256(data).digest(), "other bytes")


@case
def half_closed_connection_gets_the_rest_and_then_its_end():
    data = bytes_of(100000, "half")
    with Server() as server, server.client() as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        must(receive(sock, len(data)) == data, "other bytes")
        must(sock.recv(1) == b"", "more than was sent")


@case
def connections_that_come_go_and_break_leave_the_server_well():
    with Server() as server:
        for i in range(300):
            with server.client() as sock:
                if i % 3 == 0:
                    sock.sendall(b"not read")
                if i % 3 == 1:
                    exchange(sock, b"read")
                if i % 2:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with server.client() as sock:
            exchange(sock, b"still here")


@case
def sink_answers_nothing():
    with Server("--sink") as server, server.client() as sock:
        sock.sendall(bytes(4 << 20))
        sock.shutdown(socket.SHUT_WR)
        must(sock.recv(1) == b"", "an answer")


@case
def ipv6_is_served():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        raise Skip(f"[ipv6] {error.strerror}") from None
    with Server("--bind", "::1") as server, server.client() as sock:
        exchange(sock, bytes_of(1000, "six"))
    with Server("--bind", "::1", "--udp") as server, server.client() as sock:
        sock.send(b"six")
        must(sock.recv(100) == b"six", "another answer")


# ---- clients that do not read, and too many of them ----


def send_until_stalled(sock, data, probe):
    """Sends what fits while nothing is read; a stall is when many round trips of another client made no room."""
    sent, stalls = 0, 0
    sock.setblocking(False)
    while sent < len(data) and stalls < 100:
        try:
            sent += sock.send(data[sent:sent + (1 << 20)])
            stalls = 0
        except BlockingIOError:
            stalls += 1
            exchange(probe, b"someone else is served")
    sock.settimeout(WAIT_S)
    return sent


@case
def slow_reader_gets_all_in_order_while_another_is_served():
    data = memoryview(bytes_of(32 << 20, "slow"))
    with Server() as server, server.client() as slow, server.client() as other:
        sent = send_until_stalled(slow, data, other)
        must(sent > 1 << 18, f"it stalls after {sent} bytes already")  # how far buffers grow is the kernel's affair
        writer = threading.Thread(target=slow.sendall, args=[data[sent:]], daemon=True)
        writer.start()
        half = receive(slow, len(data) // 2)
        exchange(other, b"served in between")
        answer = half + receive(slow, len(data) - len(half))
        writer.join(WAIT_S)
        must(answer == data, "bytes are missing or out of order")
        exchange(other, b"served afterwards")


@case
def stalled_readers_who_leave_do_not_keep_others_waiting():
    """More clients who do not read than the server can hold remainders for, and more still who wait behind them."""
    piece = bytes(16384)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server())
        stalled = [stack.enter_context(server.client(4096, 536)) for _ in range(1100)]
        for sock in stalled:
            sock.setblocking(False)
        progress = True
        while progress:  # until none of them can send: each has left a remainder, or waits to be read
            progress = False
            for sock in stalled:
                with contextlib.suppress(BlockingIOError):
                    progress |= sock.send(piece) > 0
        waiting = [stack.enter_context(server.client()) for _ in range(1500)]
        for i, sock in enumerate(waiting):
            sock.sendall(struct.pack("!Q", i))
        for sock in stalled:
            sock.close()
        for i, sock in enumerate(waiting):
            must(receive(sock, 8) == struct.pack("!Q", i), "bytes of another connection")


@case
def exhausted_descriptors_delay_clients_but_lose_none():
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(descriptors=32))
        socks = [stack.enter_context(server.client()) for _ in range(80)]
        for i, sock in enumerate(socks):
            sock.sendall(struct.pack("!Q", i))
        exchange(socks[0], b"")
        asleep = any(server.is_asleep() for _ in range(1000))
        must(asleep, "the server spins while it has no descriptor left")
        for i, sock in enumerate(socks):
            must(receive(sock, 8) == struct.pack("!Q", i), "bytes of another connection")
            sock.close()


# ---- datagrams ----


@case
def datagrams_of_every_size_come_back():
    with Server("--udp") as server, server.client() as sock:
        for size in (1, 2, 64, 1472, 1473, 9000, 65507, 0, 64):
            data = bytes_of(size, size)
            sock.send(data)
            must(sock.recv(65536) == data, f"another answer to {size} bytes")


@case
def each_sender_gets_its_own_datagrams():
    with Server("--udp") as server:
        socks = [server.client() for _ in range(100)]
        for i, sock in enumerate(socks):
            sock.send(struct.pack("!Q", i))
        for i, sock in enumerate(socks):
            must(sock.recv(100) == struct.pack("!Q", i), "an answer to another sender")
            sock.close()


@case
def burst_of_datagrams_comes_back_complete_and_in_order():
    with Server("--udp") as server, server.client() as sock:
        for burst in range(50):
            numbers = [burst * 100 + i for i in range(100)]  # they fit in the smallest default buffer
            for number in numbers:
                sock.send(struct.pack("!Q", number))
            must([struct.unpack("!Q", sock.recv(100))[0] for _ in numbers] == numbers, "missing, or out of order")


@case
def socat_gets_its_datagram_back():
    with Server("--udp") as server:
        command = ["socat", "-", f"UDP:127.0.0.1:{server.port}"]
        must(ask(command, b"datagram\n", keep_open=True) == b"datagram\n", "another answer")


@case
def datagram_sink_answers_nothing():
    with Server("--udp", "--sink") as server, server.client() as sock:
        for _ in range(100):
            sock.send(b"nothing")
        server.stop()
        must(not select.select([sock], [], [], 0)[0] or sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
             "an answer")


# ---- start and end ----


@case
def signals_end_it_in_good_order_and_nothing_was_allocated():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Server() as server:
            socks = [server.client() for _ in range(20)]
            for sock in socks:
                exchange(sock, bytes_of(5000, "end"))
            server.stop(number)
            must(server.allocations == 0, f"{server.allocations} allocations since the start")
            for sock in socks:
                must(sock.recv(1) == b"", "the connection outlives the server")
                sock.close()


@case
def arguments_that_make_no_sense_are_answered_with_the_usage():
    for arguments in ([], ["0", "1"], ["--bind"], ["0", "--bind"], ["--frobnicate", "0"], ["-h"]):
        status, text = refused(*arguments)
        must(status == 2 and text.startswith("usage: echo"), f"{arguments}: status {status}: {text}")


@case
def values_that_make_no_sense_are_named():
    for arguments, value in ((["port"], "port"), (["65536"], "65536"), (["-1"], ""), ([""], ""), (["7x"], "7x"),
                             (["0", "--bind", "nowhere at all"], "nowhere at all")):
        status, text = refused(*arguments)
        must(status in (1, 2) and value in text, f"{arguments}: status {status}: {text}")


@case
def taken_port_is_told_with_operation_address_and_cause():
    for kind in ([], ["--udp"]):
        with Server(*kind) as server:
            status, text = refused(str(server.port), *kind)
            must(status == 1, f"status {status}")
            must(re.fullmatch(rf"echo: (bind to|listen on) 127\.0\.0\.1:{server.port}: .*EADDRINUSE.*\n", text), text)


@case
def address_of_another_machine_is_told_with_operation_address_and_cause():
    status, text = refused("--bind", "192.0.2.1", "0")  # TEST-NET-1 (RFC 5737)
    must(status == 1 and re.fullmatch(r"echo: bind to 192\.0\.2\.1(:0)?: .*EADDRNOTAVAIL.*\n", text), text)


# ---- the report ----


def run(number, function):
    """One line of TAP; true unless the case failed."""
    name = f"echo-{backend}/{function.__name__}"
    try:
        function()
    except Skip as reason:
        print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        return True
    except Exception:  # whatever it is, the cases after it are to run
        print(f"not ok {number} - {name}")
        print("# " + traceback.format_exc().strip().replace("\n", "\n# "), flush=True)
        return False
    print(f"ok {number} - {name}", flush=True)
    return True


def main():
    global program, backend
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, backend = sys.argv[1:]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("Bail out! the cases take too long"))
    signal.alarm(RUN_S)
    print(f"1..{len(CASES)}")
    results = [run(number, function) for number, function in enumerate(CASES, 1)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
