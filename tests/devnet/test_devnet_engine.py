"""What the devnet asks of the container engine, and what it says when it does not get it."""

import secrets
from pathlib import Path

import docker
import pytest

from neurogrid_devnet.engine import check_engine, mounts_below, remove_containers
from neurogrid_devnet.errors import ImagesMissing
from neurogrid_devnet.layout import JOB_IMAGE
from neurogrid_marketplace.identity import peer_id_of

NODE = peer_id_of(b"d" * 32)
OTHER = peer_id_of(b"e" * 32)


@pytest.mark.engine
async def test_an_engine_with_the_image_is_all_it_needs() -> None:
    await check_engine()


@pytest.mark.engine
async def test_images_that_are_not_built_are_said_with_what_to_type() -> None:
    with pytest.raises(ImagesMissing, match=r"neurogrid/nonsense:1 is not built.*make images"):
        await check_engine("neurogrid/nonsense:1")


@pytest.mark.engine
async def test_only_the_containers_of_the_named_nodes_are_removed() -> None:
    client = docker.from_env()
    made: dict[str, list[str]] = {NODE: [], OTHER: []}
    try:
        for node, ids in made.items():
            # As jobs and their links are named, and what a node tries its machine with.
            for kind in ("", "link.", "egress."):
                for lease in ("lease_", "probe-"):
                    lease += secrets.token_hex(16)
                    labels = {"io.neurogrid.node": node, "io.neurogrid.lease": lease}
                    container = client.containers.create(
                        JOB_IMAGE, ["true"], name=f"neurogrid-{kind}{lease}", labels=labels
                    )
                    ids.append(str(container.id))
        assert await remove_containers([NODE]) == []
        left = {found["Id"] for found in client.api.containers(all=True)}
        assert left.isdisjoint(made[NODE])
        assert left >= set(made[OTHER])
    finally:
        await remove_containers([NODE, OTHER])
        client.close()


def test_nothing_is_mounted_below_an_ordinary_folder(tmp_path: Path) -> None:
    assert mounts_below(tmp_path) == []
    assert Path("/proc") in mounts_below(Path("/"))
