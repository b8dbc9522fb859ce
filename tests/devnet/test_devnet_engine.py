"""What the devnet asks of the container engine, and what it says when it does not get it."""

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
    made = []
    try:
        for number, node in enumerate((NODE, NODE, OTHER)):
            lease = f"devnet-test-{number}"
            labels = {"io.neurogrid.node": node, "io.neurogrid.lease": lease}
            made.append(
                client.containers.create(
                    JOB_IMAGE, ["true"], name=f"neurogrid-{lease}", labels=labels
                )
            )
        assert await remove_containers([NODE]) == []
        left = {container.id for container in client.containers.list(all=True)}
        assert [container.id in left for container in made] == [False, False, True]
    finally:
        await remove_containers([NODE, OTHER])
        client.close()


def test_nothing_is_mounted_below_an_ordinary_folder(tmp_path: Path) -> None:
    assert mounts_below(tmp_path) == []
    assert Path("/proc") in mounts_below(Path("/"))
