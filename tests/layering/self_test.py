"""The checks are able to fail: each is fed a tree that keeps its rule and one that breaks it, and must tell them apart.

usage: self_test CC CXX NM
"""

import os
import platform
import sys
import tempfile
import unittest

import check_conditionals
import check_freestanding
import check_headers
import check_includes
import check_inlined
import check_seam
import check_symbols
import check_tidy
import tree

CC, CXX, NM = sys.argv[1:4] if len(sys.argv) > 3 else ("cc", "c++", "nm")


class Tree(unittest.TestCase):
    """A tree in scratch memory: put() writes a file into it."""

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.root = self._folder.name
        self.addCleanup(self._folder.cleanup)

    def put(self, path, text):
        name = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)

    def compiled(self, name, text, *form):
        """An object of this C, or another form, compiled without optimisation so that nothing is optimised away."""
        self.put(name + ".c", text)
        output = os.path.join(self.root, name + ".o")
        status, told = tree.run([*CC.split(), "-O0", "-o", output, os.path.join(self.root, name + ".c"),
                                 *(form or ["-c"])])
        self.assertEqual(status, 0, told)
        return output

    def assert_red(self, findings, *parts):
        """There is exactly one finding, and it says all of parts."""
        self.assertEqual(len(findings), 1, findings)
        for part in parts:
            self.assertIn(part, f"{findings[0].path}:{findings[0].line}: {findings[0].what}")


class Includes(Tree):
    def red(self, path, include):
        self.put(path, f"/* x */\n#include {include}\n")
        return check_includes.check(self.root)[0]

    def test_layer_may_include_what_it_stands_on(self):
        self.put("pal/poll.h", "")
        self.put("palio/base/list.h", "")
        self.put("palio/loop/loop.c", "#include <pal/poll.h>\n#include <stdint.h>\n#include \"../base/list.h\"\n")
        self.assertEqual(check_includes.check(self.root), ([], 3))

    def test_system_header_above_the_seam(self):
        self.assert_red(self.red("palio/loop/loop.c", "<unistd.h>"), "palio/loop/loop.c:2", "<unistd.h>")

    def test_system_header_in_the_seam(self):
        self.assert_red(self.red("pal/poll.h", "<stdlib.h>"), "pal/poll.h:2")

    def test_seam_in_base(self):
        self.put("pal/os.h", "")
        self.assert_red(self.red("palio/base/heap.h", "<pal/os.h>"), "palio/base includes pal/os.h")

    def test_upper_layer_in_backend(self):
        self.put("palio/core/log.h", "")
        self.assert_red(self.red("backends/posix/socket.c", '"palio/core/log.h"'), "of palio/core")

    def test_layer_above(self):
        self.put("palio/task/task.h", "")
        self.assert_red(self.red("palio/loop/loop.c", '"../task/task.h"'), "of palio/task")

    def test_operating_system_in_netstack(self):
        self.assert_red(self.red("backends/netstack/arp.c", "<time.h>"), "<time.h>")

    def test_launcher_is_outside(self):
        self.assertEqual(self.red("examples/demo/launch_dpdk.c", "<unistd.h>"), [])


class Freestanding(Tree):
    def test_system_header_by_a_detour(self):
        self.put("palio/core/clock.c", "#include <string.h>\nint x;\n")
        self.assertEqual(check_freestanding.check(self.root, CC.split()), ([], 1))
        self.put("palio/core/detour.h", "#include <unistd.h>\n")
        self.put("palio/core/clock.c", '#include "detour.h"\nint x;\n')
        findings, count = check_freestanding.check(self.root, CC.split())
        self.assertEqual((len(findings), count), (2, 2))
        self.assertIn("unistd.h", findings[0].what)
        self.assertEqual(findings[0].path, "palio/core/detour.h")

    def test_function_outside_the_shims(self):
        self.put("palio/core/clock.c", "#include <stdlib.h>\nint x(void);\nint x(void)\n{\n    return system(0);\n}\n")
        self.assert_red(check_freestanding.check(self.root, CC.split())[0], "palio/core/clock.c:5", "system")


