#!/usr/bin/env python3
"""Two processes with a stack and a port of DPDK each, and memory that they share: memif, vhost with virtio_user. TAP.

usage: test_two_hosts.py HOST

HOST is dpdk-host. Neither needs root; vhost needs huge pages, which root can make for a while.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402  (it lies beside, in another folder of tests)
from tap import Skip, must  # noqa: E402

WAIT_S = 60
BYTES = 8 << 20
HUGEPAGES = "/proc/sys/vm/nr_hugepages"
MORE = "mbufs 4096 ; descriptors 256"


class Host:
    """A running host; what it has said is there when it has ended."""

    def __init__(self, *arguments):
        self.output = ""
        self.process = subprocess.Popen([sys.argv[1], *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
        elif self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.wait()
        if kind:
            print("# the host said: " + self.output.replace("\n", " | "))
        else:
            must(self.process.returncode == 0, f"status {self.process.returncode}: {self.output}")

    def wait(self):
        try:
            self.output += self.process.communicate(timeout=WAIT_S)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.output += self.process.communicate()[0]
            raise AssertionError(f"it does not end: {self.output}") from None


def talk(server_device, client_device, socket_path):
    """The client's bytes must come back over both families: what both hosts have said."""
    with Host("--dpdk", f"{server_device} ; {MORE}", "--addr", "10.0.0.1/24", "--addr", "fd00::1/64",
              "--server") as server:
        for _ in range(WAIT_S * 100):
            if os.path.exists(socket_path) or server.process.poll() is not None:
                break
            time.sleep(0.01)
        said = []
        for address in ("10.0.0.1", "fd00::1"):
            with Host("--dpdk", f"{client_device} ; {MORE}", "--addr", "10.0.0.2/24", "--addr", "fd00::2/64",
                      "--connect", address, "7", "--send", str(BYTES), "--echo") as client:
                client.wait()
                said.append(client.output)
            must(f"client: ok sent {BYTES} received {BYTES}" in client.output, client.output)
    must("drop_checksum" not in server.output + "".join(said), f"checksums: {server.output} {said}")
    return server.output, said


class Folder:
    """A folder for the socket, gone at the end."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="palio-hosts-")
        return self.path + "/socket"

    def __exit__(self, *_):
        shutil.rmtree(self.path)


class Hugepages:
    """So many more, if this is root; what was there comes back."""

    def __init__(self, count):
        self.count = count

    def __enter__(self):
        try:
            with open(HUGEPAGES, encoding="ascii") as file:
                self.before = int(file.read())
            with open(HUGEPAGES, "w", encoding="ascii") as file:
                file.write(str(self.before + self.count))
        except OSError as reason:
            raise Skip(f"[set-hugepages] {reason}") from None

    def __exit__(self, *_):
        with open(HUGEPAGES, "w", encoding="ascii") as file:
            file.write(str(self.before))


def memif(path):
    return (f"device net_memif0,role=server,socket={path},socket-abstract=no",
            f"device net_memif0,role=client,socket={path},socket-abstract=no")


@tap.case
def memif_on_ordinary_memory():
    with Folder() as path:
        talk(*(device + " ; hugepages off" for device in memif(path)), path)


@tap.case
def memif_on_hugepages():
    with Hugepages(200), Folder() as path:
        talk(*(device + " ; hugepages on" for device in memif(path)), path)


@tap.case
def vhost_and_virtio_user():
    with Hugepages(200), Folder() as path:
        server, clients = talk(f"device net_vhost0,iface={path} ; hugepages on",
                               f"device net_virtio_user0,path={path} ; hugepages on", path)
        must("checksums" in server, server)
        print("# " + server.split("\n")[0] + "\n# " + clients[0].split("\n")[0])


def counter(said, name):
    """What a host has counted."""
    match = re.search(rf"^counters:.* {name}=(\d+)", said, re.MULTILINE)
    return int(match.group(1)) if match else 0


@tap.case
def segments_from_virtio_user_to_vhost():
    """vhost lets its guest send large frames uncut, which come in several buffers and go into a large one."""
    with Hugepages(200), Folder() as path:
        server, clients = talk(f"device net_vhost0,iface={path},tso=1 ; hugepages on",
                               f"device net_virtio_user0,path={path} ; hugepages on", path)
    must("segments of TCP: cut by the stack" in server, server)
    for said in clients:
        must("segments of TCP: cut by the card;" in said, said)
        frames, segments = counter(said, "eth_out"), counter(said, "tcp_out")
        print(f"# {segments} segments, {counter(said, 'tcp_tso')} large frames, {frames} frames in all")
        must(counter(said, "tcp_tso") > 100 and segments > BYTES // 1500 and frames * 2 < segments, said)
        must(counter(said, "tcp_retransmits") * 100 < segments, said)
    must(counter(server, "tcp_in") * 2 < sum(counter(said, "tcp_out") for said in clients), server)


if __name__ == "__main__":
    sys.exit(tap.main("dpdk-hosts"))
