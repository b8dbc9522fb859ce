"""Images from a registry that wants a password, each fetched as whoever the task names and nobody else."""

import base64
import json
from pathlib import Path

import docker
import pytest
import trio

from engine.bench import PATIENCE_S, Bench
from engine.real_registry import AUTH, RealRegistry
from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.registry_auth import RegistryAuth
from neurogrid_node.container.engine import connect_engine
from neurogrid_node.container.errors import ImageNotFound, NoDiskForImage
from neurogrid_node.container.image_cache import ImageCache
from neurogrid_node.container.image_store import ImageStore
from neurogrid_node.container.pull import PullProgress
from neurogrid_node.container.pulls import Pulled, Pulls
from neurogrid_node.container.registry import Registries
from neurogrid_node.files.artifacts import http_client

pytestmark = pytest.mark.engine


def forget(*references: str) -> None:
    api = docker.APIClient()
    for reference in references:
        api.remove_image(reference, force=True)
    api.close()


def ignore(progress: PullProgress) -> None:
    """For pulls whose progress does not matter."""


async def test_the_owners_own_credentials_are_sent_for_nobodys_image(
    registry: RealRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = registry.push("owners/own")
    pair = base64.b64encode(f"{AUTH.username}:{AUTH.password}".encode()).decode()
    logged_in = {"auths": {registry.host: {"auth": pair}}}
    (tmp_path / "config.json").write_text(json.dumps(logged_in))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    async with connect_engine("test-owner", grace_s=5) as engine:
        with pytest.raises(ImageNotFound, match="credentials"):
            await engine.pull(made.reference, ignore, stall_timeout_s=PATIENCE_S)
    assert registry.asked("owners/own", by=AUTH.username) == []
    # They would have opened it.
    async with connect_engine("test-owner", grace_s=5) as engine:
        image = await engine.pull(made.reference, ignore, stall_timeout_s=PATIENCE_S, auth=AUTH)
    assert image.digest == made.digest
    forget(made.reference)


async def test_two_leases_of_an_image_fetch_it_once_and_weigh_it_before(
    registry: RealRegistry, bench: Bench, tmp_path: Path
) -> None:
    made = registry.push("tenants/one")
    room_bytes = made.layer_bytes - 1
    pulled: list[Pulled] = []

    async def room() -> int | None:
        # Unpacked, it is counted three times.
        return room_bytes * 3

    async with http_client() as http, trio.open_nursery() as nursery:
        registries = Registries(http, bench.engine.info.architecture, lambda host: True)
        name = ImageName.read(made.reference)
        manifest = await registries.look(name, AUTH)
        assert (manifest.digest, manifest.compressed_bytes) == (made.digest, made.layer_bytes)
        for auth in (None, RegistryAuth(AUTH.username, "wrong")):
            with pytest.raises(ImageNotFound, match="HTTP 401"):
                await registries.look(name, auth)
        cache = ImageCache(ImageStore(tmp_path), bench.engine, lambda: 1, limit_bytes=0)
        pulls = Pulls(
            bench.engine, registries, cache, nursery, stall_timeout_s=PATIENCE_S, free_bytes=room
        )
        with pytest.raises(NoDiskForImage, match=f"room for {room_bytes}"):
            await pulls.pull("lease", made.reference, ignore, AUTH)
        assert not registry.asked("tenants/one/blobs"), "it was weighed before anything was fetched"
        room_bytes += 1

        async def pull() -> None:
            pulled.append(await pulls.pull("lease", made.reference, ignore, AUTH))

        async with trio.open_nursery() as leases:
            for _ in range(2):
                leases.start_soon(pull)
    assert len(registry.asked("tenants/one/blobs")) == len(made.blobs)
    assert pulled[0] == pulled[1]
    assert pulled[0].pulled_bytes == made.layer_bytes
    # By its tag, too, though it was fetched by its digest.
    here = await bench.engine.image(made.reference)
    assert here is not None
    assert (here.image_id, here.digest) == (pulled[0].image.image_id, made.digest)
    # Nothing is kept here, but a lease has it.
    assert await cache.prune() == []
    await cache.release({"lease"})
    assert await cache.prune() == []
    await cache.release(set())
    assert [gone.name for gone in await cache.prune()] == [made.reference]
    assert here.image_id not in await bench.engine.image_ids(), "with its digest's name, too"
