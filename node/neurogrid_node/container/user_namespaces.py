"""User namespaces of jobs: root in a container is then somebody without rights on the machine (docs/runtimes.md). Pure.

Whom the host takes a container's root for has to be known, because what the node puts back into a job's folders is to be
the job's own. It is read from where the engine keeps its files, and held against what a container sees.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from .spec import NOBODY

RootIds = tuple[int, int] | None
"""Of the host: the user and the group that are root in containers. `ROOT` where the engine does not remap, None where
it does and does not tell to whom."""

ROOT: Final = (0, 0)
# What an offer says among its runtimes, so that tasks may ask for it.
USERNS_RUNTIME: Final = "userns"
# An engine that remaps keeps its files below a folder named by whom root is, such as 165536.165536.
_REMAPPED_ROOT: Final = re.compile(r".*/([1-9][0-9]{0,9})\.([1-9][0-9]{0,9})/?")
REMAP: Final = (
    '"userns-remap": "default" in /etc/docker/daemon.json, then restart the engine, which has another store of '
    "images from then on: make images"
)


def remapped_root(data_root: str) -> RootIds:
    """Of an engine that remaps, by where it keeps its files."""
    found = _REMAPPED_ROOT.fullmatch(data_root)
    return (int(found[1]), int(found[2])) if found is not None else None


def on_host(user: str, root: tuple[int, int]) -> tuple[int, int]:
    """Whom the host takes ``uid:gid`` of a container for."""
    uid, gid = (int(part) for part in user.split(":"))
    return uid + root[0], gid + root[1]


def obstacle(root: RootIds, *, is_node_root: bool) -> str:
    """Why jobs of an engine that remaps users could not have their files; "" where they can."""
    if root is None:
        return "the engine remaps users and does not tell to whom"
    if root != ROOT and not is_node_root:
        return (
            "the engine remaps users, and a node that is not root cannot give such jobs their files"
        )
    return ""


def judge_ids(facts: Mapping[str, Any], root: RootIds) -> tuple[str, ...]:
    """Where an engine says that it remaps users and a container did not see that, in sentences."""
    if root is None or root == ROOT:
        return ()
    if "uid_map" not in facts:
        return (
            "what tries the machine is older than the node and tells of no user namespace: make images",
        )
    needed = (int(part) for part in NOBODY.split(":"))
    return tuple(
        f"jobs are not in the engine's user namespace ({name} is {facts.get(name)!r}, not from {outside} on)"
        for name, outside, last in zip(("uid_map", "gid_map"), root, needed, strict=True)
        if not _maps(str(facts.get(name)), outside, last)
    )


def _maps(line: str, outside: int, last: int) -> bool:
    """Whether the ids from 0 to ``last`` are those from ``outside`` on."""
    match line.split():
        case [first, begins, length] if length.isdigit():
            return (first, begins) == ("0", str(outside)) and int(length) > last
    return False
