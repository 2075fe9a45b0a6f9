"""The installed forms, seen from outside: what "meson install" puts into an empty folder, and that programs of another
project build against it and run, wherever the folder lies.

usage: test_install MESON SOURCE BUILD PREFIX LIBDIR BACKEND,... [--lto CC...]

BUILD is installed once, below a scratch folder. Two programs, app and upper (outside/), are then built in each form, by
each compiler and linker that is here, on each of the backends. --lto says that BUILD has link-time objects, and whose.
"""

import argparse
import glob
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile

import tap
from tap import must

COMPILERS = ["gcc", "clang"]
LINKERS = {"ld": "ld.bfd", "lld": "ld.lld"}  # by the facility's name
RUN_SECONDS_MAX = 120  # only ends a program that hangs

given = None  # the arguments
scratch = ""  # emptied at the end
prefix = libdir = ""  # what has been installed, in scratch


def run(command, **variables):
    """Runs a command to its end: (exit status, standard output, standard error)."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("DESTDIR", "LD_LIBRARY_PATH", "CC", "CFLAGS", "LDFLAGS")}
    environment["PKG_CONFIG_PATH"] = os.path.join(libdir, "pkgconfig")
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False,
                          env={**environment, **variables})
    return done.returncode, done.stdout, done.stderr


def works(command, **variables):
    """The standard output of a command that must succeed."""
    status, output, errors = run(command, **variables)
    must(status == 0, f"{' '.join(command)}: exit {status}: {output}{errors}")
    return output


def pkg_config(*arguments):
    """What pkg-config answers, as arguments."""
    tap.need("pkg-config")
    return works(["pkg-config", *arguments]).split()


def outside(name):
    """A file of the other project."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "outside", name)


def digest(path):
    """The SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def dynamic(path, tag):
    """The values of a tag of the dynamic section, such as NEEDED."""
    lines = works(["readelf", "--dynamic", "--wide", path]).split("\n")
    return [line.split("[", 1)[1].rstrip("]") for line in lines if f"({tag})" in line]


def build(source, cc, *arguments):
    """Compiles and links one program of the other project and returns where it is. The arguments come last, as
    libraries do."""
    program = os.path.join(scratch, os.path.splitext(source)[0])
    works([*cc, "-std=c11", "-Wall", "-Werror", outside(source), "-o", program, *arguments])
    return program


def toolchains():
    """Every compiler with every linker that is here. One that is missing is told as a skip, after all the others."""
    missing = [name for name in COMPILERS if not shutil.which(name)]
    missing += [name for name, program in LINKERS.items() if not shutil.which(program)]
    for cc, linker in itertools.product(COMPILERS, LINKERS):
        if cc not in missing and linker not in missing:
            yield [cc, "-fuse-ld=" + LINKERS[linker].removeprefix("ld.")]
    if missing:
        raise tap.Skip(f"[{' '.join(missing)}] not installed; the others are held")


def runs_on(name, program, **variables):
    """The program runs, and knows where."""
    output = works([program], **variables)
    must(output == f"ok {name}\n", f"on {name} it says {output!r}")


# ---- what is installed ----


def expected_headers():
    """include/ has what lies directly in pal/ and palio/; the folders of palio/ are internal."""
    for folder in ("pal", "palio"):
        for path in glob.glob(os.path.join(given.source, folder, "*.h")):
            yield f"include/{folder}/{os.path.basename(path)}"


def expected_libraries():
    """lib/, without what is LTO's where there is none."""
    for name in ["null", *given.backends]:
        yield from (f"{given.libdir}/palio/{name}/libpal.{form}" for form in ("o", "a", "so", "so.1"))
        yield f"{given.libdir}/pkgconfig/palio-{name}.pc"
        if given.lto:
            yield f"{given.libdir}/palio/{name}/libpal-lto.o"
    yield from (f"{given.libdir}/libpalio.{form}" for form in ("a", "so", "so.1"))
    if given.lto:
        yield f"{given.libdir}/libpalio-lto.a"
    yield from (f"{given.libdir}/cmake/palio/palio-config{kind}.cmake" for kind in ("", "-version"))


@tap.case
def installs_headers_libraries_and_licence_and_nothing_else():
    expected = {*expected_headers(), *expected_libraries(), "share/doc/palio/LICENSE"}
    found = {os.path.relpath(os.path.join(folder, name), prefix)
             for folder, _, names in os.walk(prefix) for name in names}
    must(not expected - found, f"not installed: {sorted(expected - found)}")
    must(not found - expected, f"installed as well: {sorted(found - expected)}")


@tap.case
def leaves_the_build_as_it_is():
    built = [path for folder in ("backends/lib", "palio")
             for path in glob.glob(os.path.join(given.build, folder, "**/libpal*"), recursive=True)
             if os.path.isfile(path)]
    before = {path: digest(path) for path in built}
    install(os.path.join(scratch, "again"))
    after = {path: digest(path) for path in built}
    must(built, "nothing is built")
    must(before == after, "a built file is no longer what it was")


