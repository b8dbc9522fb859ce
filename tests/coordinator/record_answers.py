"""Records the examples of answers in the OpenAPI document: `make examples`.

Each operation is asked what `right_requests` makes for it. Examples that still fit their operation stay as they are.
"""

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from coordinator.api_world import USDC, open_world
from coordinator.catalogue import CATALOGUE
from coordinator.documented import misfits
from coordinator.right_requests import right_request, send_right
from coordinator.route_access import Operation, operations
from neurogrid_coordinator.api import answer_examples
from neurogrid_coordinator.services.models import ModelSettings
from neurogrid_coordinator.services.operations import OperationSettings
from neurogrid_coordinator.store.accounts import ROLES, SCOPES

_FILE = Path(answer_examples.__file__).with_name("answers.json")
_PATIENCE_S = 60
# Of a list, so that a page has room for it.
_ITEMS_MAX = 2
_SECRET = re.compile(r"\b(ng|ngc|ngo|ngr|whsec)_[A-Za-z0-9_-]{30,}")


def _shown(value: Any) -> Any:
    """An answer as an example: short lists, no secret that opened something, no name of a test."""
    if isinstance(value, dict):
        return {name: _shown(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_shown(part) for part in value[:_ITEMS_MAX]]
    if isinstance(value, str):
        text = _SECRET.sub(lambda found: f"{found[1]}_" + "Xy7" * 14, value)
        return text.replace("http://api", "https://api.example.com")
    return value


def _is_empty(example: Any) -> bool:
    """Whether it is a list of nothing."""
    data = example.get("data", example)
    if isinstance(data, list):
        # As OpenAI has lists.
        return not data
    return any(value == [] for value in data.values()) and data.get("total") in (0, None)


async def _record(folder: Path) -> list[str]:
    """Write the file; which operations have no example."""
    async with open_world(
        folder,
        operations=OperationSettings(wait_s=_PATIENCE_S),
        models=ModelSettings(CATALOGUE, wait_s=_PATIENCE_S),
    ) as world:
        acme = await world.customer(
            "Acme Robotics", deposit=100_000 * USDC, scopes=SCOPES, roles=ROLES
        )
        document = (await world.client().get("/openapi.json")).json()
        kept = answer_examples.recorded()
        found: dict[str, Any] = {}
        asked = operations(world.app.routes)
        # Twice: lists have something by then.
        for number, operation in enumerate([*asked, *asked]):
            documented = Operation(operation.method, operation.path.replace(":path}", "}"))
            of = document["paths"].get(documented.path, {}).get(documented.method.lower())
            name = str(documented)
            if of is None or (name in found and not _is_empty(found[name])):
                continue
            if name in kept and not misfits(document, of, kept[name]):
                found[name] = kept[name]
                continue
            right = await right_request(world, acme, operation, f"Nightly {number}")
            answer = await send_right(world, acme, operation, right)
            if answer.is_success and answer.headers.get("content-type") == "application/json":
                found[name] = _shown(answer.json())
    lines = (f"{json.dumps(name)}: {json.dumps(one)}" for name, one in found.items())
    _FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    return [
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
        if f"{method.upper()} {path}" not in found
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        missing = asyncio.run(_record(Path(made)))
    sys.stdout.write("".join(f"no JSON to show: {name}\n" for name in missing))
