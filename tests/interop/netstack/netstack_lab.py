"""Where the interop tests of the user-space stack take place: a network namespace, a wire, the host on it.

Linux's stack is at one end of the wire, netstack-host (tests/netstack/host.c) at the other. The wire is a tap device
that the host opens itself, or a port of DPDK (dpdk-host): its own tap device, or an end of a pair of virtual
interfaces, by AF_PACKET or AF_XDP. enter() makes the namespace, which ends with its last process.
"""

import contextlib
import ctypes
import fcntl
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
from tap import Skip, must, need  # noqa: E402  (it lies beside, in another folder of tests)

WAIT_S = 30  # for any one answer
INSIDE = "PALIO_INTEROP_INSIDE"
TAP = "ptap"  # the kernel's end of the wire
FAR_END = "pwire"  # where the wire is a pair of interfaces, the other
KERNEL = {4: "10.9.0.1", 6: "fd09::1"}
PALIO = {4: "10.9.0.2", 6: "fd09::2"}
FAR = {4: "10.8.0.2", 6: "fd08::2"}  # behind a router, for path MTU
ECHO, DISCARD, SOURCE, GROUP = 7, 9, 19, 5353
MIB = 1 << 20

MBUFS = "mbufs 8192 ; descriptors 512 ; hugepages auto"
WIRES = {
    "tap": ["--tap", TAP],
    "dpdk-tap": ["--dpdk", f"device net_tap0,iface={TAP} ; {MBUFS}"],
    "dpdk-tap-sleep": ["--dpdk", f"device net_tap0,iface={TAP} ; {MBUFS}", "--sleep", "yes"],
    "dpdk-packet": ["--dpdk", f"device net_af_packet0,iface={FAR_END},qdisc_bypass=1 ; {MBUFS}"],
    "dpdk-xdp": ["--dpdk", f"device net_af_xdp0,iface={FAR_END} ; {MBUFS}"],
}

PAIRS = ("dpdk-packet", "dpdk-xdp")  # a pair of interfaces
UNFRAGMENTED = 1452  # bytes of a datagram of either version that is one frame

program = ""  # netstack-host
wire = "tap"  # one of WIRES


def run(*command, check=True):
    """Runs a program: what it has written."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def set_sysctl(name, value):
    """Sets one of the namespace's; returns what it was."""
    with open("/proc/sys/net/" + name, encoding="ascii") as file:
        before = file.read().strip()
    with open("/proc/sys/net/" + name, "w", encoding="ascii") as file:
        file.write(str(value))
    return before


