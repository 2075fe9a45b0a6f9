#!/usr/bin/env python3
"""The user-space stack against Linux's own, over a wire, with real programs as clients. TAP on standard output.

usage: test_netstack_interop.py HOST [--wire NAME] [--only TEXT]

HOST is netstack-host (tests/netstack/host.c), for the wire "tap", or dpdk-host for one of the others of
netstack_lab.py. Everything happens in a network namespace of its own, which ends with this process; that takes root, or
user namespaces. Nothing is judged by the clock: deadlines only end what hangs.
"""

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib

import netstack_lab as lab
import tap  # netstack_lab knows where it lies
from netstack_lab import (DISCARD, ECHO, FAR, GROUP, MIB, PALIO, SOURCE, TAP, WAIT_S, Host, client, connect,
                          discard, echo_all, exchange, listening, loss, must, pattern, read_all, receive, router,
                          rules, run, server, set_sysctl, source)

RUN_S = 170  # for all cases

# ---- ICMP ----


@tap.case
def ping_is_answered():
    tap.need("ping")
    with server():
        for version in (4, 6):
            for size in lab.sizes_that_pass(0, 56, 1473, 8000, 60000):
                run("ping", f"-{version}", "-c", "3", "-i", "0.02", "-W", "5", "-s", str(size), PALIO[version])


# ---- TCP: the kernel connects ----


@tap.case
def small_messages_come_back():
    with server():
        for version in (4, 6):
            with connect(version, ECHO) as sock:
                for size in (1, 2, 100, 1459, 1461):
                    data = os.urandom(size)
                    sock.sendall(data)
                    must(receive(sock, size) == data, f"another answer to {size} bytes")


@tap.case
def bulk_to_palio():
    data = os.urandom(8 * MIB)
    with server():
        for version in (4, 6):
            with connect(version, DISCARD) as sock:
                discard(sock, data)


@tap.case
def bulk_from_palio():
    with server():
        for version in (4, 6):
            with connect(version, SOURCE) as sock:
                source(sock, 8 * MIB)


@tap.case
def bulk_both_ways_at_once():
    data = os.urandom(4 * MIB)
    with server():
        for version in (4, 6):
            with connect(version, ECHO) as sock:
                must(exchange(sock, data) == data, "other bytes came back")


@tap.case
def small_windows_on_either_side():
    data = os.urandom(MIB)
    with server("--rcvbuf", "4096", "--sndbuf", "4096"):
        for version in (4, 6):
            with connect(version, DISCARD) as sock:
                discard(sock, data)
            with connect(version, SOURCE, receive_size=2048) as sock:
                source(sock, 256 * 1024)


@tap.case
def large_windows():
    data = os.urandom(8 * MIB)
    with server("--rcvbuf", str(4 * MIB), "--sndbuf", str(4 * MIB)):
        with connect(4, DISCARD, receive_size=4 * MIB) as sock:
            discard(sock, data)
        with connect(6, SOURCE, receive_size=4 * MIB) as sock:
            source(sock, 8 * MIB)


@tap.case
def small_segments():
    with server():
        for version in (4, 6):
            with connect(version, ECHO, segment_size=300) as sock:
                data = os.urandom(200000)
                must(exchange(sock, data) == data, "other bytes came back")


@tap.case
def a_reader_that_pauses_stops_the_sender():
    with server():
        with connect(4, SOURCE, receive_size=4096) as sock:
            sock.sendall(f"{MIB}\n".encode())
            time.sleep(1.5)  # the window is shut, and probed
            must(read_all(sock) == pattern(MIB), "wrong bytes")


@tap.case
def many_connections_at_once():
    with server():
        socks = [connect(4 + index % 2 * 2, ECHO) for index in range(100)]
        for index, sock in enumerate(socks):
            sock.sendall(b"%d" % index * 100)
        for index, sock in enumerate(socks):
            expected = b"%d" % index * 100
            must(receive(sock, len(expected)) == expected, "another's answer")
            sock.close()


@tap.case
def kernel_options_in_all_combinations():
    data = os.urandom(300000)
    before = {name: set_sysctl("ipv4/tcp_" + name, 1) for name in ("timestamps", "sack", "window_scaling")}
    try:
        with server():
            for bits in range(8):
                for index, name in enumerate(before):
                    set_sysctl("ipv4/tcp_" + name, bits >> index & 1)
                with connect(4, ECHO) as sock:
                    must(exchange(sock, data) == data, f"other bytes came back, options {bits}")
    finally:
        for name, value in before.items():
            set_sysctl("ipv4/tcp_" + name, value)


