"""The root file system of a minimal Python image, made from the CPython that runs this file.

It works for an interpreter built from source (pyenv, uv) as for Debian's /usr/bin/python3: both
find their library by looking for ``../lib/pythonX.Y/os.py`` from where the executable lies, so both
may be moved to /usr/local.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from image_tree import Tree

_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_LIBRARY = f"/usr/local/lib/python{_VERSION}"

SITE_PACKAGES = f"{_LIBRARY}/site-packages"
"""Where a layer on top of this image puts its packages."""

# What a job has no use for: tests, what needs a screen, what installs packages, what compiles
# extensions. And the host's own packages, which are not CPython's.
_SKIPPED_FOLDERS = {
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
}
_SKIPPED_EXTENSIONS = re.compile(r"_tkinter\.|_test|_ctypes_test\.|xxlimited")

# Wheels count on these being there and do not carry them (PEP 600).
_LIBRARIES_OF_WHEELS = (
    "libdl.so.2",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libutil.so.1",
    "libmvec.so.1",
    "libresolv.so.2",
    "libnss_dns.so.2",
    "libnss_files.so.2",
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "libz.so.1",
)
# Only OpenMP programs want it, and only machines with a C compiler have it.
_LIBRARY_OF_SOME_WHEELS = "libgomp.so.1"

JOB_USER_ID = 10_001
"""Who a job runs as. Nobody on an ordinary host has this number."""

_PASSWD = f"""\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
job:x:{JOB_USER_ID}:{JOB_USER_ID}:job:/tmp:/bin/sh
"""
_GROUP = f"""\
root:x:0:
nogroup:x:65534:
job:x:{JOB_USER_ID}:
"""


def python_tree(busybox: Path) -> Tree:
    """The root file system: interpreter, standard library, C libraries, shell, users, mount points.

    Args:
        busybox: a statically linked busybox.
    """
    tree = Tree()
    add_shell(tree, busybox)
    # Where the first line of most scripts looks.
    tree.add_link("/usr/bin/env", "/bin/busybox")
    executable = _executable()
    tree.add_file(f"/usr/local/bin/python{_VERSION}", executable)
    for name in ("python", "python3"):
        tree.add_link(f"/usr/local/bin/{name}", f"python{_VERSION}")
    library = Path(sysconfig.get_path("stdlib"))
    tree.add_python(_LIBRARY, library, _skip)
    tree.add_folder(SITE_PACKAGES)
    # Debian's site.py looks here instead.
    tree.add_link(f"{_LIBRARY}/dist-packages", "site-packages")
    extensions = [file for file in (library / "lib-dynload").iterdir() if _is_shipped(file)]
    libraries = shared_libraries(
        [executable, *extensions], _LIBRARIES_OF_WHEELS, (_LIBRARY_OF_SOME_WHEELS,)
    )
    for path, source in libraries:
        tree.add_file(path, source)
    tree.add_text("/etc/passwd", _PASSWD)
    tree.add_text("/etc/group", _GROUP)
    tree.add_folder("/tmp", 0o1777)
    tree.add_folder("/root", 0o700)
    # Where a node mounts a job's files. The root may be read-only, so they exist beforehand.
    tree.add_folder("/inputs")
    tree.add_folder("/outputs")
    return tree


def add_shell(tree: Tree, busybox: Path) -> None:
    """Put ``busybox`` and a link for each of its commands into /bin."""
    tree.add_file("/bin/busybox", busybox)
    listing = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
    for command in listing.stdout.split():
        if command != "busybox":
            tree.add_link(f"/bin/{command}", "busybox")


def fingerprint_parts() -> Iterator[str]:
    """What tells this machine's CPython and C library from another, without reading 50 MB."""
    yield sys.version
    library = Path(sysconfig.get_path("stdlib"))
    mapped = {
        line.split(maxsplit=5)[5].strip()
        for line in Path("/proc/self/maps").read_text().splitlines()
        if ".so" in line
    }
    files = [_executable(), *library.glob("*.py"), *(library / "lib-dynload").iterdir()]
    files += [Path(name) for name in mapped if re.search(r"/lib(c|m|python.*)\.so|/ld-", name)]
    for file in sorted(files):
        status = file.stat()
        yield f"{file} {status.st_size} {status.st_mtime_ns}"


def _executable() -> Path:
    # In a virtual environment sys.executable is a link into the installation that it was made from.
    return Path(sys.executable).resolve()


def _is_shipped(extension: Path) -> bool:
    return extension.suffix == ".so" and not _SKIPPED_EXTENSIONS.search(extension.name)


def _skip(path: PurePosixPath) -> bool:
    """Whether a path of the standard library stays behind."""
    if _SKIPPED_FOLDERS.intersection(path.parts) or path.parts[0].startswith("config-"):
        return True
    return path.parts[0] == "lib-dynload" and not _is_shipped(Path(path))


def shared_libraries(
    binaries: Iterable[Path], needed: Sequence[str], welcome: Sequence[str] = ()
) -> Iterator[tuple[str, Path]]:
    """Every C library that ``binaries`` load: its path in the image, and the file here.

    All go to the folder where the C library lies, which its loader searches without being told:
    the folders written into the binaries (RPATH) do not exist in the image.

    Args:
        needed: libraries that come along, because what is loaded later counts on them.
        welcome: the same, where this machine has them.
    """
    search_path = f"{sysconfig.get_config_var('LIBDIR')}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    listing = subprocess.run(
        ["ldd", *binaries],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": search_path.rstrip(":")},
    ).stdout
    missing = sorted(set(re.findall(r"(\S+) => not found", listing)))
    assert not missing, f"this Python does not run here either: {missing} not found"
    found = {Path(path).name: Path(path) for path in re.findall(r"=> (/\S+) \(", listing)}
    folder = found["libc.so.6"].parent
    for name in (*needed, *welcome):
        if name not in found and (source := _library_beside(folder, name)):
            found[name] = source
    lacking = sorted(set(needed) - found.keys())
    assert not lacking, f"{lacking} are needed, which this machine has not got"
    for name, source in sorted(found.items()):
        yield f"{folder}/{name}", source
    # The loader alone is named by its whole path inside every executable.
    for loader in set(re.findall(r"^\t(/\S*/ld-\S+) \(", listing, re.MULTILINE)):
        yield loader, Path(loader)


def _library_beside(folder: Path, name: str) -> Path | None:
    # Debian's /lib is a link to /usr/lib; elsewhere a library may be in either.
    for candidate in (folder / name, Path("/usr", *folder.parts[1:], name)):
        if candidate.exists():
            return candidate
    return None
