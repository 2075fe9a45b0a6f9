#!/usr/bin/env python3
"""What TCP and UDP cost on the card's backend: round trips beside raw frames, throughput beside the kernel's with and
without losses, and 100,000 connections held.

usage: bench/dpdk/run.py [--build DIRECTORY] [--quick] [--realtime] [PART...]

  --build     the build to measure; build-bench by default, which is set up when it is not there
  --quick     one short run of each; the results file is left alone
  --realtime  both ends go before whatever else the machine does, which comes to a halt meanwhile
  PART        memif, ring, veth, bulk, held: these alone, and the results file is left alone

Needs root, two CPUs, and libdpdk: it makes two network namespaces with a pair of virtual interfaces between them, which
end with it, and loses packets by nftables. The ends of each conversation are pinned to a CPU each, and look again and
again, so the machine should do nothing else; runs of what is compared take turns. A whole run takes about four minutes
and writes bench/results/dpdk.txt. Exit status: 0 when every target is met, 1 when one is missed, 2 when it could not be
measured.
"""

import argparse
import contextlib
import datetime
import os
import platform
import re
import select
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "interop" / "netstack"))
import netstack_lab  # noqa: E402  (it lies in a folder of tests)

RESULTS = ROOT / "bench" / "results" / "dpdk.txt"
INSIDE = "PALIO_BENCH_INSIDE"
PATIENCE_S = 60  # for any one run
PROGRAMS = ("dpdk/dpdk-frames", "dpdk/dpdk-ring", "dpdk/dpdk-packet", "dpdk/talk-dpdk", "dpdk/talk-epoll", "dpdk_raw")
KERNEL, CARD, HOLE = "pkernel", "pcard", "phole"  # the ends of the pair, and a device that nothing is behind
SERVER, CLIENT = "10.80.0.1", "10.80.0.2"
FREE = {"pfree0": "10.81.0.1", "pfree1": "10.81.0.2"}  # another pair, as the kernel makes it: the second end is far
SERVER_CPU, CLIENT_CPU = 1, 0
SIZES = (64, 1024)
TARGETS = {"udp": 2.0, "tcp": 3.5}  # of raw frames, where both ends are ours
HELD = 100000
MANY = 10000
UNDER_WAY = 256  # as talk.c has it
MOST_SEGMENTS = 65535  # as the kernel has it
LOSSES = ((0, MOST_SEGMENTS), (0, 1), (1, 1), (10, 1))  # of 1,000 packets; and how many segments a packet may be


class Unmeasurable(Exception):
    """The figure could not be had; says why."""


def progress(text):
    print(text, file=sys.stderr, flush=True)


