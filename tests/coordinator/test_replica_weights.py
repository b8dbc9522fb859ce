"""Weights that are not in an image are inputs of each replica's job, told to nodes before they bid."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import model, open_replica_world
from neurogrid_coordinator.replicas.orders import ReplicaSettings, replica_submission
from neurogrid_marketplace.model_server import ModelWeights
from neurogrid_marketplace.serving import WeightsFile

DATA = b"numbers " * 100


def weights(**changes: Any) -> ModelWeights:
    return msgspec.convert(
        {"source": "hf:makers/warm", "size_gb": 0.1, **changes}, ModelWeights, strict=True
    )


def file(sha256: str, path: str = "model.safetensors", size_bytes: int = 1) -> dict[str, Any]:
    return {"path": path, "sha256": sha256, "size_bytes": size_bytes}


def test_they_lie_where_the_entry_says_that_the_server_looks() -> None:
    given = weights(cache_path="/inputs/hub", files=[file("a" * 64), file("b" * 64, "deep/b.json")])
    wanted = replica_submission(model(weights=given), ReplicaSettings("acct"))
    assert [item.path for item in wanted.inputs] == ["hub/model.safetensors", "hub/deep/b.json"]
    assert wanted.serves is not None
    assert wanted.serves.weights == (WeightsFile("a" * 64, 1), WeightsFile("b" * 64, 1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cache_path": "/weights"}, "cache_path"),
        ({"cache_path": "/inputs/../etc"}, "files"),
        ({"files": [file("a" * 64, "/etc/passwd")]}, "path"),
        ({"files": [file("a" * 64, "../passwd")]}, "path"),
        ({"files": [file("a" * 63)]}, "sha256"),
        ({"files": [file("a" * 64), file("b" * 64)]}, "two have the same path"),
    ],
)
def test_a_place_that_is_none_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        weights(**{"files": [file("a" * 64)], **changes})


@on_asyncio
async def test_a_replica_has_them_as_inputs_once_they_are_there_and_until_then_it_is_said_what_lacks(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path, replicas_min=1, weights=weights()) as here:
        await here.upkeep.look()
        assert await here.rows() == []
        assert "`neurogrid models upload`" in here.pool.problem

        # The entry names them, and they are not among the account's files.
        sha256 = hashlib.sha256(DATA).hexdigest()
        named = weights(files=[file(sha256, size_bytes=len(DATA))])
        await here.restart(models={"warm": model(replicas_min=1, weights=named)})
        here.turn(60)
        await here.upkeep.look()
        assert f"the artifact {sha256} is not here" in here.pool.problem

        uploaded = await here.operator.http.put(f"/api/v1/artifacts/{sha256}", content=DATA)
        assert uploaded.status_code == 201
        here.turn(60)
        await here.upkeep.look()
        (row,) = await here.rows()
        (given,) = row.job.inputs
        assert (given.path, given.sha256) == ("model.safetensors", sha256)
        demand = row.state.demand
        assert (demand.input_bytes, demand.requirements.disk_bytes) == (len(DATA), 100_000_000)
        assert demand.serves is not None
        assert demand.serves.weights == (WeightsFile(sha256, len(DATA)),)
        assert await here.up(row.id)