@tap.case
def a_connection_to_a_closed_port_is_refused():
    with server():
        for version in (4, 6):
            try:
                connect(version, 4)
            except ConnectionRefusedError:
                continue
            raise AssertionError("not refused")


@tap.case
def reset_by_the_kernel_is_seen():
    with server() as host:
        sock = connect(4, ECHO)
        sock.sendall(b"x")
        must(sock.recv(1) == b"x", "no answer")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        must((host.line("talk") or "").endswith("ECONNRESET"), f"{host.lines}")


@tap.case
def half_close_by_the_kernel():
    with server():
        for version in (4, 6):
            with connect(version, SOURCE) as sock:
                sock.sendall(b"1000000\n")
                sock.shutdown(socket.SHUT_WR)
                must(read_all(sock) == pattern(1000000), "wrong bytes")


# ---- TCP: Palio connects ----


@tap.case
def palio_connects_and_gets_its_bytes_back():
    for version in (4, 6):
        with listening(version, echo_all) as port, client(version, port, 4 * MIB, "--echo") as host:
            must(host.client()[:3] == ("ok", 4 * MIB, 4 * MIB), f"{host.lines}")


@tap.case
def palio_half_closes():
    def serve(sock):
        data = read_all(sock)
        must(data == pattern(100000), "wrong bytes")
        sock.sendall(b"all")

    for version in (4, 6):
        with listening(version, serve) as port, client(version, port, 100000) as host:
            must(host.client() == ("ok", 100000, 3, f"{zlib.crc32(b'all'):08x}"), f"{host.lines}")


@tap.case
def palio_resets():
    def serve(sock):
        try:
            echo_all(sock)
        except ConnectionResetError:
            return
        raise AssertionError("the stream has an end")

    with listening(4, serve) as port, client(4, port, 1000, "--echo", "--reset", "--wait") as host:
        must(host.client()[0] == "ok", f"{host.lines}")


@tap.case
def palio_is_refused():
    for version in (4, 6):
        host = client(version, 4, 1)
        must((host.line("client:") or "").startswith("client: ECONNREFUSED"), f"{host.lines}")
        must(host.process.wait(WAIT_S) == 1, "another status")
        host.process.communicate()


# ---- losses, keepalive, path MTU ----


def bulk_with_loss(per_mille):
    data = os.urandom(2 * MIB)
    with loss(per_mille), server() as host:
        for version in (4, 6):
            with connect(version, DISCARD) as sock:
                discard(sock, data)
            with connect(version, SOURCE) as sock:
                source(sock, 2 * MIB)
    print(f"# {per_mille} per mille lost: {host.counters.get('tcp_retransmits', 0)} sent again, "
          f"{host.counters.get('tcp_rto', 0)} timeouts, {host.counters.get('tcp_recoveries', 0)} recoveries")
    return host.counters


@tap.case
def bulk_with_one_per_mille_lost():
    bulk_with_loss(1)


@tap.case
def bulk_with_one_per_cent_lost():
    counters = bulk_with_loss(10)
    must(counters.get("tcp_recoveries", 0) > 0, f"nothing was recovered: {counters}")


@tap.case
def small_messages_with_one_per_cent_lost():
    with loss(10), server(), connect(4, ECHO) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(2000):
            data = struct.pack("!I", number)
            sock.sendall(data)
            must(receive(sock, 4) == data, "another answer")


@tap.case
def keepalive_of_the_kernel_is_answered():
    with server():
        for version in (4, 6):
            with connect(version, ECHO) as sock:
                for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 1)):
                    sock.setsockopt(socket.IPPROTO_TCP, option, value)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                must(not select.select([sock], [], [], 3.5)[0], "the connection has ended")
                sock.sendall(b"alive")
                must(receive(sock, 5) == b"alive", "no answer")


@tap.case
def keepalive_of_palio_finds_out_that_the_peer_is_gone():
    with server("--keepalive", "1") as host, connect(4, ECHO) as sock:
        sock.sendall(b"x")
        must(sock.recv(1) == b"x", "no answer")
        with rules("drop"):
            must((host.line("talk") or "").endswith("ETIMEDOUT"), f"{host.lines}")


@tap.case
def path_mtu_is_found():
    with router(1300):
        for version in (4, 6):
            with client(version, 5000, MIB, "--echo", to=FAR[version], gateway=True) as host:
                must(host.client()[:3] == ("ok", MIB, MIB), f"{host.lines}")
            must(host.counters.get("tcp_pmtu_reduced", 0) > 0, f"nothing was reduced: {host.counters}")


