"""The script runner must not be able to pass everything: scripts that are wrong, and stacks that would be, and what it
has to say of each.

usage: self_test.py PACKETS FOLDER    the program, and tests/packets/selftest with the scripts that fail on purpose
"""

import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402  (it lies beside, in another folder of tests)

PROGRAM, FOLDER = sys.argv[1:3]

# What a script does, and the words that its failure must have.
WRONG = {
    "flags": ("established c\n> DATA 10\n< FIN-ACK", r"flags are ACK, not FIN-ACK"),
    "sequence": ("established c\nwrite c 10\n< PSH-ACK seq 2 data 10", r"seq is 1, not 2"),
    "window": ("established c\n> DATA 10\n< ACK win 1", r"win is \d+, not 1"),
    "size": ("established c\nwrite c 10\n< PSH-ACK 11", r"10 bytes of payload, not 11"),
    "contents": ("established c\nwrite c 10\n< PSH-ACK 10 data 10@1", r"byte 0 of the payload is"),
    "option_missing": ("s = socket tcp\nconnect s peer:80\n< SYN <kind 200>", r"no option kind"),
    "option_value": ("s = socket tcp\nconnect s peer:80\n< SYN <mss 1>", r"option mss differs"),
    "option_too_many": ("s = socket tcp\nconnect s peer:80\n< SYN <only mss 1460>", r"there is an option"),
    "option_unwanted": ("s = socket tcp\nconnect s peer:80\n< SYN <no mss>", r"there is an option mss"),
    "kind": ("established c\n> DATA 10\n< udp us:1 -> peer:2", r"it is tcp, not udp"),
    "flow": ("established a\nestablished b\n> a: DATA 10\n< b: ACK", r"not of flow b"),
    "too_early": ("established c\n> DATA 10\n+1ms < ACK", r"it left at 0\.010000, not at"),
    "too_late": ("s = socket tcp\nconnect s peer:80\n< SYN\n+900ms < SYN", r"came:    nothing until 0\.900020"),
    "never": ("established c\n< ACK", r"came:    nothing"),
    "left_over": ("established c\n> DATA 10", r"has sent what nobody expects"),
    "between": ("established c\n> DATA 10\n> DATA 10", r"has sent what nobody expects"),
    "port": ("s = socket udp\nbind s us:7\nsendto s peer:9 1\n< udp us:8 -> peer:9", r"sport is 7, not 8"),
    "quote_size": ("> udp peer:5 -> us:9 data 20\n< icmp unreachable port quoting last 20", r"quotes 48 bytes, not 20"),
    "answer_left_over": ("> udp peer:5 -> us:9 data 20\n> udp peer:6 -> us:9 data 20", r"has sent what nobody expects"),
    "read": ("established c\n> DATA 10 data 10@7\n< ACK\nread c 10", r"byte 0 of the stream is"),
    "result": ("established c\nread c 10", r"result:  EAGAIN, not 10"),
    "error": ("established c\nread c -> ECONNRESET", r"result:  EAGAIN, not ECONNRESET"),
    "readiness": ("established c\nready c IN", r"ready: +OUT"),
    "counter": ("established c\ncounter tcp_in +1", r"counter tcp_in: \+2, not \+1"),
    "usage": ("established c\nusage tcp 1", r"usage:   tcp 2, not 1"),
    "state": ("established c\ntcb c state CLOSING", r"state: ESTABLISHED, not CLOSING"),
    "leak": ("pretend leak", r"has not given back 1 frames of eth0"),
    "unknown_statement": ("frobnicate c", r"no statement begins with \"frobnicate\""),
    "unknown_field": ("> udp peer:1 -> us:1 frob 1", r"what is \"frob\" here"),
    "unknown_socket": ("read c 1", r"no socket is called c"),
    "unclosed": ("repeat 3 {\nnothing", r"a block does not end"),
    "past": ("+1s\nat 500ms", r"in the past"),
}