@tap.case
def libraries_say_by_name_what_they_are_and_need():
    upper = os.path.join(libdir, "libpalio.so.1")
    must(dynamic(upper, "SONAME") == ["libpalio.so.1"], dynamic(upper, "SONAME"))
    must("libpal.so.1" in dynamic(upper, "NEEDED"), dynamic(upper, "NEEDED"))
    for path in [upper, *glob.glob(os.path.join(libdir, "palio/*/libpal.so.1"))]:
        must(dynamic(path, "SONAME") == [os.path.basename(path)], path)
        must(not dynamic(path, "RUNPATH") + dynamic(path, "RPATH"), f"{path} says where to look for others")


@tap.case
def upper_library_exports_its_own_names_alone():
    path = os.path.join(libdir, "libpalio.so.1")
    table = works(["nm", "--dynamic", "--defined-only", "--format=posix", path])
    names = {line.split()[0] for line in table.splitlines()}
    must("palio_strerror" in names, f"it exports {sorted(names)}")
    foreign = [name for name in names if not name.startswith("palio_") or name.startswith("palio__")]
    must(not foreign, f"it exports {foreign}")


@tap.case
def files_say_nothing_of_where_they_were_made():
    texts = glob.glob(os.path.join(libdir, "**/*.pc"), recursive=True)
    texts += glob.glob(os.path.join(libdir, "**/*.cmake"), recursive=True)
    must(texts, "there are none")
    for path in texts:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for place in (given.build, given.source, given.prefix + "/", scratch):
            begins = re.search(r"(?<![\w.}/-])" + re.escape(place), text)  # and is not the end of a longer path
            must(not begins, f"{path} has {place}")


# ---- pkg-config ----


@tap.case
def shared_form_builds_and_runs_by_pkg_config():
    for cc in toolchains():
        for name, source in itertools.product(given.backends, ("app.c", "upper.c")):
            flags = pkg_config("--cflags", "--libs", "palio-" + name)
            program = build(source, [*cc, "-Wl,--as-needed"], *flags)
            must({"libpal.so.1", "libpalio.so.1"} <= set(dynamic(program, "NEEDED")), dynamic(program, "NEEDED"))
            runs_on(name, program)


def shares(name):
    """Whether a backend needs libraries that are there as shared ones only."""
    return any("-Bdynamic" in word for word in pkg_config("--variable=needs", "palio-" + name))


@tap.case
def static_form_builds_and_runs_by_pkg_config():
    for cc in toolchains():
        for name in given.backends:
            flags = pkg_config("--static", "--cflags", "--libs", "palio-" + name)
            if not shares(name):
                runs_on(name, build("app.c", [*cc, "-static"], *flags))
            for source in ("app.c", "upper.c"):
                program = build(source, cc, "-Wl,-Bstatic", *flags, "-Wl,-Bdynamic")
                must(not [needed for needed in dynamic(program, "NEEDED") if "pal" in needed], "it is shared")
                runs_on(name, program)


@tap.case
def static_program_with_a_shared_library_is_an_error():
    names = [name for name in given.backends if shares(name)]
    if not names:
        raise tap.Skip("this build has no backend that needs a library")
    for name in names:
        flags = pkg_config("--static", "--cflags", "--libs", "palio-" + name)
        status, output, errors = run(["gcc", "-static", outside("app.c"), "-o", os.path.join(scratch, "x"), *flags])
        must(status != 0 and "static link of dynamic object" in output + errors, f"exit {status}: {output}{errors}")


@tap.case
def programs_are_compiled_without_the_words_of_a_backends_library():
    for name in given.backends:
        flags = pkg_config("--cflags", "palio-" + name)
        must(len(flags) == 1 and flags[0].startswith("-I"), f"palio-{name} has {flags}")


def files_of(name, *variables):
    """The flags that compile, the files that variables of palio-NAME.pc name, and what they need."""
    files = [pkg_config("--variable=" + variable, "palio-" + name) for variable in (*variables, "needs")]
    must(all(files), f"palio-{name} has not all of {variables}")
    return pkg_config("--cflags", "palio-" + name) + sum(files, [])


@tap.case
def prelinked_object_builds_and_runs_by_its_variable():
    for cc in toolchains():
        for name in given.backends:
            runs_on(name, build("app.c", cc, *files_of(name, "library", "object")))


@tap.case
def merged_object_builds_and_runs_by_its_variable():
    if not given.lto:
        raise tap.Skip("this build has no link-time objects: its compiler is not gcc")
    for name in given.backends:
        files = files_of(name, "lto_library", "lto_object")
        runs_on(name, build("app.c", [*given.lto, "-O2", "-flto"], *files))


def collides(cc, *libraries):
    """Linking app with these is refused for a name that is there twice, or a mark that is not there."""
    program = os.path.join(scratch, "collision")
    status, output, errors = run([*cc, outside("app.c"), f"-I{prefix}/include", "-o", program, *libraries])
    told = output + errors
    reasons = ("multiple definition", "duplicate symbol", "undefined symbol `pal__static", "not found: pal__static")
    must(status != 0 and any(reason in told for reason in reasons), f"{cc} {libraries}: exit {status}: {told}")