def run(*command, **options):
    """What a command that must succeed has written."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=600, check=False, **options)
    if done.returncode:
        raise Unmeasurable(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


# ---- both ends of a conversation ----


class End:
    """How one end is run: its command without its words, and its settings of the card."""

    realtime = False  # for all of them

    def __init__(self, command, settings=""):
        self.command = command
        self.settings = settings

    def start(self, *words):
        first = ["chrt", "--rr", "1"] if self.realtime else []
        command = ["setpriv", "--pdeathsig", "KILL", *first, *self.command, *words]
        environment = {**os.environ, "PALIO_DPDK": self.settings}
        return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, env=environment)


def last_words(end, who):
    """What it has said to its end, which must be a good one."""
    try:
        said = end.communicate(timeout=PATIENCE_S)[0]
    except subprocess.TimeoutExpired:
        raise Unmeasurable(f"the {who} does not end") from None
    if end.returncode:
        raise Unmeasurable(f"the {who} says: {said}")
    return said


def converse(server, server_words, client, client_words):
    """What the server and the client have said. The client has the server end."""
    ends = [server.start(*server_words)]
    try:
        first = ends[0].stdout.readline() if select.select([ends[0].stdout], [], [], PATIENCE_S)[0] else ""
        if "ready" not in first:
            raise Unmeasurable(f"the server says: {first}{last_words(ends[0], 'server')}")
        ends.append(client.start(*client_words))
        said = last_words(ends[1], "client")
        return first + last_words(ends[0], "server"), said
    finally:
        for end in ends:
            if end.poll() is None:
                end.kill()
                end.communicate()


def trips(said):
    """{(what, size): [(p50, p99, p99.9), ...]} in microseconds, of what a client has said."""
    found = {}
    for what, size, *values in re.findall(r"trips (\w+) (\d+): (\d+) (\d+) (\d+)", said):
        found.setdefault((what, int(size)), []).append(tuple(int(value) / 1000 for value in values))
    if not found:
        raise Unmeasurable(f"the client says: {said}")
    return found


def gather(into, found, name=None):
    """Adds what trips() found; under another name than what it is."""
    for (what, size), values in found.items():
        into.setdefault((name or what, size), []).extend(values)


def medians(values):
    """Of each column."""
    return tuple(statistics.median(column) for column in zip(*values))


# ---- wires ----


class Lab:
    """This process's namespace with the kernel's end of the pair, and another with the card's."""

    def __init__(self, build):
        self.folders = build / "bench" / "dpdk", build / "bench"
        self.far = None

    def __enter__(self):
        netstack_lab.set_sysctl("ipv6/conf/default/disable_ipv6", 1)
        run("ip", "link", "set", "lo", "up")
        run("ip", "tuntap", "add", "dev", HOLE, "mode", "tap")
        self.far = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo in; read _"], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
        if self.far.stdout.readline() != "in\n":
            raise Unmeasurable("no second network namespace")
        run("ip", "link", "add", KERNEL, "type", "veth", "peer", "name", CARD)
        for device in (KERNEL, CARD):  # the port is not told that a checksum is missing, or that a segment is many
            netstack_lab.turn_off_checksums(device)
        free, free_far = FREE
        run("ip", "link", "add", free, "type", "veth", "peer", "name", free_far)
        for device in (CARD, free_far):
            run("ip", "link", "set", device, "netns", self.far.pid)
            self.in_far("ip", "link", "set", device, "up")
        for device in (HOLE, KERNEL, free):
            run("ip", "link", "set", device, "up")
        run("ip", "addr", "add", SERVER + "/24", "dev", KERNEL)
        run("ip", "addr", "add", FREE[free] + "/24", "dev", free)
        self.in_far("ip", "addr", "add", FREE[free_far] + "/24", "dev", free_far)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.far.stdin.close()
        self.far.wait(PATIENCE_S)

    def _there(self):
        return ["nsenter", f"--net=/proc/{self.far.pid}/ns/net"]

    def in_far(self, *command):
        return run(*self._there(), *command)

    def program(self, name):
        return next(folder / name for folder in self.folders if (folder / name).is_file())

    def segments_at_once(self, most):
        """How many segments the kernel may hand to a device in one packet, which is cut up before it leaves; where such
        a packet is lost, all of them are."""
        run("ip", "link", "set", KERNEL, "gso_max_segs", most)
        self.in_far("ip", "link", "set", CARD, "gso_max_segs", most)

    @contextlib.contextmanager
    def far_address(self):
        """While it lasts the other namespace is an end of the kernel's as well."""
        self.in_far("ip", "addr", "add", CLIENT + "/24", "dev", CARD)
        try:
            yield
        finally:
            self.in_far("ip", "addr", "del", CLIENT + "/24", "dev", CARD)

    @contextlib.contextmanager
    def loss(self, per_mille):
        """Loses packets at the kernel's device, both ways. On the way out a packet goes to a device that nothing is
        behind, as the kernel's TCP would notice a drop in its own namespace."""
        verdicts = {"in": ("ingress", "drop"), "out": ("egress", f'fwd to "{HOLE}"')}
        chains = []
        for way, (hook, verdict) in verdicts.items():
            if per_mille:
                chains.append(f"chain {way} {{\ntype filter hook {hook} device {KERNEL} priority 0;\n"
                              f"numgen random mod 1000 < {per_mille} counter {verdict}\n}}\n")
        run("nft", "-f", "-", input=f"table netdev palio {{\n{''.join(chains)}}}\n")
        try:
            yield
        finally:
            run("nft", "delete", "table", "netdev", "palio")

    # Ends: each is pinned to a CPU.

    def memif(self, serves):
        role, address, cpu = ("server", SERVER, SERVER_CPU) if serves else ("client", CLIENT, CLIENT_CPU)
        return (f"device net_memif0,role={role},mac=02:50:00:00:00:0{address[-1]},socket=/tmp/palio-bench-{os.getpid()}"
                f" ; address {address}/24 ; cores {cpu} ; hugepages off ; profile latency")

    def packet(self):
        return (f"device net_af_packet0,iface={CARD},qdisc_bypass=1 ; address {CLIENT}/24 ; cores {CLIENT_CPU} ; "
                "hugepages off ; profile latency")

    def kernel_server(self):
        return End(["taskset", "-c", SERVER_CPU, self.program("talk-epoll"), "spin", "serve"])

    def kernel_client(self):
        return End([*self._there(), "taskset", "-c", CLIENT_CPU, self.program("talk-epoll"), "spin"])

    def card_client(self):
        return End([*self._there(), self.program("talk-dpdk"), "spin"], self.packet())

    def card_frames(self):
        return End([*self._there(), self.program("dpdk-frames"), "ask", self.packet()])

    def packet_server(self):
        return End(["taskset", "-c", SERVER_CPU, self.program("dpdk-packet")])


