"""Refused forks, as the kernel counts them, in files made by hand."""

from pathlib import Path

import pytest
import trio
import trio.testing

from neurogrid_node.container.forks import fork_refused

V1 = "9:name=systemd:/\n8:pids:/docker/abc\n7:memory:/docker/abc\n0::/docker/abc\n"
V2 = "0::/system.slice/docker-abc.scope\n"


class Kernel:
    """A process and its cgroup, as files."""

    def __init__(self, folder: Path, lines: str, group: str) -> None:
        self.proc, self.cgroups = folder / "proc", folder / "cgroup"
        (self.proc / "7").mkdir(parents=True)
        (self.proc / "7" / "cgroup").write_text(lines)
        self.events = self.cgroups / group / "pids.events"
        self.events.parent.mkdir(parents=True)
        self.events.write_text("max 0\n")

    async def fork_refused(self) -> bool:
        return await fork_refused(7, proc=self.proc, cgroups=self.cgroups)


@pytest.mark.parametrize(
    ("lines", "group"), [(V1, "pids/docker/abc"), (V2, "system.slice/docker-abc.scope")]
)
async def test_a_refused_fork_is_noticed_under_both_versions_of_cgroups(
    tmp_path: Path, lines: str, group: str, autojump_clock: trio.testing.MockClock
) -> None:
    kernel = Kernel(tmp_path, lines, group)
    refused: list[bool] = []

    async def watch() -> None:
        refused.append(await kernel.fork_refused())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await trio.sleep(1)
        assert refused == []
        kernel.events.write_text("max 3\n")
    assert refused == [True]


@pytest.mark.parametrize("lines", ["", "7:memory:/docker/abc\n", "0::/elsewhere\n"])
async def test_where_nothing_can_be_read_nothing_is_claimed(tmp_path: Path, lines: str) -> None:
    assert not await Kernel(tmp_path, lines, "pids/docker/abc").fork_refused()


async def test_a_process_that_is_gone_was_refused_nothing(tmp_path: Path) -> None:
    assert not await fork_refused(7, proc=tmp_path, cgroups=tmp_path)
