"""NVIDIA's container toolkit: a version that lets a job out of its container gives no job a GPU.

A hook of the toolkit's runs as root on the host for each container that is given a GPU, so that its escapes are open
to every job. NVIDIA's releases alone are judged: no distribution carries them with fixes of its own.
Source: NVIDIA's security bulletins 5582, 5616, 5659 and the one of CVE-2026-24260.
"""

import re
from typing import Final

import trio

from .proofs import Disproof

# The first version of each that is not affected.
ESCAPES: Final[dict[str, tuple[int, int, int]]] = {
    "CVE-2024-0132": (1, 16, 2),
    "CVE-2025-23359": (1, 17, 4),
    "CVE-2025-23266": (1, 17, 8),
    "CVE-2026-24260": (1, 19, 1),
}
VERSION_MIN: Final = max(ESCAPES.values())

# "NVIDIA Container Toolkit CLI version 1.17.8", "cli-version: 1.17.8"; release candidates are "1.18.0-rc.1".
_VERSION: Final = re.compile(r"version:? +v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})([-~]rc)?", re.ASCII)
# What tells it; the second is of the toolkit's library, and of the same version.
_WORDS: Final = (("nvidia-ctk", "--version"), ("nvidia-container-cli", "--version"))
_WORDS_BYTES_MAX: Final = 4096


async def toolkit_says() -> str | None:
    """What the toolkit's own program says of its version; None: there is none. The deadline is the caller's."""
    for command in _WORDS:
        try:
            done = await trio.run_process(
                command, capture_stdout=True, capture_stderr=True, check=False
            )
        except OSError:
            continue
        return (done.stdout + done.stderr)[:_WORDS_BYTES_MAX].decode(errors="replace")
    return None


def toolkit_disproof(says: str | None) -> Disproof | None:
    """Why no job may be given a GPU by it, or None. Pure.

    Args:
        says: as of `toolkit_says`.
    """
    if says is None:
        return Disproof(
            "TOOLKIT_MISSING", "neither nvidia-ctk nor nvidia-container-cli is on this machine"
        )
    version = read_version(says)
    if version is None:
        return Disproof("TOOLKIT_UNREADABLE", f"its program says no version: {says[:100]!r}")
    numbers, is_candidate = version
    # A candidate comes before the release of its number.
    escapes = [
        name
        for name, fixed in ESCAPES.items()
        if numbers < fixed or (numbers == fixed and is_candidate)
    ]
    if not escapes:
        return None
    text = version_text(version)
    return Disproof(
        "TOOLKIT_ESCAPES", f"toolkit {text} lets jobs out of their containers: {', '.join(escapes)}"
    )


def read_version(says: str) -> tuple[tuple[int, int, int], bool] | None:
    """The version in a program's own words, and whether it is a release candidate; None: there is none."""
    found = _VERSION.search(says)
    if found is None:
        return None
    major, minor, patch, candidate = found.groups()
    return (int(major), int(minor), int(patch)), candidate is not None


def version_text(version: tuple[tuple[int, int, int], bool]) -> str:
    """For people."""
    numbers, is_candidate = version
    return ".".join(map(str, numbers)) + ("-rc" if is_candidate else "")
