#!/usr/bin/env python3
"""Two processes of one program on libpal-dpdk, each with a card of its own, and a wire of shared memory between them
(net_memif, without root and without huge pages).

usage: test_backend_pairs.py PROGRAM

PROGRAM is backend-pair: what it does stands at its head.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402  (it lies beside, in another folder of tests)
from tap import must  # noqa: E402

WAIT_S = 60
BYTES = 4 << 20
HERE, THERE = "10.0.0.1", "10.0.0.2"


class Wire:
    """A folder for the socket of memif, gone at the end; the side that waits for the other has to begin."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="palio-pairs-")
        self.path = self.folder + "/socket"
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def settings(self, begins, more):
        role, address = ("server", HERE) if begins else ("client", THERE)
        return (f"device net_memif0,role={role},socket={self.path},socket-abstract=no ; address {address}/24 ; "
                f"hugepages off ; mbufs 4096 ; descriptors 256 ; {more}")

    def start(self, begins, more, *words):
        environment = dict(os.environ, PALIO_DPDK=self.settings(begins, more))
        return Side(subprocess.Popen([sys.argv[1], *map(str, words)], stdin=subprocess.DEVNULL, env=environment,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))

    def await_socket(self, side):
        for _ in range(WAIT_S * 100):
            if os.path.exists(self.path) or side.process.poll() is not None:
                return
            time.sleep(0.01)


class Side:
    def __init__(self, process):
        self.process = process
        self.output = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def end(self):
        """What it has said; it must have ended well, and given every packet buffer back."""
        try:
            self.output += self.process.communicate(timeout=WAIT_S)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.output += self.process.communicate()[0]
            raise AssertionError(f"it does not end: {self.output}") from None
        must(self.process.returncode == 0, f"status {self.process.returncode}: {self.output}")
        must("missing 0\n" in self.output, f"packet buffers are missing: {self.output}")
        return self.output


def number(text, pattern):
    found = re.search(pattern, text)
    must(found is not None, f"no \"{pattern}\" in: {text}")
    return int(found.group(1))


def exchange(mode, threads, idle="idle block"):
    """TCP and UDP on each thread's queue, both ways."""
    more = f"queues {threads} ; {idle}"
    with Wire() as wire, wire.start(True, more, "serve", mode, threads, HERE) as server:
        wire.await_socket(server)
        with wire.start(False, more, "call", mode, threads, BYTES, HERE) as caller:
            said = caller.end()
        heard = server.end()
    must(said.count(f"exchanged {BYTES}\n") == threads, said)
    for queue in range(threads):
        for text in (said, heard):
            must(f"device net_memif0, queue {queue} of {threads}, " in text, f"no thread has queue {queue}: {text}")
    return said, heard


@tap.case
def one_thread_by_watch():
    exchange("watch", 1)


@tap.case
def one_thread_by_op():
    exchange("op", 1)


@tap.case
def one_thread_by_lease():
    exchange("lease", 1)


@tap.case
def two_threads_have_two_queues():
    exchange("watch", 2)
    exchange("op", 2)
    exchange("lease", 2)


@tap.case
def four_threads_that_back_off():
    exchange("watch", 4, "idle backoff 20")


@tap.case
def while_it_waits_for_the_other_it_sleeps():
    """With frames that a port does not take for want of a link, too."""
    with Wire() as wire, wire.start(True, "idle block", "serve", "watch", 1, HERE) as server:
        wire.await_socket(server)
        time.sleep(1)
        with wire.start(False, "idle block", "stop", 1, HERE) as caller:
            caller.end()
        heard = server.end()
    turns = number(heard, r"turns (\d+)")
    must(turns < 30000, f"it took {turns} turns in a second of nothing: {heard}")


@tap.case
def connections_come_and_go():
    with Wire() as wire, wire.start(True, "idle backoff 200", "serve", "watch", 1, HERE) as server:
        wire.await_socket(server)
        with wire.start(False, "idle backoff 200", "connect", 3000, HERE) as caller:
            said = caller.end()
        must("buffers 0 more, connections 0, half-open 0" in said, said)
        with wire.start(False, "idle block", "stop", 1, HERE) as caller:
            caller.end()
        heard = server.end()
    must("connections 0 half-open 0 sockets 0" in heard, heard)
    print("# " + said.split("\n", maxsplit=1)[0])


@tap.case
def what_a_thread_has_sent_arrives_though_it_ends():
    with Wire() as wire, wire.start(True, "idle block", "serve", "watch", 1, HERE) as server:
        wire.await_socket(server)
        with wire.start(False, "idle block", "leave", BYTES, HERE) as caller:
            caller.end()
        with wire.start(False, "idle block", "stop", 1, HERE) as caller:
            caller.end()
        heard = server.end()
    must(f"sank {BYTES}\n" in heard, heard)


@tap.case
def a_link_that_goes_down_is_told():
    with Wire() as wire, wire.start(True, "idle block", "link", THERE) as watcher:
        wire.await_socket(watcher)
        time.sleep(0.3)
        with wire.start(False, "idle block", "serve", "watch", 1, THERE):
            time.sleep(1)
        said = watcher.end()
    for state, link in (("down", "down"), ("up", "up"), ("down again", "down")):
        must(re.search(f"^{state}: .*link {link}$", said, re.MULTILINE) is not None, said)


@tap.case
def round_trips():
    with Wire() as wire, wire.start(True, "idle spin", "serve", "watch", 1, HERE) as server:
        wire.await_socket(server)
        with wire.start(False, "idle spin", "ping", 2000, HERE) as caller:
            said = caller.end()
        with wire.start(False, "idle block", "stop", 1, HERE) as caller:
            caller.end()
        server.end()
    print("# " + said.split("\n", maxsplit=1)[0])


if __name__ == "__main__":
    sys.exit(tap.main("dpdk-pairs"))
