"""The same order over hivemind's DHT: announcement, bids, award and accept are stored and got.

``over_hivemind NODES PAYLOADS`` is the one who orders; ``over_hivemind nodes FIRST COUNT PAYLOADS PEERS``
is a process of nodes. Every one is a real `DHTNode` with a p2pd of its own, as `hivemind.DHT` runs it.

A DHT tells nobody that something was stored: nodes would have to look again and again. Here each is told
by a pipe at the very moment when there is something to get, which is better than any interval of
polling; what is measured is the stores and gets alone. Nothing is signed, checked or ranked.
"""

import asyncio
import json
import random
import secrets
import sys
import time
from typing import Any

from hivemind.dht import DHTNode
from hivemind.utils import get_dht_time

from .lines import Worker, commands, say

_ASKED = 8
_PROCESSES = 2
# Joining the DHT is mostly waiting for others.
_JOINING = 2
_KEPT_S = 60
# What was stored is there when the store returns; more looks than this mean that it is lost.
_LOOKS = 100


async def _store(node: DHTNode, key: str, value: str, subkey: int | None = None) -> None:
    until = get_dht_time() + _KEPT_S
    if not await node.store(key, value.encode(), until, subkey=subkey):
        raise RuntimeError(f"{key} was not stored")


async def _get(node: DHTNode, key: str, count: int = 1) -> None:
    """Look until a key has that many values."""
    for _ in range(_LOOKS):
        found = await node.get(key, latest=True)
        if found is not None and (count == 1 or len(found.value) == count):
            return
    raise RuntimeError(f"{key} was not found")


async def _bid(node: DHTNode, order: str, name: int, payloads: dict[str, str]) -> None:
    await _get(node, f"{order} demand")
    await _store(node, f"{order} bids", payloads["bid"], subkey=name)


async def _accept(node: DHTNode, order: str, payloads: dict[str, str]) -> None:
    await _get(node, f"{order} award")
    await _store(node, f"{order} accept", payloads["accept"])


async def _serve_nodes(first: int, count: int, payloads: dict[str, str], peers: list[str]) -> None:
    slots = asyncio.Semaphore(_JOINING)

    async def join() -> DHTNode:
        async with slots:
            return await DHTNode.create(initial_peers=peers)

    made = await asyncio.gather(*(join() for _ in range(count)))
    nodes = dict(enumerate(made, first))
    say({"joined": count})
    async for command in commands():
        order = command["order"]
        if "bid" in command:
            await asyncio.gather(*(_bid(nodes[n], order, n, payloads) for n in command["bid"]))
        else:
            await _accept(nodes[command["accept"]], order, payloads)
        say({})
    await asyncio.gather(*(node.shutdown() for node in made))


async def _order(
    client: DHTNode, workers: list[Worker], each: int, payloads: dict[str, str]
) -> dict[str, float]:
    numbers = random.sample(range(len(workers) * each), _ASKED)
    asked = {n // each: [m for m in numbers if m // each == n // each] for n in numbers}
    order = secrets.token_hex(16)

    def tell(worker: int, **command: Any) -> Any:
        return workers[worker].tell({"order": order, **command})

    started_s = time.perf_counter()
    await _store(client, f"{order} demand", payloads["demand"])
    await asyncio.gather(*(tell(worker, bid=theirs) for worker, theirs in asked.items()))
    await _get(client, f"{order} bids", len(numbers))
    await _store(client, f"{order} award", payloads["award"])
    await tell(numbers[0] // each, accept=numbers[0])
    await _get(client, f"{order} accept")
    return {"ms": (time.perf_counter() - started_s) * 1000}


async def _main(count: int, payloads_json: str) -> None:
    payloads = json.loads(payloads_json)
    client = await DHTNode.create()
    peers = [str(address) for address in await client.get_visible_maddrs()]
    each = count // _PROCESSES
    workers: list[Worker] = []
    say({"server": None})
    async for command in commands():
        if command == "join":
            for first in range(0, count, each):
                arguments = ("nodes", str(first), str(each), payloads_json, json.dumps(peers))
                workers.append(await Worker.start(f"{__package__}.over_hivemind", *arguments))
            for worker in workers:
                await worker.hear()
            say({"nodes": [worker.pid for worker in workers]})
        else:
            say(await _order(client, workers, each, payloads))
    for worker in workers:
        await worker.stop()
    await client.shutdown()


if __name__ == "__main__":
    if sys.argv[1] == "nodes":
        first, count, payloads, peers = sys.argv[2:]
        asyncio.run(_serve_nodes(int(first), int(count), json.loads(payloads), json.loads(peers)))
    else:
        asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
