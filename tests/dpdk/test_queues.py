#!/usr/bin/env python3
"""A card of several queues, a thread and a stack each, against the kernel's sockets. TAP on standard output.

usage: test_queues.py QUEUES WIRE

QUEUES is tests/dpdk/queues.c, which says what its threads do; WIRE is as dpdk_lab.py says. Over veth the kernel spreads
the frames over the queues by a hash, over tap by the flows that it has seen. Wherever a frame comes in, the thread
whose socket it is for must have it. Nothing is judged by the clock: deadlines only end what hangs.
"""

import contextlib
import os
import re
import select
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dpdk_lab  # noqa: E402
from dpdk_lab import bytes_of, lab, tap  # noqa: E402
from netstack_lab import KERNEL, PALIO, WAIT_S, exchange, must, receive  # noqa: E402

THREADS = 3
SHARED, LATE, OWN, GROUP = 7, 8, 70, 90

program = ""


class Card:
    """The running program. Use as a context; threads and missing are what it says at its end."""

    def __init__(self):
        device = dpdk_lab.DEVICES[dpdk_lab.wire] + (f",qpairs={THREADS}" if dpdk_lab.wire == "veth" else "")
        settings = f"{device} ; queues {THREADS} ; {dpdk_lab.ADDRESSES} ; profile power"
        self.process = subprocess.Popen([*dpdk_lab.inside(), program, str(THREADS), PALIO[4], PALIO[6]], text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, "PALIO_DPDK": settings})
        self.threads, self.missing = {}, None

    def __enter__(self):
        line = self.process.stdout.readline() if select.select([self.process.stdout], [], [], WAIT_S)[0] else ""
        if line != "ready\n":
            self.process.kill()
            raise AssertionError(f"the program says {line!r} {self.process.communicate()}")
        dpdk_lab.await_wire()
        return self

    def __exit__(self, kind, *_):
        try:
            for number in reversed(range(THREADS)):
                must(not kind, "it is ended at once")
                command(number, "stop")
            output, errors = self.process.communicate(timeout=WAIT_S)
        except Exception:
            self.process.kill()
            print(f"# the program said: {self.process.communicate()}")
            if kind:
                return
            raise
        must(self.process.returncode == 0, f"exit status {self.process.returncode}: {output}{errors}")
        for number, words in re.findall(r"thread (\d): (.*)", output):
            self.threads[int(number)] = {key: int(value) for key, value in re.findall(r"(\w+) (\d+)", words)}
        self.missing = int(re.search(r"missing (\d+)", output).group(1))
        must(self.missing == 0, f"{self.missing} packet buffers did not come back")
        must(all(seen["lost"] == 0 for seen in self.threads.values()), f"frames were lost: {self.threads}")
        print(f"# {self.threads}")

    def total(self, name):
        return sum(seen[name] for seen in self.threads.values())


def client(port, version=4, kind=socket.SOCK_STREAM):
    sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind)
    sock.settimeout(WAIT_S)
    sock.connect((PALIO[version], port))
    return sock


def command(number, text):
    """Has a thread do something, and waits until it has."""
    with client(OWN + number, kind=socket.SOCK_DGRAM) as sock:
        sock.send(text.encode())
        must(sock.recv(100) == b"done", "another answer")


def talk(socks, turns=3):
    """Each gets its own bytes back, several times."""
    for turn in range(turns):
        for i, sock in enumerate(socks):
            sock.sendall(struct.pack("!QQ", i, turn))
        for i, sock in enumerate(socks):
            must(receive(sock, 16) == struct.pack("!QQ", i, turn), "bytes of another connection")


@tap.case
def every_thread_is_reached_at_its_own_port():
    for version in (4, 6):
        with Card() as card, contextlib.ExitStack() as stack:
            for number in range(THREADS):
                talk([stack.enter_context(client(OWN + number, version)) for _ in range(24)])
        must([card.threads[i]["accepted"] for i in range(THREADS)] == [24] * THREADS, f"accepted: {card.threads}")
        must(card.total("given") > 0 or dpdk_lab.wire == "tap", f"no frame came by another's queue: {card.threads}")


@tap.case
def bytes_stay_in_order_on_the_way_from_queue_to_queue():
    data = bytes_of(8 << 20, 5)
    with Card():
        for number in range(THREADS):
            with client(OWN + number) as sock:
                must(exchange(sock, data) == data, "other bytes")