# ---- round trips where both ends are ours ----


def row(name, size, figures, base, target=None):
    """A line of a table, and whether its target is met."""
    p50, p99, p999 = figures
    ratio = p50 / base
    good = target is None or ratio <= target
    verdict = "" if target is None else f"  <= {target:.1f}  {'ok' if good else 'MISSED'}"
    return f"{name:<44}{size:>6}{p50:>9.2f}{p99:>9.2f}{p999:>9.2f}{ratio:>8.2f}{verdict}", good


def against_raw(wire, level, found, targets):
    """Lines of one wire."""
    for size in SIZES:
        base = medians(found["raw", size])[0]
        for what in ("raw", "udp", "tcp"):
            name = f"{wire}: raw frames" if what == "raw" else f"{wire}: {what} {level}"
            yield row(name, size, medians(found[what, size]), base, targets.get(what))


def memif_trips(lab, quick):
    found = {}
    count = 5000 if quick else 100000
    frames, talk = lab.program("dpdk-frames"), lab.program("talk-dpdk")
    specs = [f"{what}:{size}:1" for what in ("udp", "tcp") for size in SIZES]
    for turn in range(1 if quick else 5):
        progress(f"memif, run {turn + 1}")
        server, client = lab.memif(True), lab.memif(False)
        gather(found, trips(converse(End([frames, "answer", server]), [],
                                     End([frames, "ask", client]), [count, *SIZES])[1]))
        gather(found, trips(converse(End([talk, "spin", "serve"], server), ["echo", SERVER],
                                     End([talk, "spin", "ping"], client), [SERVER, count, *specs])[1]))
    yield from against_raw("memif, two processes", "by the seam", found, TARGETS)


def ring_trips(lab, quick):
    for threads, name, targets in (("two", "rings, two threads", TARGETS), ("one", "rings, one thread", {})):
        progress(name)
        end = End([lab.program("dpdk-ring"), threads]).start(1 if quick else 5, 5000 if quick else 100000, *SIZES)
        yield from against_raw(name, "by the stack", trips(last_words(end, "rings")), targets)
    progress("rings, bursts")
    yield run(lab.program("dpdk_raw")).strip(), True