class Symbols(Tree):
    def red(self, folder, text):
        self.put("pal/pal.symbols", "pal_clock\n")
        return check_symbols.check(self.root, NM, [(folder, self.compiled("object", text))])[0]

    def test_seam_and_iso_c_are_allowed(self):
        self.assertEqual(self.red("palio/loop", "#include <stdlib.h>\nint pal_clock(int);\n"
                                  "void *f(void) { return malloc((size_t)pal_clock(0)); }\n"), [])

    def test_system_call_without_header(self):
        self.assert_red(self.red("palio/loop", "int fork(void);\nint f(void) { return fork(); }\n"), "calls fork")

    def test_seam_from_base(self):
        text = "int pal_clock(int);\nint f(void) { return pal_clock(0); }\n"
        self.assert_red(self.red("palio/base", text), "palio/base calls pal_clock")

    def test_archive_of_several_layers(self):
        self.put("pal/pal.symbols", "pal_clock\n")
        core = self.compiled("core_a.c", "int fork(void);\nint core(void) { return fork(); }\n")
        loop = self.compiled("loop_b.c", "int core(void);\nint loop(void) { return core(); }\n")
        archive = os.path.join(self.root, "all.a")
        status, told = tree.run(["ar", "crsT", archive, core, loop])  # thin, as meson makes them
        self.assertEqual(status, 0, told)
        findings, count = check_symbols.check(self.root, NM, [("palio", archive)])
        self.assertEqual(count, 2)
        self.assert_red(findings, "all.a(core_a.c.o)", "palio/core calls fork")

    def test_inline_functions(self):
        self.put("pal/pal.symbols", "pal_clock\n")
        text = "int pal_clock(int);\nstatic inline int kept(void)\n{\n    return pal_clock(0);\n}\n"
        self.put("palio/base/a.h", text)
        output = os.path.join(self.root, "a.o")
        check_symbols.inline_object(self.root, CC, "palio/base", output)
        if "kept" in tree.run([NM, output])[1].split():  # clang leaves it out
            findings, _ = check_symbols.check(self.root, NM, [("palio/base", output)])
            self.assert_red(findings, "palio/base calls pal_clock")

    def test_layer_above(self):
        self.put("pal/pal.symbols", "pal_clock\n")
        loop = self.compiled("loop", "int palio__task(void);\nint f(void) { return palio__task(); }\n")
        task = self.compiled("task", "int f(void);\nint palio__task(void) { return 0; }\nint g(void) { return f(); }\n")
        self.assert_red(check_symbols.check(self.root, NM, [("palio/loop", loop), ("palio/task", task)])[0],
                        "palio__task", "is of palio/task")


class Seam(Tree):
    def red(self, form, text):
        self.put("pal/pal.symbols", "# the seam\npal_a\npal_b\n")
        self.put("pal/a.h", "int pal_a(void);\nvoid *pal_b(int x,\n            int y);\n"
                 "static inline int pal_c(void)\n{\n    return pal_a();\n}\n")
        return check_seam.check(self.root, NM, [(form, self.compiled("backend", text))])[0]

    def test_exact(self):
        text = "int pal_a(void) { return 1; }\nvoid *pal_b(int x, int y) { return 0; }\n"
        self.assertEqual(self.red("prelinked", text), [])

    def test_missing(self):
        self.assert_red(self.red("prelinked", "int pal_a(void) { return 1; }\n"), "does not define pal_b")

    def test_surplus(self):
        text = "int pal_a(void) { return 1; }\nint pal_b(void) { return 1; }\nint pal__k = 1;\n"
        self.assert_red(self.red("prelinked", text), "the global pal__k")
        self.assertEqual(self.red("merged", text), [])

    def test_foreign_global_in_merged(self):
        self.assert_red(self.red("merged", "int pal_a, pal_b, helper = 1;\n"), "the global helper")

    def test_not_whole(self):
        text = "int pal__k(void);\nint pal_a(void) { return pal__k(); }\nint pal_b;\n"
        self.assert_red(self.red("prelinked", text), "wants pal__k")

    def test_shared(self):
        self.put("pal/pal.symbols", "pal_a\n")
        self.put("pal/a.h", "int pal_a(void);\n")
        surplus = "int pal_b(void);\nint pal_a(void) { return pal_b(); }\nint pal__k = 1;\n"
        for text, expected in (("int pal_a(void) { return 1; }\n", []),
                               (surplus, ["defines the global pal__k", "wants pal_b"])):
            library = self.compiled("libpal.so", text, "-shared", "-fPIC", "-nostartfiles")
            findings, _ = check_seam.check(self.root, NM, [("shared", library)])
            self.assertEqual([finding.what for finding in findings], expected)

    def test_headers_and_list_differ(self):
        self.put("pal/pal.symbols", "pal_a\npal_x\n")
        self.put("pal/a.h", "/* x */\nint pal_a(void);\nint pal_b(void);\n")
        findings, _ = check_seam.check(self.root, NM, [])
        self.assertEqual([finding.what for finding in findings],
                         ["pal_b is not in pal/pal.symbols", "pal_x is declared by no header of pal/"])