# Frames that no stack may send, whatever the script says.
MALFORMED = {
    "ip_checksum": ("udp us:7 -> peer:9 data 10 ip-checksum bad", "header checksum"),
    "udp_checksum": ("udp us:7 -> peer:9 data 10 checksum bad", "UDP's checksum is wrong"),
    "udp_no_checksum": ("udp us:7 -> peer:9 data 10 checksum zero", "checksum is zero"),
    "udp_length": ("udp us:7 -> peer:9 data 10 udp-len 17", "UDP's length"),
    "tcp_checksum": ("v: ACK src us dst peer sport 80 dport 4000 checksum bad", "TCP's checksum"),
    "tcp_offset": ("v: ACK src us dst peer sport 80 dport 4000 doff 4", "data offset"),
    "tcp_reserved": ("v: ACK src us dst peer sport 80 dport 4000 reserved 1", "reserved bits"),
    "tcp_padding": ("v: ACK src us dst peer sport 80 dport 4000 <hex 00010101>", "are not zero"),
    "tcp_option": ("v: ACK src us dst peer sport 80 dport 4000 <hex 02090101>", "option's length"),
    "icmp_checksum": ("icmp echo-request us -> peer id 1 data 8 checksum bad", "ICMP's checksum"),
    "too_large": ("udp us:7 -> peer:9 data 1473", "larger than the MTU"),
    "too_short": ("udp us:7 -> peer:9 data 1 cut 50", "version or lengths|shorter than 60"),
    "padding": ("udp us:7 -> peer:9 data 1 byte 59 1", "no padding"),
    "ttl": ("udp us:7 -> peer:9 data 1 ttl 0", "TTL is 0"),
    "source_mac": ("udp us:7 -> peer:9 data 1 eth-src mac.9", "not our MAC"),
    "group_mac": ("udp us:7 -> group.1:9 data 1 eth-dst mac.9", "not the MAC of the group"),
    "loopback": ("udp 127.0.0.1:7 -> peer:9 data 1 eth-src mac.1", "127/8"),
    "arp": ("arp request peer from us htype 2", "fixed fields"),
    "nd": ("ns 2001:db8::2 2001:db8::1 -> 2001:db8::2 ttl 64", "hop limit"),
    "igmp": ("report to-ex group.1 src us ttl 2 eth-src mac.1", "TTL that is not 1"),
    "window": ("c: ACK src us dst peer sport 80 dport 40000 seq =1 ack =7000001 win 10", "window went back by"),
}


def run(*arguments):
    """What the program says and its exit status."""
    done = subprocess.run([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=60)
    return done.stdout, done.returncode


def run_text(text):
    """The same for a script that is this text."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "script.pkt")
        with open(path, "w", encoding="ascii") as file:
            file.write("# A script of the self-test.\nrows: a.b\n" + text + "\n")
        return run(path)


def must_fail(name, text, words):
    """It fails, once, and says why."""
    output, status = run_text(text)
    tap.must(status == 1 and output.startswith("not ok 1 - "), f"{name}: passes, or does not end in order:\n{output}")
    tap.must(re.search(words, output), f"{name}: does not say \"{words}\":\n{output}")
    tap.must("# " in output and "1..1" in output, f"{name}: no TAP:\n{output}")


@tap.case
def wrong_scripts_fail_and_say_why():
    """Each of them."""
    for name, (text, words) in WRONG.items():
        must_fail(name, text, words)


@tap.case
def malformed_frames_fail_whatever_is_expected():
    """As if the stack had sent them; the same without the fault would only be unexpected."""
    for name, (packet, words) in MALFORMED.items():
        flow = {"v": "flow v us:81 peer:4001 isn 1000\n", "c": "established c\n"}.get(packet.split(":")[0], "")
        must_fail(name, f"{flow}pretend {packet}", words)
        if packet.startswith("udp") and "eth-" not in packet:
            must_fail(name, "pretend udp us:7 -> peer:9 data 10\nnothing", "has sent what nobody expects")


@tap.case
def the_transcript_has_what_came_before():
    """In the words of the language, with times."""
    output, _ = run_text("established c\n> DATA 100\n< ACK ack 1")
    for line in (r"0\.000000  > SYN seq 0 win 65535 <mss 1460>", r"0\.010000  > PSH-ACK 1:101 ack 1 win 65535",
                 r"0\.010000  < ACK seq 1 ack 101 win \d+", r"script\.pkt:5: at 0\.010000: < ACK ack 1",
                 r"differs: ack is 101, not 1"):
        tap.must(re.search(line, output), f"no \"{line}\" in\n{output}")


@tap.case
def scripts_kept_to_fail_do():
    """And each at its last line."""
    scripts = sorted(os.path.join(FOLDER, name) for name in os.listdir(FOLDER) if name.endswith(".pkt"))
    tap.must(len(scripts) >= 2, "there are none")
    for path in scripts:
        with open(path, encoding="ascii") as file:
            lines = file.read().count("\n")
        output, status = run(path)
        tap.must(status == 1 and f"{path}:{lines}: " in output, f"{path} does not fail at line {lines}:\n{output}")


@tap.case
def a_script_without_rows_or_statements_is_refused():
    """It would show nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "script.pkt")
        for text in ("", "# words\nrows: a.b\n", "# words\nnothing\n"):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
            output, status = run(path)
            tap.must(status == 1 and output.startswith("not ok 1 - "), f"\"{text}\" passes:\n{output}")
        output, status = run(os.path.join(folder, "missing.pkt"))
        tap.must(status == 1 and "cannot be read" in output, f"a file that is not there passes:\n{output}")


@tap.case
def rows_are_listed():
    """One a line, with their script."""
    path = os.path.join(FOLDER, "wrong_number.pkt")
    output, status = run("--list-rows", path)
    tap.must(status == 0 and output == f"tcp.state.3whs-passive\t{path}\n", output)


if __name__ == "__main__":
    sys.exit(tap.main("packets-self-test"))
