"""The merged form keeps its word: a program that is linked with it calls the seam directly, or not at all.

usage: check_inlined OBJDUMP PROGRAM=OBJECT...   the linked program, and the object or archive of its own code

What is judged is the machine code of the functions that OBJECT has, with all that the link has inlined into them: no
call through a pointer, none through the PLT to the seam, and none at all to the functions of INLINED, of which OBJECT
must call every one, or there would be nothing to see. What the backend calls inside is its own business.
"""

import re
import sys

import tree

# The functions that bind.c marks for a merged link, and nothing else: what a program does for every message. All others
# are called for a turn of the loop or a connection, where a direct call is not what costs; whether the compiler inlines
# them as well is left to it.
INLINED = {
    "pal_sock_recv": "a stream's bytes in, for every message",
    "pal_sock_send": "a stream's bytes out, for every message",
    "pal_sock_recv_msgs": "datagrams in, for every message",
    "pal_sock_send_msgs": "datagrams out, for every message",
}
# Pointers that a program may be seen to call through: its own, which it gave to the seam.
_GIVEN = {
    "current": "the allocator of pal_setup, called when something is opened",
}

# The calls of x86-64 and aarch64, as objdump writes them.
_FUNCTION = re.compile(r"[0-9a-f]+ <(.+)>:")
_DIRECT = re.compile(r"\s(?:call|jmp|bl|b)\s+[0-9a-f]+ <([^>+]+)[>+]")
# A jump through a register is a switch; through memory at a fixed place it is the last call of a function.
_INDIRECT = re.compile(r"\s(?:call\s+\*|jmp\s+\*\S*\(%rip\)|blr\s).*")
_TARGET = re.compile(r"<([\w.]+)[^>]*>$")


def check(objdump, programs):
    """programs: (program, object) pairs."""
    findings, count = [], 0
    for program, own in programs:
        defined, wanted = _symbols(objdump, own)
        findings += [tree.Finding(own, 0, f"does not call {name}", "judge a program that does")
                     for name in sorted(INLINED.keys() - wanted)]
        for function, instruction in _instructions(objdump, program):
            if function.split(".")[0] in defined:
                count += bool(_DIRECT.search(instruction))
                findings += _judge(program, function, instruction)
    return findings, count


def _judge(program, function, instruction):
    """The findings, one at most, for an instruction of the program's own code."""
    direct, indirect = _DIRECT.search(instruction), _INDIRECT.search(instruction)
    if direct:
        name = direct.group(1).split(".")[0]
        if name.startswith("pal_") and name.endswith("@plt"):
            yield tree.Finding(program, 0, f"{function} calls {name[:-4]} through the PLT", "link the merged object")
        elif name in INLINED or "pal_" + name.removeprefix("pal__k_") in INLINED:
            yield tree.Finding(program, 0, f"{function} calls {name}",
                               "link it with -O2 -flto; in the backend keep what it calls inline, down to the kernel")
    elif indirect:
        target = _TARGET.search(instruction)
        if not target or target.group(1) not in _GIVEN:
            yield tree.Finding(program, 0, f"{function} calls through a pointer: {indirect.group().strip()}",
                               "the seam has no tables of functions; name the pointer in _GIVEN if the program gave it")


def _symbols(objdump, path):
    """(the functions, the undefined names) of an object's own code. Not by nm, which would ask the LTO plugin."""
    defined, wanted = set(), set()
    for line in _output(objdump, "--syms", path).split("\n"):
        row = line.split()
        if len(row) > 1 and row[-3:-2] == ["*UND*"]:
            wanted.add(row[-1])
        elif re.match(r"[0-9a-f]+ .{6}F ", line):
            defined.add(row[-1].split(".")[0])
    return defined, wanted


def _instructions(objdump, path):
    """(function, disassembled instruction) for all that a program has."""
    function = ""
    for line in _output(objdump, "--disassemble", "--no-show-raw-insn", path).split("\n"):
        begins = _FUNCTION.fullmatch(line)
        if begins:
            function = begins.group(1)
        elif line:
            yield function, line


def _output(*command):
    status, output = tree.run(command)
    if status != 0:
        raise RuntimeError(f"{' '.join(command)}: {output.strip()}")
    return output


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    PAIRS = [argument.split("=", 1) for argument in sys.argv[2:]]
    sys.exit(tree.report("check_inlined", *check(sys.argv[1], PAIRS)))
