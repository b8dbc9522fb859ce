"""The official `openai` client, at a test world's api behind a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from coordinator.api_world import Customer, World, open_world
from coordinator.catalogue import CATALOGUE
from coordinator.served import served
from neurogrid_coordinator.services.models import ModelSettings

_PATIENT = ModelSettings(CATALOGUE, wait_s=60)


@asynccontextmanager
async def openai_client(
    folder: Path, **settings: Any
) -> AsyncIterator[tuple[World, Customer, AsyncOpenAI]]:
    """A world, Alice, and the client with her key, which tries nothing again."""
    async with (
        open_world(folder, **{"models": _PATIENT, **settings}) as world,
        served(world) as address,
    ):
        alice = await world.customer("alice")
        async with AsyncOpenAI(
            api_key=alice.key, base_url=f"http://{address}/v1", max_retries=0
        ) as client:
            yield world, alice, client
