"""Which images stay and which go: rules, file, and what a killed node finds of them."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.image_name import ImageName
from neurogrid_node.container.errors import ContainerGone, EngineConflict, EngineUnavailable
from neurogrid_node.container.image_cache import ImageCache
from neurogrid_node.container.image_eviction import KeptImage, kept_bytes, leaving
from neurogrid_node.container.image_store import FILE_NAME, ImageStore
from neurogrid_node.container.spec import ImageInfo

OLD = KeptImage("old", "id-old", 100, True, False, False, 1)
NEW = KeptImage("new", "id-new", 100, True, False, False, 2)
IMAGES = st.builds(
    KeptImage,
    name=st.text("abcdef", min_size=1, max_size=3),
    image_id=st.sampled_from(["", "x", "y", "z", "w"]),
    size_bytes=st.integers(0, 1000),
    brought=st.booleans(),
    pinned=st.booleans(),
    private=st.booleans(),
    used_at_ms=st.integers(0, 9),
    holders=st.sampled_from([(), ("lease",)]),
)


def test_the_longest_unused_goes_first_and_no_more_than_has_to() -> None:
    assert leaving([NEW, OLD], 200) == []
    assert leaving([NEW, OLD], 199) == [OLD]
    assert leaving([NEW, OLD], 99) == [OLD, NEW]
    assert leaving([NEW, OLD], 10**9, freed_bytes=1) == [OLD]
    assert leaving([NEW, OLD], 10**9, freed_bytes=10**9) == [OLD, NEW]


@pytest.mark.parametrize(
    "needed",
    [
        replace(OLD, pinned=True),
        replace(OLD, holders=("lease",)),
        replace(OLD, brought=False),
        replace(OLD, image_id=""),
    ],
)
def test_what_somebody_needs_stays(needed: KeptImage) -> None:
    assert leaving([needed], 0) == []


def test_an_image_of_two_names_goes_with_both_or_not_at_all() -> None:
    other = replace(OLD, name="other", used_at_ms=3)
    assert kept_bytes([OLD, other]) == 100
    assert leaving([OLD, other, NEW], 199) == [NEW], "one of them was used last"
    assert leaving([OLD, other], 0) == [OLD, other]
    assert leaving([OLD, replace(other, pinned=True)], 0) == []


@given(
    st.lists(IMAGES, max_size=8, unique_by=lambda each: each.name),
    st.integers(0, 3000),
    st.integers(0, 3000),
)
def test_nothing_that_is_needed_ever_goes(
    images: list[KeptImage], limit_bytes: int, freed_bytes: int
) -> None:
    gone = leaving(images, limit_bytes, freed_bytes)
    assert len({each.name for each in gone}) == len(gone)
    needed = {each.image_id for each in images if not each.may_go}
    assert not needed & {each.image_id for each in gone}
    stays = [each for each in images if each not in gone]
    if kept_bytes(stays) > limit_bytes:
        assert all(not each.may_go or each.image_id in needed for each in stays)


class Engine:
    """Images by name, as an engine has them."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.in_use: set[str] = set()
        self.is_away = False

    async def image(self, reference: str) -> ImageInfo | None:
        # As an engine does, which takes an image's id as well.
        found = {**{each: each for each in self.names.values()}, **self.names}.get(reference)
        return info(reference, found) if found is not None else None

    async def image_ids(self) -> frozenset[str]:
        return frozenset(self.names.values())

    async def remove_image(self, name: str) -> None:
        await trio.lowlevel.checkpoint()
        if self.is_away:
            raise EngineUnavailable("restarting")
        if name not in self.names:
            raise ContainerGone(name)
        if name in self.in_use:
            raise EngineConflict("a container has it")
        del self.names[name]


def info(name: str, image_id: str) -> ImageInfo:
    return ImageInfo(name, image_id, "sha256:" + "d" * 64 if "/me/" in name else None, 100)


class World:
    """A cache over such an engine, on a clock of whole numbers."""

    def __init__(self, directory: Path, limit_bytes: int = 200) -> None:
        self.directory = directory
        self.limit_bytes = limit_bytes
        self.engine = Engine()
        self.now_ms = 0
        self.restart()

    def restart(self) -> None:
        """kill -9, and another life."""
        self.store = ImageStore(self.directory)
        self.cache = ImageCache(self.store, self.engine, self._now, limit_bytes=self.limit_bytes)

    def _now(self) -> int:
        self.now_ms += 1
        return self.now_ms

    async def fetch(self, reference: str, *holders: str, private: bool = False) -> None:
        name = ImageName.read(reference)
        await self.cache.begin(name)
        self.engine.names[name.reference] = f"id of {name.reference}"
        image = await self.engine.image(name.reference)
        assert image is not None
        await self.cache.arrived(name, image, holders, private=private)

    async def prune(self) -> list[str]:
        gone = await self.cache.prune()
        return [each.name.removeprefix("docker.io/me/").removesuffix(":latest") for each in gone]


