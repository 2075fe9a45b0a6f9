"""Nothing above backends/ asks the preprocessor which operating system or CPU it is compiled for."""

import re
import sys

import layers
import tree

_CONDITION = re.compile(r"\s*#\s*(if|ifdef|ifndef|elif)\b(.*)")
_SYSTEMS = (r"_*(linux|unix|gnu_linux|APPLE|MACH|FreeBSD|NetBSD|OpenBSD|DragonFly|sun|svr4|SVR4|ANDROID|CYGWIN|"
            r"MINGW32|MINGW64|WIN32|WIN64|WINNT|POSIX_VERSION|XOPEN_VERSION|POSIX_SOURCE|GNU_SOURCE|GLIBC|MUSL)_*")
_CPUS = (r"_*(x86_64|amd64|M_X64|i386|i686|M_IX86|aarch64|arm|ARM_ARCH|M_ARM64|s390x?|riscv\w*|powerpc\w*|PPC\w*|"
         r"mips\w*|SSE\w*|AVX\w*|ARM_NEON)_*")
_REMEDY = "ask the seam at run time (pal_backend_info()->caps), or move the difference into backends/"
_KNOWS = re.compile(rf"(?<!\w)({_SYSTEMS}|{_CPUS})(?!\w)")


def check(root):
    """Looks at every C source and header of the folders in layers.BLIND."""
    findings, count = [], 0
    for path in tree.files(root, ".c", ".h", under=layers.BLIND):
        if layers.OUTSIDE.match(path):
            continue
        count += 1
        for number, text in _directives(tree.lines(root, path)):
            match = _CONDITION.match(text)
            knows = match and _KNOWS.search(match.group(2))
            if knows:
                findings.append(tree.Finding(path, number, f"#{match.group(1)} on {knows.group(0)}", _REMEDY))
    return findings, count


def _directives(lines):
    """Numbered lines, those that end in a backslash joined with what follows."""
    joined, start = "", 1
    for number, text in enumerate(lines, 1):
        start = start if joined else number
        if text.endswith("\\"):
            joined += text[:-1] + " "
            continue
        yield start, joined + text
        joined = ""


if __name__ == "__main__":
    sys.exit(tree.main("check_conditionals", check))