# ---- the kernel at the other end ----


VETH_ROWS = {
    "raw": "raw frames: DPDK's port, packet socket",
    "ours udp": "udp: ours, kernel",
    "ours tcp": "tcp: ours, kernel",
    "ours many": f"tcp: ours, kernel; one of {MANY:,}",
    "kernel udp": "udp: kernel, kernel",
    "kernel tcp": "tcp: kernel, kernel",
    "kernel many": f"tcp: kernel, kernel; one of {MANY:,}",
}


def veth_trips(lab, quick):
    found = {name: [] for name in VETH_ROWS}
    size, count = SIZES[0], 2000 if quick else 30000

    def ping(client, spec):
        said = converse(lab.kernel_server(), ["echo", SERVER], client, ["ping", SERVER, count, spec])[1]
        return next(iter(trips(said).values()))

    for turn in range(1 if quick else 5):
        progress(f"veth, run {turn + 1}")
        found["raw"] += trips(converse(lab.packet_server(), [KERNEL], lab.card_frames(), [count, size])[1])["raw", size]
        for name, what, many in (("udp", "udp", 1), ("tcp", "tcp", 1), ("many", "tcp", MANY)):
            found["ours " + name] += ping(lab.card_client(), f"{what}:{size}:{many}")
            with lab.far_address():
                found["kernel " + name] += ping(lab.kernel_client(), f"{what}:{size}:{many}")
    median = {name: medians(values) for name, values in found.items()}
    for name, text in VETH_ROWS.items():
        yield row(text, size, median[name], median["raw"][0])
    ours, kernel = (median[who + " many"][0] / median[who + " tcp"][0] for who in ("ours", "kernel"))
    yield "", True
    yield f"tcp, one of {MANY:,} against the only one: ours {ours:.2f} (aimed at: 1.25), kernel {kernel:.2f}", True
    yield f"tcp, ours against kernel and kernel: {median['ours tcp'][0] / median['kernel tcp'][0]:.2f}", True


# ---- throughput ----


def gigabits(lab, client, what, milliseconds, address=SERVER):
    said = converse(lab.kernel_server(), ["sink" if what == "push" else "source", address], client,
                    [what, address, milliseconds])[1]
    match = re.search(r"bulk (\d+) ns (\d+)", said)
    if not match:
        raise Unmeasurable(f"the client says: {said}")
    return int(match.group(1)) * 8 / int(match.group(2))


def spread(rates):
    return f"{min(rates):.2f}-{max(rates):.2f}"


def throughput(lab, quick):
    milliseconds, runs = (200, 1) if quick else (1000, 3)
    for per_mille, most in LOSSES:
        lab.segments_at_once(most)
        for what, direction in (("push", "to the kernel"), ("pull", "from it")):
            ours, kernels, free = [], [], []
            for turn in range(runs):
                progress(f"{per_mille / 10} % lost, {direction}, run {turn + 1}")
                with lab.loss(per_mille):
                    ours.append(gigabits(lab, lab.card_client(), what, milliseconds))
                    with lab.far_address():
                        kernels.append(gigabits(lab, lab.kernel_client(), what, milliseconds))
                if most > 1:
                    free.append(gigabits(lab, lab.kernel_client(), what, milliseconds, FREE["pfree0"]))
            median, kernel = statistics.median(ours), statistics.median(kernels)
            more = f"{statistics.median(free):>10.3f}" if free else ""
            yield (f"{per_mille / 10} %   {'many' if most > 1 else 'one':<9}{direction:<15}{median:>8.3f}"
                   f"{spread(ours):>14}{kernel:>10.3f}{spread(kernels):>14}{median / kernel:>8.2f}{more}"), True
    lab.segments_at_once(MOST_SEGMENTS)


# ---- many connections ----


