"""The api answers what the documents print as they print it; on real processes tests/acceptance/test_conformance.py does."""

import asyncio
import json
from ipaddress import ip_address
from pathlib import Path

from conformance.asking import check
from conformance.document_000 import DOCUMENT as DOCUMENT_000
from conformance.document_001 import DOCUMENT as DOCUMENT_001
from conformance.document_001_batches import put_file
from conformance.document_002 import DOCUMENT as DOCUMENT_002
from conformance.document_004 import DOCUMENT as DOCUMENT_004
from coordinator.answering import RESULT, answering
from coordinator.api_world import keys_of, open_world
from coordinator.catalogue import CATALOGUE
from coordinator.computing import computing
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id
from neurogrid_coordinator.services.models import ModelSettings
from neurogrid_coordinator.services.operations import OperationSettings
from neurogrid_coordinator.store.accounts import SCOPES
from neurogrid_marketplace.standing import Standing


@on_asyncio
async def test_document_000(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=SCOPES)
        world.web.private["hooks.example.org", 443] = ip_address("127.0.0.1")
        url = "https://hooks.example.org/"
        async with answering(world):
            found = await check(DOCUMENT_000, world.client(), alice.key, webhook_url=url)
            assert not found, "\n".join(found)


@on_asyncio
async def test_document_001(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        put_file(world.uploads / alice.account.id)
        moving = asyncio.ensure_future(world.batch_runner().run())
        async with answering(world):
            assert await check(DOCUMENT_001, world.client(), alice.key) == []
        moving.cancel()


@on_asyncio
async def test_document_002(tmp_path: Path) -> None:
    async with open_world(tmp_path, models=ModelSettings(CATALOGUE, wait_s=60)) as world:
        alice = await world.customer("alice", scopes=SCOPES)
        for name in ("one", "two"):
            world.standings[node_id(name)] = Standing(score_permille=500)
        # What a model of any type leaves.
        heard = {"language": "en", "segments": [{"start": 0, "end": 1.5, "text": "Hello"}]}
        image = {"image": "image.png", "width": 1024, "height": 1024, "steps": 30}
        left = json.dumps({**RESULT, **heard, **image}).encode()
        async with answering(world, left, {"image.png": b"not really"}):
            found = await check(DOCUMENT_002, world.client(), alice.key)
            assert not found, "\n".join(found)


@on_asyncio
async def test_document_004(tmp_path: Path) -> None:
    patient = OperationSettings(wait_s=60)
    async with open_world(
        tmp_path,
        operations=patient,
        models=ModelSettings(CATALOGUE, wait_s=60),
        anonymous_account=keys_of("alice").address,
    ) as world:
        await world.customer("alice")
        async with computing(world):
            assert await check(DOCUMENT_004, world.client()) == []


@on_asyncio
async def test_a_coordinator_that_differs_is_found_out(tmp_path: Path) -> None:
    # Nobody is let in here without a key.
    async with open_world(tmp_path) as world:
        found = await check(DOCUMENT_004, world.client())
        assert any(one.startswith("GET /devices: 401, where the document has 200") for one in found)
        assert not any(one.startswith("GET /health") for one in found)