async def test_the_least_recently_used_goes_across_restarts(tmp_path: Path) -> None:
    world = World(tmp_path)
    for reference in ("me/a", "me/b", "me/c"):
        await world.fetch(reference)
    assert await world.cache.here("lease", "me/a") is not None
    await world.cache.release(set())
    world.restart()
    assert await world.prune() == ["b"]
    assert await world.prune() == []
    assert set(world.engine.names) == {"docker.io/me/a:latest", "docker.io/me/c:latest"}


async def test_a_lease_holds_its_image_until_it_is_over(tmp_path: Path) -> None:
    world = World(tmp_path, limit_bytes=0)
    await world.fetch("me/a", "lease_1", "lease_2")
    await world.cache.release({"lease_1", "lease_2"})
    world.restart()
    await world.cache.release({"lease_2"})
    assert await world.prune() == []
    await world.cache.release(set())
    assert await world.prune() == ["a"]
    assert await world.cache.here("lease_3", "me/a") is None


async def test_what_was_here_before_is_not_ours_to_remove(tmp_path: Path) -> None:
    world = World(tmp_path, limit_bytes=0)
    world.engine.names["docker.io/owners/own:1"] = "id of docker.io/me/a:latest"
    world.engine.names["docker.io/neurogrid/job:1"] = "job"
    assert await world.cache.here("lease", "neurogrid/job:1") is not None
    await world.cache.release(set())
    # The same image by another name, of a registry.
    await world.fetch("me/a")
    assert await world.prune() == []
    assert len(world.engine.names) == 3


async def test_a_node_that_was_killed_knows_what_came_by_it(tmp_path: Path) -> None:
    world = World(tmp_path, limit_bytes=0)
    for reference in ("me/came", "me/never"):
        await world.cache.begin(ImageName.read(reference))
    world.engine.names["docker.io/me/came:latest"] = "came"
    world.restart()
    await world.cache.restore()
    (came,) = world.store.images()
    # For whom it came is not known any more.
    assert (came.image_id, came.brought, came.private) == ("came", True, True)
    assert await world.prune() == ["came"]


async def test_what_the_engine_does_not_let_go_stays_known(tmp_path: Path) -> None:
    world = World(tmp_path, limit_bytes=0)
    await world.fetch("me/a")
    name = "docker.io/me/a:latest"
    world.engine.in_use.add(name)
    assert await world.prune() == []
    world.engine.in_use.clear()
    world.engine.is_away = True
    with pytest.raises(EngineUnavailable):
        await world.prune()
    world.engine.is_away = False
    assert [each.name for each in world.store.images()] == [name]
    # Somebody else removed it: it is forgotten.
    del world.engine.names[name]
    assert await world.prune() == ["a"]
    assert world.store.images() == []


async def test_pins(tmp_path: Path) -> None:
    world = World(tmp_path, limit_bytes=0)
    await world.fetch("me/a")
    a, own = "docker.io/me/a:latest", "docker.io/owners/own:1"
    world.store.pin(a, info(a, "x"), 1)
    world.store.pin(own, info(own, "y"), 1)
    assert await world.prune() == []
    assert {each.name: each.pinned for each in world.store.images()} == {a: True, own: True}
    assert world.store.unpin(a)
    assert world.store.unpin(own)
    assert not world.store.unpin(own)
    # What we have not brought is of no interest to us without its pin.
    assert [each.name for each in world.store.images()] == [a]
    assert await world.prune() == ["a"]


async def test_a_damaged_file_costs_images_that_stay(tmp_path: Path) -> None:
    world = World(tmp_path, limit_bytes=0)
    await world.fetch("me/a")
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)
    assert await world.prune() == []
    assert len(world.engine.names) == 1
    await world.fetch("me/b")
    assert await world.prune() == ["b"]


async def test_somebodys_own_image_is_fetched_again_as_whoever_asks(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.fetch("me/own", "lease", private=True)
    own = "docker.io/me/own:latest"
    assert await world.cache.here("another", "me/own") is None
    assert own in world.engine.names
    # Fetched again with credentials, it stays their own; also for a node that was killed.
    await world.fetch("me/own", "another", private=True)
    world.restart()
    assert await world.cache.image("me/own") is None
    assert await world.cache.offered([own, "docker.io/me/a:1", f"me/own@sha256:{'d' * 64}"]) == (
        "docker.io/me/a:1",
    )
    # By its id it is not found at all: that is another name.
    world.engine.names[own] = "deadbeef"
    assert await world.engine.image("deadbeef") is not None
    assert await world.cache.image("deadbeef") is None
    # Whoever gets it as anybody shows that it is anybody's.
    await world.fetch("me/own")
    assert await world.cache.image("me/own") is not None


async def test_nobody_makes_another_ones_image_their_own(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.engine.names["docker.io/neurogrid/job:1"] = "id of docker.io/me/own:latest"
    await world.fetch("me/own", private=True)
    assert await world.cache.image("neurogrid/job:1") is not None


async def test_after_a_damage_a_registry_decides_who_may_have_what(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.fetch("me/own", private=True)
    world.engine.names["docker.io/neurogrid/job:1"] = "built here"
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)
    world.restart()
    assert await world.cache.image("me/own") is None
    assert await world.cache.image("neurogrid/job:1") is not None
    await world.fetch("me/own")
    assert await world.cache.image("me/own") is not None