@unittest.skipUnless(platform.machine() in ("x86_64", "aarch64"), "the check reads the code of these two")
class Inlined(Tree):
    CALLS = "".join(f"int {name}(void); " for name in check_inlined.INLINED)
    OWN = CALLS + "int main(void) { return " + " + ".join(f"{name}()" for name in check_inlined.INLINED) + "; }\n"

    def red(self, program):
        """Judges a linked program by the functions of OWN, which are main alone."""
        return check_inlined.check("objdump", [(self.compiled("program", program, "-fPIC"),
                                                self.compiled("own", self.OWN))])[0]

    def test_good(self):
        self.assertEqual(self.red("int pal_watch(void) { return 1; }\nint main(void) { return pal_watch(); }\n"), [])

    def test_call(self):
        text = "int pal_sock_recv(void) { return 1; }\nint main(void) { return pal_sock_recv(); }\n"
        self.assert_red(self.red(text), "main calls pal_sock_recv")

    def test_call_of_the_function_behind(self):
        text = "int pal__k_sock_send(void) { return 1; }\nint main(void) { return pal__k_sock_send(); }\n"
        self.assert_red(self.red(text), "main calls pal__k_sock_send")

    def test_pointer(self):
        text = "int watch(void) { return 1; }\nint (*pal)(void) = watch;\nint main(void) { return pal(); }\n"
        self.assert_red(self.red(text), "main calls through a pointer")

    def test_shared_library(self):
        library = self.compiled("libpal.so", "int pal_watch(void) { return 1; }\n", "-shared", "-fPIC")
        text = "int pal_watch(void);\nint main(void) { return pal_watch(); }\n"
        program = self.compiled("program", text, library)
        findings, _ = check_inlined.check("objdump", [(program, self.compiled("own", self.OWN))])
        self.assert_red(findings, "main calls pal_watch through the PLT")

    def test_nothing_to_see(self):
        text = "int main(void) { return 1; }\n"
        program = self.compiled("program", text, "-fPIC")
        findings, _ = check_inlined.check("objdump", [(program, self.compiled("own", text))])
        self.assertEqual(len(findings), len(check_inlined.INLINED))


class Headers(Tree):
    COMPILERS = [("c11", CC), ("c++17", CXX)]

    def test_needs_another(self):
        self.put("pal/a.h", "int pal_a(uint32_t x);\n")
        findings, count = check_headers.check(self.root, self.COMPILERS)
        self.assertEqual((len(findings), count), (2, 2))

    def test_c_that_is_no_cplusplus(self):
        self.put("pal/a.h", "#ifndef A\n#define A\nstatic inline int *a(void *p)\n{\n    return p;\n}\n#endif\n")
        self.assert_red(check_headers.check(self.root, self.COMPILERS)[0], "pal/a.h:5", "c++17")

    def test_unguarded(self):
        self.put("palio/a.h", "struct a {\n    int x;\n};\n")
        self.assertEqual(len(check_headers.check(self.root, self.COMPILERS)[0]), 2)