def pattern(size):
    """What the source sends (pattern_at of host_talk.c)."""
    period = bytes((place * 167 + (place >> 8)) & 255 for place in range(65521))
    return (period * (size // len(period) + 1))[:size]


def sizes_that_pass(*sizes):
    """Those that this wire carries: AF_PACKET as DPDK opens it has the kernel put fragments together, and cuts them."""
    return [size for size in sizes if wire != "dpdk-packet" or size <= UNFRAGMENTED]


# ---- the other side ----


class Host:
    """A running netstack-host. Use as a context; the counters are there when it has ended."""

    def __init__(self, *arguments, gateway=False):
        addrs = ["--addr", PALIO[4] + "/24", "--addr", PALIO[6] + "/64"]
        if gateway:
            addrs += ["--gateway", KERNEL[4], "--gateway", KERNEL[6]]
        self.process = subprocess.Popen([program, *WIRES[wire], *addrs, *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines, self.counters = [], {}

    def __enter__(self):
        must(self.line("ready"), "the host does not say that it is ready")
        self.await_wire()
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            output, errors = self.process.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            output, errors = self.process.communicate()
            must(kind, "the host does not end: " + output + errors)
        self.lines += output.split("\n")
        for word in " ".join(line for line in self.lines if line.startswith("counters:")).split()[1:]:
            name, _, value = word.partition("=")
            self.counters[name] = int(value)
        if kind:
            print("# the host said: " + " | ".join(self.lines) + errors)
        else:
            must(self.process.returncode == 0, f"status {self.process.returncode}: {self.lines} {errors}")

    def await_wire(self):
        """The kernel takes its time to see that a tap device of DPDK's has a carrier."""
        for _ in range(WAIT_S * 100):
            routes = subprocess.run(["ip", "-6", "route", "get", PALIO[6]], capture_output=True, text=True)
            if not wire.startswith("dpdk-tap") or f"dev {TAP}" in routes.stdout or self.process.poll() is not None:
                return
            time.sleep(0.01)
        raise AssertionError("the kernel's end of the wire has no carrier")

    def line(self, begin):
        """Waits for a line that begins so; None at the end."""
        for _ in range(10000):
            must(select.select([self.process.stdout], [], [], WAIT_S)[0], f"the host does not say {begin}")
            text = self.process.stdout.readline()
            if not text:
                return None
            self.lines.append(text.strip())
            if text.startswith(begin):
                return text.strip()
        return None

    def client(self):
        """What a client host says at its end: result, sent, received, crc."""
        match = re.fullmatch(r"client: (\w+) sent (\d+) received (\d+) crc ([0-9a-f]+)", self.line("client:") or "")
        must(match, f"no last words: {self.lines}")
        return match.group(1), int(match.group(2)), int(match.group(3)), match.group(4)


def server(*arguments, **more):
    return Host("--server", *arguments, **more)


def client(version, port, send, *arguments, to=None, **more):
    return Host("--connect", to or KERNEL[version], str(port), "--send", str(send), *arguments, **more)


def connect(version, port, receive_size=None, segment_size=None):
    """A socket of the kernel's connected to the host."""
    sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
    sock.settimeout(WAIT_S)
    if receive_size:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_size)
    if segment_size:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment_size)
    sock.connect((PALIO[version], port))
    return sock


@contextlib.contextmanager
def listening(version, serve):
    """A server of the kernel's for one connection, which serve(socket) handles in a thread: yields its port."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    listener = socket.socket(family)
    listener.settimeout(WAIT_S)
    listener.bind((KERNEL[version], 0))
    listener.listen()
    failures = []

    def work():
        try:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(WAIT_S)
                serve(sock)
        except Exception as reason:  # told in the case's own thread
            failures.append(reason)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    with listener:
        yield listener.getsockname()[1]
        thread.join(WAIT_S)
    if failures:
        raise failures[0]


def receive(sock, size):
    """So many bytes, or fewer at the end of the stream."""
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            break
        data += part
    return data


def read_all(sock):
    """To the end of the stream."""
    parts = []
    while True:
        part = sock.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def echo_all(sock):
    """Sends back whatever comes, and the end."""
    while True:
        part = sock.recv(65536)
        if not part:
            return
        sock.sendall(part)


def exchange(sock, data):
    """Sends data and closes that side while receiving to the end."""
    thread = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)), daemon=True)
    thread.start()
    answer = read_all(sock)
    thread.join(WAIT_S)
    return answer


def discard(sock, data):
    """To the discard server: it must have got all of it."""
    answer = exchange(sock, data).decode()
    must(answer == f"{len(data)} {zlib.crc32(data):08x}\n", f"sent {len(data)} {zlib.crc32(data):08x}, got {answer}")


def source(sock, size):
    """From the source: it must be the pattern."""
    sock.sendall(f"{size}\n".encode())
    data = read_all(sock)
    must(data == pattern(size), f"{len(data)} bytes of {size}, or wrong ones")


# ---- the namespace ----


def turn_off_checksums(name):
    """Has the kernel compute checksums on an interface whose other end cannot be told that they are missing."""
    data = bytearray(struct.pack("II", 0x17, 0))  # ETHTOOL_STXCSUM, off
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        address = (ctypes.c_char * len(data)).from_buffer(data)
        request = struct.pack("16sP16x", name.encode(), ctypes.addressof(address))
        fcntl.ioctl(sock, 0x8946, request)  # SIOCETHTOOL


def make_ends():
    """Both ends of the wire, or what the host makes its end of."""
    if wire == "tap":
        run("ip", "tuntap", "add", "dev", TAP, "mode", "tap")
    elif wire.startswith("dpdk-tap"):
        run("ip", "tuntap", "add", "dev", TAP, "mode", "tap", "multi_queue")
    else:
        run("ip", "link", "add", TAP, "type", "veth", "peer", "name", FAR_END)
        set_sysctl(f"ipv6/conf/{FAR_END}/disable_ipv6", 1)
        run("ip", "link", "set", FAR_END, "up")
        turn_off_checksums(TAP)


def make_wire():
    """The kernel's end of the wire."""
    set_sysctl("ipv6/conf/default/accept_dad", 0)  # its seconds are not what is tested
    set_sysctl("ipv6/conf/default/keep_addr_on_down", 1)  # where a port of DPDK ends its tap device goes down
    run("ip", "link", "set", "lo", "up")
    try:
        make_ends()
    except AssertionError as reason:
        facility = "veth" if wire in PAIRS else "tun"
        raise Skip(f"[{facility}] {' '.join(str(reason).split())}") from None
    run("ip", "addr", "add", KERNEL[4] + "/24", "dev", TAP)
    run("ip", "-6", "addr", "add", KERNEL[6] + "/64", "dev", TAP, "nodad")
    run("ip", "link", "set", TAP, "up")


@contextlib.contextmanager
def rules(*lines):
    """Packet filter rules on the tap device, both ways, as long as it lasts; {hook} stands for the chain."""
    text = f"table netdev palio {{\n chain in {{ type filter hook ingress device {TAP} priority 0;\n {lines[0]}\n }}\n"
    text += f" chain out {{ type filter hook egress device {TAP} priority 0;\n {lines[-1]}\n }}\n}}\n"
    need("nft")
    done = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True, timeout=WAIT_S)
    if done.returncode:
        raise Skip("[nft] " + " ".join(done.stderr.split())[:100])
    try:
        yield
    finally:
        run("nft", "delete", "table", "netdev", "palio")


def loss(per_mille):
    return rules(f"numgen random mod 1000 < {per_mille} drop")


def far_end():
    """What runs in the namespace behind the router: echo servers, until standard input ends."""
    set_sysctl("ipv6/conf/default/accept_dad", 0)
    print("in", flush=True)
    sys.stdin.readline()  # the interface is there
    run("ip", "link", "set", "lo", "up")
    run("ip", "addr", "add", FAR[4] + "/24", "dev", "far1")
    run("ip", "-6", "addr", "add", FAR[6] + "/64", "dev", "far1", "nodad")
    run("ip", "link", "set", "far1", "up")
    # It knows how narrow the way back is, and does not tell: what it announces is what its own link would take.
    run("ip", "route", "add", "default", "via", "10.8.0.1", "mtu", "1300", "advmss", "1460")
    run("ip", "-6", "route", "add", "default", "via", "fd08::1", "mtu", "1300", "advmss", "1440")
    listener = socket.create_server(("::", 5000), family=socket.AF_INET6, dualstack_ipv6=True)
    print("listening", flush=True)

    def accept():
        while True:
            sock, _ = listener.accept()
            with sock:
                echo_all(sock)

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


@contextlib.contextmanager
def router(mtu):
    """A way from the tap to FAR that is narrower than both ends know."""
    far = subprocess.Popen(["unshare", "--net", sys.executable, "-B", __file__], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
    try:
        must(far.stdout.readline() == "in\n", "the far end does not begin")
        made = subprocess.run(["ip", "link", "add", "far0", "type", "veth", "peer", "name", "far1", "netns",
                               str(far.pid)], capture_output=True, text=True)
        if made.returncode:
            raise Skip("[veth] " + " ".join(made.stderr.split()))
        run("ip", "addr", "add", "10.8.0.1/24", "dev", "far0")
        run("ip", "-6", "addr", "add", "fd08::1/64", "dev", "far0", "nodad")
        run("ip", "link", "set", "far0", "mtu", str(mtu), "up")
        set_sysctl("ipv4/ip_forward", 1)
        set_sysctl("ipv6/conf/all/forwarding", 1)
        if wire in PAIRS:  # or the kernel, which sees what arrives there too, sends it on
            set_sysctl(f"ipv4/conf/{FAR_END}/forwarding", 0)
        far.stdin.write("go\n")
        far.stdin.flush()
        must(far.stdout.readline() == "listening\n", "the far end does not listen")
        yield
    finally:
        far.stdin.close()
        far.wait(WAIT_S)
        run("ip", "link", "del", "far0", check=False)


def enter():
    """Sees to it that this process has a network namespace of its own, with a wire; runs it again if need be."""
    if INSIDE in os.environ:
        return make_wire()
    own = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    if not shutil.which("unshare"):
        raise Skip("[namespaces] no unshare")
    done = subprocess.run([*own, "true"], capture_output=True, text=True)
    if done.returncode:
        raise Skip("[namespaces] " + " ".join(done.stderr.split()))
    os.environ[INSIDE] = "1"
    os.execvp(own[0], [*own, sys.executable, "-B", *sys.argv])


if __name__ == "__main__":
    far_end()