@tap.case
def two_backends_in_one_static_link_are_an_error():
    for cc in toolchains():
        for one, other in itertools.combinations(given.backends, 2):
            flags = [pkg_config("--static", "--libs", "palio-" + name) for name in (one, other)]
            how, end = (["-Wl,-Bstatic"], ["-Wl,-Bdynamic"]) if shares(one) or shares(other) else (["-static"], [])
            collides([*cc, *how], *flags[0], *flags[1], *end)
            marks = [flag for flag in [*flags[0], *flags[1]] if "-u,pal__static_" in flag]
            collides(cc, *marks, f"{libdir}/palio/{one}/libpal.a", f"{libdir}/palio/{other}/libpal.a")
            collides(cc, *pkg_config("--variable=object", "palio-" + one),
                     *pkg_config("--variable=object", "palio-" + other))


@tap.case
def static_link_that_finds_shared_libraries_is_an_error():
    name = given.backends[0]
    for cc in toolchains():
        collides(cc, *pkg_config("--static", "--libs", "palio-" + name))


# ---- the shared swap ----


@tap.case
def one_executable_runs_on_every_backend_by_directory():
    program = build("app.c", ["gcc" if shutil.which("gcc") else "clang"],
                    *pkg_config("--cflags", "--libs", "palio-null"))
    before = digest(program)
    for name in given.backends:
        runs_on(name, program, LD_LIBRARY_PATH=os.path.join(libdir, "palio", name))
    status, _, errors = run([program])
    must(status != 0 and "null backend: pal_poll_open called" in errors, f"on null: exit {status}: {errors}")
    must(digest(program) == before, "it is no longer the same file")


@tap.case
def backend_may_be_loaded_by_a_running_program():
    script = ("import ctypes, sys\n"
              "libpal = ctypes.CDLL(sys.argv[1])\n"
              "libpal.pal_reason.restype = ctypes.c_char_p\n"
              "no_family = libpal.pal_sock_pair(-2, 1, (ctypes.c_uint64 * 2)())\n"
              "sys.exit(no_family >= 0 or not (libpal.pal_native_error() or libpal.pal_reason()))\n")
    for name in given.backends:
        works([sys.executable, "-c", script, os.path.join(libdir, "palio", name, "libpal.so.1")])


# ---- CMake ----


def cmake(folder, *definitions):
    """Configures the project outside: (exit status, all that was said)."""
    tap.need("cmake")
    status, output, errors = run(["cmake", "-G", "Ninja", "-S", os.path.dirname(outside("app.c")), "-B", folder,
                                  "-DCMAKE_PREFIX_PATH=" + prefix, *definitions])
    return status, output + errors


@tap.case
def cmake_project_builds_and_runs():
    for name in given.backends:
        folder = os.path.join(scratch, "cmake-" + name)
        status, told = cmake(folder, "-DBACKEND=" + name, "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--as-needed")
        must(status == 0, told)
        works(["cmake", "--build", folder])
        for program, form in itertools.product(("app", "upper"), ("", "-static")):
            runs_on(name, os.path.join(folder, program + form))


@tap.case
def cmake_project_cannot_have_what_is_not_there():
    folder = os.path.join(scratch, "cmake-refused")
    for definition, why in (("-DBACKEND=none-such", 'no backend "none-such"'),
                            ("-DVERSION=99.0", 'requested version "99.0"')):
        status, told = cmake(folder, definition)
        must(status != 0 and why in told, f"{definition}: exit {status}: {told}")
        shutil.rmtree(folder)


@tap.case
def cmake_target_cannot_have_two_backends():
    if len(given.backends) < 2:
        raise tap.Skip("there is one backend only")
    status, told = cmake(os.path.join(scratch, "cmake-two"), "-DBACKEND=" + given.backends[0],
                         "-DCOLLIDE=" + given.backends[1])
    must(status != 0 and "PALIO_BACKEND" in told, f"exit {status}: {told}")


def install(folder):
    """Installs the build below a folder."""
    works([given.meson, "install", "--no-rebuild", "--quiet", "-C", given.build, "--destdir", folder])


def main():
    global given, scratch, prefix, libdir
    parser = argparse.ArgumentParser(usage=__doc__)
    for name in ("meson", "source", "build", "prefix", "libdir", "backends"):
        parser.add_argument(name)
    parser.add_argument("--lto", nargs="+", default=[])
    given = parser.parse_args()
    given.backends = given.backends.split(",")
    with tempfile.TemporaryDirectory() as scratch:
        install(os.path.join(scratch, "root"))
        prefix = os.path.join(scratch, "root", given.prefix.lstrip("/"))
        libdir = os.path.join(prefix, given.libdir)
        return tap.main("install")


if __name__ == "__main__":
    sys.exit(main())