def states(said):
    """{when: {name: number}} of what a process has said of itself."""
    found = {}
    for when, rest in re.findall(r"state (\w+) (.*)", said):
        words = rest.split()
        found[when] = dict(zip(words[::2], map(int, words[1::2])))
    return found


def held_by(name, said, count):
    """Lines of one process; the second says whether nothing is left over."""
    seen = states(said)
    ready, full, closed, end = (seen[when] for when in ("ready", "open", "closed", "end"))
    missing = int(re.search(r"missing (\d+)", said).group(1))
    good = missing == 0 and full["connections"] >= count and closed["connections"] + end["allocations"] == 0
    each = (full["resident"] - ready["resident"]) * 1024 / count
    yield (f"{name}: resident {ready['resident'] / 1024:.0f} MiB before, {full['resident'] / 1024:.0f} with all of "
           f"them, {each:.0f} bytes a connection"), True
    yield (f"{'':<8}connections {full['connections']:,}, after closing {closed['connections']:,}; packet buffers in "
           f"use {ready['buffers']}, {full['buffers']}, after closing {closed['buffers']};"), True
    yield (f"{'':<8}missing when the card has stopped: {missing}; allocations since the start: {end['allocations']}  "
           f"{'ok' if good else 'MISSED'}"), good


def held(lab, quick):
    count = HELD // 10 if quick else HELD
    progress(f"{count:,} connections")
    talk = lab.program("talk-dpdk")
    server, client = converse(
        End([talk, "spin", "serve"], lab.memif(True)), ["echo", SERVER], End([talk, "spin", "ping"], lab.memif(False)),
        [SERVER, 5000 if quick else 200000, "tcp:64:1", f"tcp:64:{count}"])
    one, many = trips(client)["tcp", 64]
    yield row("tcp: one connection", 64, one, one[0])
    yield row(f"tcp: a random one of {count:,}", 64, many, one[0])
    yield "", True
    for what, done in (("open", "opened"), ("close", "closed")):
        took_ns = int(re.search(rf"{what} {count} ns (\d+)", client).group(1))
        yield f"{done} in {took_ns / 1e6:.0f} ms: {took_ns / 1000 / count:.1f} us each, {UNDER_WAY} under way", True
    yield from held_by("client", client, count)
    yield from held_by("server", server, count)


# ---- all of it ----

TRIPS_WORDS = """\
Round trips in microseconds: p50, p99 and p99.9 (median of five runs), and the ratio of p50 to that of raw frames in the
same runs. Each end has a CPU of its own and looks again and again. raw frames: DPDK's bursts on the same port and
nothing else, as long as a datagram of the message.
"""
RING_WORDS = """\
The same over rings in one process, by the calls of the stack, as a process has one card behind the seam. one thread: it
serves both ends in turns, so there is no way between two CPUs, and half a trip is what a packet costs both ends.
"""
VETH_WORDS = """\
The same over a pair of virtual interfaces: at one end DPDK's AF_PACKET port with our stack, or the kernel, at the other
end the kernel, in another namespace. raw frames: DPDK's bursts there, a packet socket here. No targets; of raw frames
TCP is aimed at 2.0. On one of many connections the next message takes no ACK along: ours sends that behind it, a frame
more for the sender's CPU, which receives it for the peer as well; the kernel puts it off. Both have colder memory.
"""
BULK_WORDS = """\
Throughput over that pair in Gbit/s, median and range of three runs of a second: our stack and the kernel, beside the
kernel and itself. Both directions lose. at once: how many segments the kernel hands to a device in one packet, which is
cut up before it leaves; where packets are lost it is one. free: the kernel and itself over a pair that cuts nothing up.
Congestion control is NewReno. What such a pair sends is received on the sender's CPU, frame by frame: where we send,
four fifths of that CPU's time pass in sendto, two thirds with the peer's receiving.
"""
HELD_WORDS = """\
Connections held between two processes over memif, all of them watched: round trips meanwhile, on a random one of them;
what they take.
"""
TRIPS_HEAD = f"{'':<44}{'bytes':>6}{'p50':>9}{'p99':>9}{'p99.9':>9}{'ratio':>8}"
BULK_HEAD = (f"{'lost':<8}{'at once':<9}{'direction':<15}{'ours':>8}{'':>14}{'kernel':>10}{'':>14}{'ratio':>8}"
             f"{'free':>10}")
