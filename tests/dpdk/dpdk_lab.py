"""Where programs on libpal-dpdk meet the kernel's sockets: namespaces, and a wire between.

The wire is "veth": a pair of virtual interfaces, of which the program has one in a network namespace of its own, by
AF_PACKET; or "tap": DPDK makes the interface. All of it is in namespaces that end with this process.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop", "netstack"))
import netstack_lab as lab  # noqa: E402  (it lies beside, in another folder of tests)
import tap  # noqa: E402  (netstack_lab knows where it lies)
from netstack_lab import FAR_END, PALIO, TAP, WAIT_S, must, run  # noqa: E402

RUN_S = 170  # for all cases
DEVICES = {"veth": f"device net_af_packet0,iface={FAR_END},qdisc_bypass=1", "tap": f"device net_tap0,iface={TAP}"}
ADDRESSES = f"address {PALIO[4]}/24 ; address {PALIO[6]}/64 ; {lab.MBUFS}"

wire = ""
_far = None  # a process that keeps the program's namespace


def inside():
    """What a command begins with that is to run where the program's end of the wire is."""
    return ["nsenter", f"--net=/proc/{_far.pid}/ns/net"] if _far else []


def await_wire():
    """The kernel takes its time to see that a tap device of DPDK's has a carrier."""
    for _ in range(WAIT_S * 100):
        if wire == "veth" or f"dev {TAP}" in run("ip", "-6", "route", "get", PALIO[6], check=False):
            return
        time.sleep(0.01)
    raise AssertionError("the kernel's end of the wire has no carrier")


def bytes_of(size, seed):
    """Bytes among which no piece can be missed, doubled or moved without notice."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def _begin_far_end():
    """The namespace of the program, with its end of the pair."""
    global _far
    _far = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo in; exec cat"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    must(_far.stdout.readline() == "in\n", "there is no namespace for the program")
    run("ip", "link", "set", FAR_END, "netns", str(_far.pid))
    run(*inside(), "sh", "-c", f"echo 1 >/proc/sys/net/ipv6/conf/{FAR_END}/disable_ipv6")
    run(*inside(), "ip", "link", "set", FAR_END, "up")


def main(suite, name):
    """Runs the cases with that wire: the exit status."""
    global wire
    wire = name
    lab.wire = "dpdk-packet" if wire == "veth" else "dpdk-tap"
    try:
        lab.enter()
    except tap.Skip as reason:
        print(f"1..1\nok 1 - {suite} # SKIP {reason}")
        return 0
    if wire == "veth":
        _begin_far_end()
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("Bail out! the cases take too long"))
    signal.alarm(RUN_S)
    try:
        return tap.main(suite)
    finally:
        if _far:
            _far.stdin.close()
            _far.wait(WAIT_S)
