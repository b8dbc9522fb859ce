"""A container's way to its devices, and how it is lost: on the real engine, with devices that every
machine has in a GPU's place."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import docker
import pytest

from engine.bench import JOB_IMAGE
from neurogrid_node.machine.reach import unreachable

pytestmark = pytest.mark.engine

NODE = "/dev/fuse"
CGROUPS = Path("/sys/fs/cgroup")


@asynccontextmanager
async def container(*nodes: str) -> AsyncIterator[int]:
    """The pid of a container that has these nodes."""
    client = docker.from_env()
    made = client.containers.run(
        JOB_IMAGE,
        ["sleep", "600"],
        devices=[f"{node}:{node}:rw" for node in nodes],
        network_mode="none",
        detach=True,
        init=True,
    )
    try:
        made.reload()
        yield made.attrs["State"]["Pid"]
    finally:
        made.remove(force=True)
        client.close()


def group_of(pid: int) -> Path | None:
    """Of version 1, whose rules can be changed from outside by writing them."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "devices" in controllers.split(","):
            return CGROUPS / "devices" / path.lstrip("/")
    return None


async def test_a_container_that_has_its_nodes_reaches_them() -> None:
    async with container(NODE) as pid:
        assert unreachable(pid, [NODE]) == ""
        assert unreachable(pid, [NODE, "/dev/nowhere"]) == "", "the host has none either"


async def test_a_node_that_the_container_lacks_is_gone() -> None:
    async with container() as pid:
        assert unreachable(pid, [NODE]) == f"{NODE} is gone from the container"


async def test_rules_that_are_lost_are_seen_although_the_node_is_there() -> None:
    async with container(NODE) as pid:
        number = os.stat(NODE).st_rdev
        group = group_of(pid)
        # Version 2 has its rules in the kernel, out of a test's reach; what looks is the same.
        if group is not None:
            # As `systemctl daemon-reload` leaves them: without what a hook has added.
            rule = f"c {os.major(number)}:{os.minor(number)} rwm"
            (group / "devices.deny").write_text(rule)
            assert NODE in unreachable(pid, [NODE])
            (group / "devices.allow").write_text(rule)
        assert unreachable(pid, [NODE]) == ""


async def test_nobody_can_tell_of_a_container_that_has_ended() -> None:
    async with container(NODE) as pid:
        pass
    assert unreachable(pid, [NODE]) == ""