class Conditionals(Tree):
    def red(self, path, text):
        self.put(path, text)
        return check_conditionals.check(self.root)[0]

    def test_system(self):
        self.assert_red(self.red("palio/core/a.c", "\n#ifdef _WIN32\n#endif\n"), "palio/core/a.c:2", "_WIN32")

    def test_cpu_over_two_lines(self):
        text = "#if defined(__GNUC__) && \\\n    defined(__x86_64__)\n#endif\n"
        self.assert_red(self.red("pal/a.h", text), "pal/a.h:1", "__x86_64__")

    def test_compiler_and_language(self):
        text = "#if defined(__cplusplus) || __GNUC__ > 4 || !defined(NDEBUG)\n#endif\n"
        self.assertEqual(self.red("pal/a.h", text), [])

    def test_backend(self):
        self.assertEqual(self.red("backends/posix/a.c", "#ifdef __linux__\n#endif\n"), [])


class Tidy(Tree):
    GOOD = "/* a.c: nothing. */\nint a;\n"

    def red(self, path, text, build="# build\nfiles('a.c')\n"):
        self.put("x/meson.build", build)
        self.put(path, text)
        return check_tidy.check(self.root)[0]

    def test_good(self):
        self.assertEqual(self.red("x/a.c", self.GOOD), [])

    def test_columns(self):
        self.assert_red(self.red("x/a.c", self.GOOD + "/*" + 117 * "x" + "*/\n"), "x/a.c:3", "121 columns")

    def test_lines(self):
        self.assert_red(self.red("x/a.c", self.GOOD + 599 * "int b;\n"), "601 lines")

    def test_function(self):
        head, line = self.GOOD + "void f(void)\n{\n", "    a++;\n"
        self.assertEqual(self.red("x/a.c", head + 67 * line + "}\n"), [])
        self.assert_red(self.red("x/a.c", head + 68 * line + "}\n"), "x/a.c:3", "71 lines")

    def test_tab_space_and_end(self):
        self.assert_red(self.red("x/a.c", self.GOOD + "\tint b;\n"), "tab")
        self.assert_red(self.red("x/a.c", self.GOOD + "int b; \n"), "space at the end")
        self.assert_red(self.red("x/a.c", self.GOOD + "int b;"), "no newline")
        self.assert_red(self.red("x/a.c", self.GOOD + "\n"), "empty line at the end")

    def test_unbuilt(self):
        self.assert_red(self.red("x/a.c", self.GOOD, build="# build\n"), "x/a.c", "no meson.build")

    def test_guard(self):
        self.assert_red(self.red("palio/core/a.h", "/* a */\n#ifndef A_H\n#define A_H\n#endif\n"), "PALIO_CORE_A_H")
        self.put("palio/core/a.h", "/* a */\n#ifndef PALIO_CORE_A_H\n#define PALIO_CORE_A_H\n#endif\n")
        self.assertEqual(self.red("x/y/a.h", "/* a */\n#ifndef PALIO_X_A_H\n#define PALIO_X_A_H\n#endif\n"), [])
        self.assert_red(self.red("x/y/a.h", "/* a */\n#ifndef Z_A_H\n#define Z_A_H\n#endif\n"), "X_Y_A_H")

    def test_purpose(self):
        self.assert_red(self.red("x/a.c", "int a;\n"), "what it is")

    def test_link(self):
        self.assertEqual(self.red("x/a.md", "[b](meson.build#c) and [d](https://e.f/g)\n"), [])
        self.assert_red(self.red("x/a.md", "see [b](b.md#c)\n"), "x/a.md:1", "b.md")

    def test_path_of_one_machine(self):
        self.assertEqual(self.red("x/a.md", "and/or /usr/include ./a/b https://c.d/e/f\n"), [])
        self.assert_red(self.red("x/a.md", "look in /srv" "/tree for it\n"), "one machine")

    def test_promise(self):
        self.assert_red(self.red("x/a.c", self.GOOD + "/* TO" "DO: more */\n"), "promise")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
