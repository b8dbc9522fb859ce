"""Pulls that leases share: once, within bounds, and for as long as anybody waits."""

from collections.abc import Callable, Collection

import pytest
import trio
from trio.testing import MockClock

from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.registry_auth import RegistryAuth
from neurogrid_node.container.errors import (
    EngineError,
    ImageNotFound,
    NoDiskForImage,
    PullFailed,
    PullStalled,
)
from neurogrid_node.container.manifest import Manifest
from neurogrid_node.container.pull import PullProgress
from neurogrid_node.container.pulls import PAUSES_S, Pulls
from neurogrid_node.container.registry import RegistryUnseen
from neurogrid_node.container.spec import ImageInfo

MANIFEST = Manifest("sha256:" + "d" * 64, {"layer": 100})
TAKES_S = 5.0


class World:
    """An engine and a registry that answer as they are told."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.unseen = False
        self.room_bytes: int | None = 1000
        self.pulled: list[str] = []
        self.ended = 0
        self.tagged: list[str] = []
        self.notes: list[object] = []
        self.frees_bytes = 0
        # What a pull unpacks each second, and has unpacked.
        self.bomb_bytes = 0
        self.unpacked: list[int] = []

    async def look(self, name: ImageName, auth: RegistryAuth | None = None) -> Manifest:
        if self.unseen:
            raise RegistryUnseen("no answer")
        return MANIFEST

    async def pull(
        self,
        reference: str,
        report: Callable[[PullProgress], None],
        *,
        stall_timeout_s: float,
        max_bytes: int | None = None,
        auth: RegistryAuth | None = None,
    ) -> ImageInfo:
        self.pulled.append(reference)
        try:
            report(PullProgress(50, 100))
            for _ in range(round(TAKES_S)):
                self.unpacked.append(self.bomb_bytes)
                await trio.sleep(1)
            if self.failures:
                raise self.failures.pop(0)
            report(PullProgress(100, 100))
        finally:
            self.ended += 1
        return ImageInfo(reference, "sha256:id", MANIFEST.digest, 300)

    async def tag(self, image_id: str, name: ImageName) -> None:
        self.tagged.append(f"{name.full_repository}:{name.tag}")

    async def begin(self, name: ImageName) -> None:
        self.notes.append("begin")

    async def arrived(
        self, name: ImageName, image: ImageInfo, holders: Collection[str], *, private: bool
    ) -> None:
        self.notes.append((sorted(holders), private))

    async def failed(self, name: ImageName) -> None:
        self.notes.append("failed")

    async def free(self, size_bytes: int) -> None:
        self.notes.append(size_bytes)
        assert self.room_bytes is not None
        self.room_bytes += self.frees_bytes

    async def free_bytes(self) -> int | None:
        if self.room_bytes is None:
            return None
        # Unpacked, an image is counted three times.
        return self.room_bytes * 3 - sum(self.unpacked)

    def pulls(self, nursery: trio.Nursery) -> Pulls:
        return Pulls(self, self, self, nursery, stall_timeout_s=60, free_bytes=self.free_bytes)


def ignore(progress: PullProgress) -> None:
    """For pulls whose progress does not matter."""


async def test_leases_share_a_pull_and_each_is_told_how_far_it_is(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world, seen = World(), [list[PullProgress]() for _ in range(3)]
    pulls = world.pulls(nursery)
    async with trio.open_nursery() as leases:
        for each in seen:
            leases.start_soon(pulls.pull, "", "me/tool:1", each.append)
            await trio.sleep(1)
    assert world.pulled == [f"docker.io/me/tool@{MANIFEST.digest}"]
    assert world.tagged == ["docker.io/me/tool:1"]
    assert trio.current_time() == TAKES_S
    for each in seen:
        assert PullProgress(50, 100) in each
        assert each[-1] == PullProgress(100, 100)
    await pulls.pull("", "me/tool:1", ignore)
    assert len(world.pulled) == 2, "what has ended is shared with nobody"


async def test_another_name_or_another_tenant_is_another_pull(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World()
    pulls = world.pulls(nursery)
    async with trio.open_nursery() as leases:
        leases.start_soon(pulls.pull, "", "me/tool:1", ignore)
        leases.start_soon(pulls.pull, "", "me/tool:2", ignore)
        for password in ("a", "b"):
            leases.start_soon(pulls.pull, "", "me/tool:1", ignore, RegistryAuth("me", password))
    assert len(world.pulled) == 4


async def test_it_goes_on_for_whoever_still_waits_and_ends_with_the_last(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World()
    pulls = world.pulls(nursery)
    scopes = [trio.CancelScope(), trio.CancelScope()]

    async def lease(scope: trio.CancelScope) -> None:
        with scope:
            await pulls.pull("", "me/tool:1", ignore)

    async with trio.open_nursery() as leases:
        for scope in scopes:
            leases.start_soon(lease, scope)
        await trio.sleep(1)
        scopes[0].cancel()
        await trio.sleep(1)
        assert world.ended == 0
        scopes[1].cancel()
        await trio.sleep(0.1)
        assert world.ended == 1
        assert not world.tagged
        # One that comes now does not wait for what was given up.
        await pulls.pull("", "me/tool:1", ignore)
    assert world.tagged == ["docker.io/me/tool:1"]


@pytest.mark.parametrize("error", [PullFailed("HTTP 503"), PullStalled("no byte")])
async def test_what_may_pass_is_tried_again_within_bounds(
    error: EngineError, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World()
    world.failures = [error] * len(PAUSES_S)
    await world.pulls(nursery).pull("", "me/tool:1", ignore)
    assert len(world.pulled) == 1 + len(PAUSES_S)
    assert trio.current_time() == sum(PAUSES_S) + TAKES_S * len(world.pulled)
    world.failures = [error] * 10
    with pytest.raises(type(error)):
        await world.pulls(nursery).pull("", "me/tool:1", ignore)
    assert len(world.failures) == 10 - 1 - len(PAUSES_S)


async def test_what_will_not_pass_is_not(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    world = World()
    world.failures = [ImageNotFound("no such image")]
    with pytest.raises(ImageNotFound):
        await world.pulls(nursery).pull("", "me/tool:1", ignore)
    with pytest.raises(ImageNotFound, match="no image's name"):
        await world.pulls(nursery).pull("", "a" * 64, ignore)
    assert len(world.pulled) == 1


async def test_an_image_is_weighed_beside_the_pulls_that_run(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World()
    pulls = world.pulls(nursery)
    # The first has fetched half of its hundred.
    world.room_bytes = 149
    async with trio.open_nursery() as leases:
        leases.start_soon(pulls.pull, "", "me/tool:1", ignore)
        await trio.sleep(1)
        with pytest.raises(NoDiskForImage, match=r"has 100 compressed bytes .* room for 99"):
            await pulls.pull("", "me/tool:2", ignore)
        world.room_bytes = 150
        await pulls.pull("", "me/tool:2", ignore)
    world.room_bytes = None
    await pulls.pull("", "me/tool:3", ignore)


async def test_a_registry_that_cannot_be_asked_is_left_to_the_engine(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World()
    world.unseen = True
    await world.pulls(nursery).pull("", "me/tool:1", ignore)
    assert world.pulled == ["docker.io/me/tool:1"]
    assert not world.tagged, "the engine has named it"


async def test_what_comes_is_noted_with_all_who_wait_for_it(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World()
    pulls = world.pulls(nursery)
    async with trio.open_nursery() as leases:
        for lease_id in ("lease_b", "lease_a", ""):
            leases.start_soon(pulls.pull, lease_id, "me/tool:1", ignore)
    assert world.notes == ["begin", (["lease_a", "lease_b"], False)]
    await pulls.pull("lease_c", "me/tool:1", ignore, RegistryAuth("me", "secret"))
    assert world.notes[2:] == ["begin", (["lease_c"], True)]
    world.failures = [ImageNotFound("no such image")]
    with pytest.raises(ImageNotFound):
        await pulls.pull("lease_d", "me/tool:1", ignore)
    assert world.notes[4:] == ["begin", "failed"]


async def test_room_is_made_of_what_nobody_needs(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World()
    world.room_bytes, world.frees_bytes = 90, 5
    pulls = world.pulls(nursery)
    with pytest.raises(NoDiskForImage, match="room for 95"):
        await pulls.pull("", "me/tool:1", ignore)
    # Unpacked, three times as much.
    assert world.notes == ["begin", 30, "failed"]
    await pulls.pull("", "me/tool:1", ignore)
    assert world.room_bytes == 100


async def test_some_bytes_that_unpack_to_any_number_do_not_fill_the_disk(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World()
    # 3,000 bytes are free, and 1,500 stay.
    world.bomb_bytes = 600
    with pytest.raises(NoDiskForImage, match="less than 1500 bytes of the disk were left"):
        await world.pulls(nursery).pull("", "me/bomb:1", ignore)
    assert (world.ended, len(world.pulled)) == (1, 1), (
        "the engine is told to stop, and not asked again"
    )
    assert trio.current_time() < TAKES_S
    assert world.notes == ["begin", "failed"]
    world.unpacked.clear()
    world.bomb_bytes = 250
    await world.pulls(nursery).pull("", "me/tool:1", ignore)
