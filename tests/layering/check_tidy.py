"""Tidiness that a machine can judge: sizes, white space, guards, files that no build knows, links that lead nowhere.

Formatting proper is clang-format's business, a separate target that needs it installed; this check needs nothing.
"""

import ast
import os
import re
import sys

import tree

COLUMNS_MAX = 120
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600

_CODE = (".c", ".h", ".S")
_TEXT = _CODE + (".py", ".sh", ".md", ".tsv", ".symbols", "meson.build", "meson.options", "meson_options.txt")
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
_SOURCE_NAME = re.compile(r"'([^']+\.(?:c|S))'")
_PROMISE = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
# Absolute paths of one machine. What every system of a kind has may be named, and paths that cannot exist.
_PATH = re.compile(r"(?<![\w./~<%$}*-])/([a-z]+)/[\w.]")
_EVERYWHERE = {"usr", "etc", "dev", "proc", "sys", "run", "var", "bin", "sbin", "lib", "opt", "tmp",
               "no", "nonexistent", "missing", "pal", "palio", "a", "b"}
_SCRATCH = re.compile(r"(?<![\w./])/tmp/[a-z]/")


def check(root):
    """Looks at every file of text in the tree."""
    paths = tree.files(root, *_TEXT)
    findings = []
    for path in paths:
        text = tree.lines(root, path)
        findings += [finding for rule in _RULES for finding in rule(root, path, text)]
    return findings + _unbuilt(root), len(paths)


def _white_space(_, path, text):
    if text[-1] != "" or text == [""]:
        yield tree.Finding(path, len(text), "no newline at the end", "end the last line")
    elif len(text) > 1 and text[-2] == "":
        yield tree.Finding(path, len(text) - 1, "empty line at the end", "strike it")
    for number, line in enumerate(text, 1):
        if "\t" in line and not path.endswith((".tsv", ".S")):
            yield tree.Finding(path, number, "tab", "indent with four spaces; in strings write \\t")
        if line != line.rstrip():
            yield tree.Finding(path, number, "space at the end of the line", "strike it")
        table = line.startswith("|") or path.endswith(".tsv")
        if len(line) > COLUMNS_MAX and not table and "](http" not in line:
            yield tree.Finding(path, number, f"{len(line)} columns", f"break the line; {COLUMNS_MAX} is the most")


def _file_size(_, path, text):
    if len(text) - 1 > FILE_LINES_MAX and not path.endswith((".md", ".tsv")):
        yield tree.Finding(path, FILE_LINES_MAX, f"{len(text) - 1} lines",
                           f"split the file by concern; {FILE_LINES_MAX} is the most")


def _function_size(_, path, text):
    for name_line, end in _functions(path, text):
        size = end - name_line + 1
        if size > FUNCTION_LINES_MAX:
            yield tree.Finding(path, name_line, f"a function of {size} lines",
                               f"split it; {FUNCTION_LINES_MAX} is the most")


def _functions(path, text):
    """(first line, last line) of every function. In C its braces are alone in the first column."""
    if path.endswith(".py"):
        for node in ast.walk(ast.parse("\n".join(text))):
            if isinstance(node, ast.FunctionDef):
                yield node.lineno, node.end_lineno
    if path.endswith((".c", ".h")):
        start = 0
        for number, line in enumerate(text, 1):
            if line == "{":
                start = number - 1
            elif line.startswith("}") and start:
                yield start, number
                start = 0


def _guard(_, path, text):
    if not path.endswith(".h"):
        return
    for number, line in enumerate(text[:-1], 1):
        if line.startswith("#ifndef "):
            name = line.split()[1]
            if _is_guard(path, name) and text[number] == "#define " + name:
                return
            break
    yield tree.Finding(path, 1, f"no include guard {_guard_name(path)}", "#ifndef and #define of its path, at the top")


def _guard_name(path):
    """The path from the root; in backends/ with the prefix of internal names."""
    return re.sub(r"\W", "_", re.sub("^backends/", "pal__", path)).upper()


def _is_guard(path, name):
    """Outside the library, where no header is installed, some of the folders are enough, and PALIO may go first."""
    if path.startswith(("pal/", "palio/", "backends/")):
        return name == _guard_name(path)
    *folders, file = re.sub(r"[^\w/]", "_", path).upper().split("/")
    words = set(re.sub(r"_?" + file + "$", "", name).split("_"))
    return name.endswith(file) and words <= {"PALIO", *folders}


def _purpose(_, path, text):
    first = next((line for line in text if not line.startswith("#!")), "")
    begins = {".c": "/*", ".h": "/*", ".S": "/*", ".py": '"""', ".sh": "# ", "meson.build": "# ", ".symbols": "# "}
    for suffix, start in begins.items():
        if path.endswith(suffix) and not first.startswith(start):
            yield tree.Finding(path, 1, "does not begin by saying what it is", f"begin it with a comment: {start}...")


def _links(root, path, text):
    if not path.endswith(".md"):
        return
    for number, line in enumerate(text, 1):
        for target in _LINK.findall(line):
            if "://" in target or target.startswith("mailto:"):
                continue
            if not os.path.exists(os.path.join(root, os.path.dirname(path), target)):
                yield tree.Finding(path, number, f"link to {target}, which is not there", "link to what exists")


def _words(_, path, text):
    for number, line in enumerate(text, 1):
        for match in _PATH.finditer(line):
            if match.group(1) not in _EVERYWHERE or _SCRATCH.search(line):
                yield tree.Finding(path, number, f"a path of one machine: {line[match.start():match.end() + 8]}...",
                                   "name files from the root of the tree; ask the system for scratch files")
        if _PROMISE.search(line):
            yield tree.Finding(path, number, "a promise in place of work", "do it, or write the limit into docs/")


def _unbuilt(root):
    """Sources that no meson.build names: they would rot unseen."""
    named = set()
    for path in tree.files(root, "meson.build"):
        folder = os.path.dirname(path)
        for name in _SOURCE_NAME.findall("\n".join(tree.lines(root, path))):
            named.add(os.path.normpath(os.path.join(folder, name)))
    return [tree.Finding(path, 1, "no meson.build names this source", "add it to the one beside it, in full: '" +
                         os.path.basename(path) + "'")
            for path in tree.files(root, ".c", ".S") if path not in named]


_RULES = (_white_space, _file_size, _function_size, _guard, _purpose, _links, _words)

if __name__ == "__main__":
    sys.exit(tree.main("check_tidy", check))