# ---- UDP ----


def udp(version):
    sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    sock.settimeout(WAIT_S)
    return sock


@tap.case
def datagrams_of_all_sizes_come_back():
    with server():
        for version in (4, 6):
            with udp(version) as sock:
                sock.connect((PALIO[version], ECHO))
                for size in lab.sizes_that_pass(0, 1, 3, 1000, 1452, 1453, 1472, 1473, 5000, 20000, 65000):
                    data = os.urandom(size)
                    sock.send(data)
                    must(sock.recv(65536) == data, f"another answer to {size} bytes")


@tap.case
def a_datagram_to_a_closed_port_is_told():
    with server():
        for version in (4, 6):
            with udp(version) as sock:
                sock.connect((PALIO[version], 4))
                sock.send(b"nobody")
                try:
                    sock.recv(10)
                except ConnectionRefusedError:
                    continue
                raise AssertionError("an answer")


def group_socket(version):
    """A socket of the kernel's that sends to groups by the tap device."""
    sock = udp(version)
    index = socket.if_nametoindex(TAP)
    if version == 4:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4s4si", bytes(4), bytes(4), index))
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    return sock


@tap.case
def palio_hears_a_group():
    with server():
        for version, group in ((4, "239.9.9.9"), (6, "ff15::9")):
            with group_socket(version) as sock:
                sock.sendto(b"to all", (group, GROUP))
                data, sender = sock.recvfrom(100)
                must(data == b"to all" and sender[0] == PALIO[version], f"{data} from {sender}")


@tap.case
def palio_does_not_hear_other_groups():
    with server():
        for version, other, group in ((4, "239.9.9.8", "239.9.9.9"), (6, "ff15::8", "ff15::9")):
            with group_socket(version) as sock:
                sock.sendto(b"others", (other, GROUP))
                sock.sendto(b"mine", (group, GROUP))
                must(sock.recv(100) == b"mine", "it has heard another group")


@tap.case
def the_kernel_hears_a_group_of_palio():
    index = socket.if_nametoindex(TAP)
    for version, group in ((4, "239.9.9.7"), (6, "ff15::7")):
        with udp(version) as sock:
            sock.bind((group, 5000))
            if version == 4:
                request = struct.pack("4s4si", socket.inet_aton(group), bytes(4), index)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
            else:
                request = struct.pack("16si", socket.inet_pton(socket.AF_INET6, group), index)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            with Host("--group", group, "5000"):
                data, sender = sock.recvfrom(100)
                must(data == b"group hello" and sender[0] == PALIO[version], f"{data} from {sender}")


# ---- programs ----


@tap.case
def curl_fetches():
    tap.need("curl")
    with server():
        for version, name in ((4, PALIO[4]), (6, f"[{PALIO[6]}]")):
            for size in (0, 1, 100000, 3000000):
                done = subprocess.run(["curl", "-sS", "-m", str(WAIT_S), "-g", f"http://{name}/{size}"],
                                      capture_output=True)
                must(done.returncode == 0 and done.stdout == pattern(size), f"{size} bytes, {done.stderr}")
        urls = [f"http://{PALIO[4]}/{size}" for size in (10, 200000, 5)]  # over one connection
        done = subprocess.run(["curl", "-sS", "-v", "-m", str(WAIT_S), *urls], capture_output=True)
        must(done.stdout == pattern(10) + pattern(200000) + pattern(5), "other bytes")
        must(done.stderr.count(b"Re-using") + done.stderr.count(b"Reusing") == 2, f"{done.stderr}")
        done = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://{PALIO[4]}/none"],
                              capture_output=True, text=True, timeout=WAIT_S)
        must(done.stdout == "404", f"{done.stdout}")


def main():
    options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    if len(sys.argv) < 2 or len(sys.argv) % 2 or not set(options) <= {"--wire", "--only"}:
        sys.exit(__doc__)
    lab.program, lab.wire = sys.argv[1], options.get("--wire", "tap")
    suite = "netstack-interop" if lab.wire == "tap" else "interop-" + lab.wire
    try:
        lab.enter()
    except tap.Skip as reason:
        print(f"1..1\nok 1 - {suite} # SKIP {reason}")
        return 0
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("Bail out! the cases take too long"))
    signal.alarm(RUN_S)
    return tap.main(suite, options.get("--only", ""))


if __name__ == "__main__":
    sys.exit(main())