@tap.case
def connections_to_a_shared_port_are_divided():
    with Card() as card, contextlib.ExitStack() as stack:
        talk([stack.enter_context(client(SHARED)) for _ in range(96)])
    must(card.total("accepted") == 96, f"accepted: {card.threads}")
    must(sum(seen["accepted"] > 0 for seen in card.threads.values()) > 1, f"one thread serves all: {card.threads}")


@tap.case
def a_thread_that_listens_later_takes_no_connection_from_another():
    with Card(), contextlib.ExitStack() as stack:
        command(THREADS - 1, "listen")
        first = [stack.enter_context(client(LATE)) for _ in range(32)]
        talk(first, 1)
        for number in range(THREADS - 1):
            command(number, "listen")
        talk(first)
        talk([stack.enter_context(client(LATE)) for _ in range(32)])
        talk(first)
        for sock in first:  # nor its end
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@tap.case
def datagrams_find_their_socket():
    for version in (4, 6):
        with Card(), contextlib.ExitStack() as stack:
            socks = [stack.enter_context(client(OWN + i % THREADS, version, socket.SOCK_DGRAM)) for i in range(48)]
            for size in (1, 1000, *lab.sizes_that_pass(4000, 20000)):
                for i, sock in enumerate(socks):
                    sock.send(bytes_of(size, i))
                    must(sock.recv(65536) == bytes_of(size, i), f"another answer to {size} bytes")


@tap.case
def connections_that_threads_open_get_their_answers():
    with socket.create_server((KERNEL[4], 0), backlog=200) as server, Card() as card:
        server.settimeout(WAIT_S)

        def echo(sock):
            with sock:
                while data := sock.recv(65536):
                    sock.sendall(data)

        def accept():
            for _ in range(32 * THREADS):
                threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        for number in range(THREADS):
            command(number, f"call {KERNEL[4]} {server.getsockname()[1]} 32")
        thread.join(WAIT_S)
    must(card.total("given") > 0, f"no frame came by another's queue: {card.threads}")


@tap.case
def a_closed_port_is_told_once():
    with Card():
        for port in range(2000, 2008):
            try:
                client(port).close()
                raise AssertionError("somebody listens there")
            except ConnectionRefusedError:
                pass
            with client(port, kind=socket.SOCK_DGRAM) as sock:
                try:
                    sock.send(b"who is there?")
                    sock.recv(100)
                    raise AssertionError("somebody answers")
                except ConnectionRefusedError:
                    pass


@tap.case
def an_echo_request_has_one_answer():
    with Card(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.settimeout(WAIT_S)
        for number in range(THREADS):
            client(OWN + number).close()  # by then all know their neighbour
        for number in range(20):
            body = struct.pack("!BBHHH", 8, 0, 0, 77, number)
            total = sum(struct.unpack("!HHHH", body))
            total = (total & 0xffff) + (total >> 16)
            sock.sendto(body[:2] + struct.pack("!H", 0xffff ^ total) + body[4:], (PALIO[4], 0))
        numbers = []
        while numbers[-1:] != [19]:
            packet = sock.recv(1000)
            if packet[20] == 0:
                numbers.append(struct.unpack("!H", packet[26:28])[0])
        must(numbers == list(range(20)), f"answers: {numbers}")


@tap.case
def a_group_is_heard_by_every_thread_that_has_joined():
    with Card(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((KERNEL[4], 0))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(KERNEL[4]))
        sock.settimeout(WAIT_S)
        for number in range(1, THREADS):
            command(number, "join")
        for i in range(20):
            sock.sendto(struct.pack("!Q", i), ("239.1.2.3", GROUP))
            answers = [sock.recv(100) for _ in range(1, THREADS)]
            must(answers == [struct.pack("!Q", i)] * (THREADS - 1), "another answer")


def main():
    global program
    if len(sys.argv) != 3 or sys.argv[2] not in dpdk_lab.DEVICES:
        sys.exit(__doc__)
    program = sys.argv[1]
    return dpdk_lab.main(f"dpdk-queues-{sys.argv[2]}", sys.argv[2])


if __name__ == "__main__":
    sys.exit(main())
