"""Write the TypeScript SDK's types of the API anew: `make schema`."""

import asyncio
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from coordinator.api_world import open_world
from javascript import NODE

PACKAGE = Path(__file__).parents[2] / "sdk/typescript"


async def document() -> Any:
    """What a coordinator of this checkout says of its API."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_world(Path(folder)) as world:
            return (await world.client().get("/openapi.json")).json()


def schema(package: Path, openapi: Any) -> str:
    """The types, as the package's own script writes them."""
    return subprocess.run(
        [NODE, "scripts/schema.mjs"],
        cwd=package,
        input=json.dumps(openapi),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


if __name__ == "__main__":
    (PACKAGE / "src/schema.ts").write_text(schema(PACKAGE, asyncio.run(document())))