CAUSE = """\
Why MISSED: raw frames are the way between two CPUs and nothing else, which is short at times and long at others, by
where the machine has its CPUs. What the stack adds is work besides, which is not shorter where the way is: the rows of
one thread show how much. Both ends find a frame half a turn late (a turn that finds nothing takes about 0.07 us, a
quarter of it to read the clock). Of a large message raw frames over rings pass a pointer on; the stack copies it in,
sums it, and copies it out on another CPU.
"""
PARTS = {  # words, head of the table, what measures, and what is said of targets that are missed
    "memif": (TRIPS_WORDS, TRIPS_HEAD + "  target", memif_trips, CAUSE),
    "ring": (RING_WORDS, TRIPS_HEAD + "  target", ring_trips, CAUSE),
    "veth": (VETH_WORDS, TRIPS_HEAD, veth_trips, ""),
    "bulk": (BULK_WORDS, BULK_HEAD, throughput, ""),
    "held": (HELD_WORDS, TRIPS_HEAD, held, ""),
}


def enter():
    """Sees to it that this process has a network namespace of its own; runs it again if need be."""
    if INSIDE in os.environ:
        return
    if os.geteuid() != 0 or (os.cpu_count() or 1) < 2:
        raise Unmeasurable("needs root, and two CPUs")
    for program in ("unshare", "nsenter", "setpriv", "taskset", "chrt", "ip", "nft"):
        if not shutil.which(program):
            raise Unmeasurable(f"there is no {program}: scripts/deps installs it")
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, "-B", *sys.argv])


def cpu_name():
    match = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return match.group(1) if match else "CPU"


def measure(build, quick, parts):
    """The report, and whether every target is met."""
    compiler = run("gcc", "--version").split("\n")[0]
    dpdk = run("pkg-config", "--modversion", "libdpdk").strip()
    lines = [f"{datetime.date.today()}, Linux {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs "
             f"({cpu_name()}), DPDK {dpdk}, ordinary memory,",
             f"{compiler}, -O2. bench/dpdk/run.py{' --realtime' if End.realtime else ''}", ""]
    all_good, causes = True, []
    with Lab(build) as lab:
        for name in parts:
            words, head, function, cause = PARTS[name]
            lines += [words, head, ""]
            for line, good in function(lab, quick):
                lines.append(line.rstrip())
                all_good &= good
                if not good and cause and cause not in causes:
                    causes.append(cause)
            lines += ["", ""]
    lines += causes
    return "\n".join(lines).rstrip() + "\n", all_good


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("--build", type=Path, default=ROOT / "build-bench")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("parts", nargs="*", metavar="PART")
    options = parser.parse_args()
    if not PARTS.keys() >= set(options.parts):
        parser.error(f"the parts are {', '.join(PARTS)}")
    build = options.build.absolute()
    End.realtime = options.realtime
    try:
        enter()
        if not (build / "build.ninja").exists():
            run("meson", "setup", "--buildtype=debugoptimized", "-Dtest_framework=small", build, ROOT)
        run("ninja", "-C", build, *(f"bench/{name}" for name in PROGRAMS))
        report, good = measure(build, options.quick, options.parts or PARTS)
    except (Unmeasurable, OSError, subprocess.TimeoutExpired) as why:
        print(f"bench/dpdk/run.py: {why}", file=sys.stderr)
        return 2
    print(report, end="")
    if not options.quick and not options.parts:
        RESULTS.write_text(report)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
