"""The same order over NATS: eight requests with one inbox for the answers, then one request to the winner.

``over_nats NODES SERVER PAYLOADS`` is the one who orders and starts everything else; ``over_nats nodes URL
FIRST COUNT PAYLOADS`` is a process of nodes. The payloads are bytes of the same length as ours; nothing is
signed, checked, ranked or stored here, so this is the floor of a request to many.
"""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from .lines import Worker, commands, say

_ASKED = 8
_PROCESSES = 4
_UP_LIMIT_S = 30
_LIMIT_S = 10


async def _serve_nodes(url: str, first: int, count: int, payloads: dict[str, str]) -> None:
    """Nodes that answer at once, each on a connection of its own."""
    bid, accept = payloads["bid"].encode(), payloads["accept"].encode()

    async def answer(message: Msg) -> None:
        await message.respond(accept if message.subject.endswith(".award") else bid)

    clients = []
    for number in range(first, first + count):
        client = await nats.connect(url)
        await client.subscribe(f"node.{number}.*", cb=answer)
        await client.flush()
        clients.append(client)
    say({"joined": count})
    async for _ in commands():
        pass
    for client in clients:
        await client.close()


async def _order(client: Client, count: int, payloads: dict[str, str]) -> dict[str, float]:
    asked = random.sample(range(count), _ASKED)
    demand, award = payloads["demand"].encode(), payloads["award"].encode()
    started_s = time.perf_counter()
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    for number in asked:
        await client.publish(f"node.{number}.demand", demand, reply=inbox)
    for _ in asked:
        await answers.next_msg(_LIMIT_S)
    await answers.unsubscribe()
    await client.request(f"node.{asked[0]}.award", award, timeout=_LIMIT_S)
    return {"ms": (time.perf_counter() - started_s) * 1000}


@contextmanager
def _running_server(path: str) -> Iterator[tuple[int, str]]:
    """The server on a free port: its process id and its URL."""
    with tempfile.TemporaryDirectory(prefix="neurogrid-bench-nats-") as directory:
        options = ("--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", directory)
        server = subprocess.Popen([path, *options], stderr=subprocess.DEVNULL)
        try:
            deadline_s = time.monotonic() + _UP_LIMIT_S
            while not (found := list(Path(directory).glob("*.ports"))):
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"{path} is not up within {_UP_LIMIT_S} s")
                time.sleep(0.05)
            yield server.pid, json.loads(found[0].read_text())["nats"][0]
        finally:
            server.terminate()
            server.wait()


async def _main(count: int, server_pid: int, url: str, payloads_json: str) -> None:
    payloads = json.loads(payloads_json)
    each = count // _PROCESSES
    workers: list[Worker] = []
    client = await nats.connect(url)
    say({"server": server_pid})
    async for command in commands():
        if command == "join":
            for first in range(0, count, each):
                arguments = ("nodes", url, str(first), str(each), payloads_json)
                workers.append(await Worker.start(f"{__package__}.over_nats", *arguments))
            for worker in workers:
                await worker.hear()
            say({"nodes": [worker.pid for worker in workers]})
        else:
            say(await _order(client, count, payloads))
    for worker in workers:
        await worker.stop()
    await client.close()


if __name__ == "__main__":
    if sys.argv[1] == "nodes":
        url, first, count, payloads = sys.argv[2:]
        asyncio.run(_serve_nodes(url, int(first), int(count), json.loads(payloads)))
    else:
        with _running_server(sys.argv[2]) as (server_pid, server_url):
            asyncio.run(_main(int(sys.argv[1]), server_pid, server_url, sys.argv[3]))
