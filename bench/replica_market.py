"""A devnet whose coordinator keeps replicas, and the way to a replica's own port."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import docker
import httpx
import trio

from neurogrid_node.container import ports

from .market import Market
from .model_load import Side, Wire

REPOSITORY = Path(__file__).parents[1]
LITELLM = "LiteLLM's proxy"
_PROGRAM = REPOSITORY / "build/litellm/bin/litellm"
_CHATS = "/v1/chat/completions"
_LITELLM_PORT = 4000
_LITELLM_KEY = "sk-of-this-bench-alone"
_LITELLM_LIMIT_S = 120.0
_COORDINATOR_LIMIT_S = 60.0
PORT = 8000
# A server whose words differ, because LiteLLM ends answers that repeat themselves, and whose tokens come at the pace of a GPU's and cost this machine nothing: 50 a second for each of eight.
PACED = "paced"
_PACED_SERVER = r"""
import asyncio, json
N = 0
async def serve(reader, writer):
    global N
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = [l for l in head.lower().split(b"\r\n") if l.startswith(b"content-length:")]
            body = await reader.readexactly(int(length[0][15:])) if length else b"{}"
            if not head.startswith(b"POST"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                continue
            asked = json.loads(body)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            def say(value):
                data = b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            N += 1
            base = {"id": "chatcmpl-%d" % N, "object": "chat.completion.chunk", "created": 1, "model": asked["model"]}
            def chunk(delta, reason=None):
                say(base | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}]})
            count = int(asked.get("max_tokens") or asked.get("max_completion_tokens") or 16)
            chunk({"role": "assistant", "content": ""})
            loop = asyncio.get_running_loop()
            next_s = loop.time()
            for number in range(count):
                next_s += 0.02
                await asyncio.sleep(next_s - loop.time())
                chunk({"content": " word%d" % number})
            chunk({}, "length")
            if (asked.get("stream_options") or {}).get("include_usage"):
                say(base | {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": count, "total_tokens": 9 + count}})
            say(b"[DONE]")
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", 8000) as server:
        await server.serve_forever()
asyncio.run(main())
"""
_CATALOGUE_ENTRY = f"""
[[model]]
id = "{PACED}"
name = "Paced"
type = "text"
category = "generation"
description = "Writes a word each 20 ms."
licence = "Apache-2.0"
image = "neurogrid/job:1"
tasks = false
timeout_s = 120

[model.parameters]
size = "0"
context_length = 4096
languages = ["en"]

[model.needs]
memory_gb = 0.25
disk_gb = 0.1
cpu_cores = 1
vram_gb = 0

[model.server]
command = ["python3", "-c", {json.dumps(_PACED_SERVER)}]
port = {PORT}
start_s = 60
routes = ["/v1/chat/completions"]
features = ["seed", "stream", "usage_in_stream"]
concurrency = 64
replicas_max = 1
idle_s = 3600

[model.unit_price]
input_per_million = "0.02"
output_per_million = "0.10"
"""


def keep_replicas(market: Market) -> None:
    """Have the coordinator keep them, one of each model at most, paid by the devnet's client."""
    home = Path(market.network["coordinator"]["data"])
    shipped = resources.files("neurogrid_coordinator").joinpath("models.toml").read_text("utf-8")
    one = re.sub(r"replicas_max = \d+", "replicas_max = 1", shipped)
    catalogue = home / "models.toml"
    catalogue.write_text(one.replace("idle_s = 300", "idle_s = 3600") + _CATALOGUE_ENTRY)
    account = market.api.get("/api/v1/account").raise_for_status().json()["data"]["id"]
    config = home / "coordinator.toml"
    text = config.read_text()
    begin = text.index("\n[models]")
    for name, value in (
        ("replicas", "true"),
        ("account", f'"{account}"'),
        ("catalogue", f'"{catalogue}"'),
    ):
        line = re.compile(rf"^{name} = .*$", re.MULTILINE)
        found = line.search(text, begin)
        assert found is not None, "the configuration names every key"
        text = text[: found.start()] + f"{name} = {value}" + text[found.end() :]
    config.write_text(text)
    network = market.read()
    before = network["coordinator"]["api_pid"]
    os.kill(before, signal.SIGKILL)
    late_s = time.monotonic() + _COORDINATOR_LIMIT_S
    while time.monotonic() < late_s:
        time.sleep(0.1)
        if market.read()["coordinator"]["api_pid"] == before:
            continue
        try:
            nodes = market.api.get("/api/v1/nodes").json()["data"]["nodes"]
        except (httpx.TransportError, KeyError, ValueError):
            continue
        if nodes:
            return
    raise TimeoutError("the coordinator did not come back")


def replica_of(market: Market, model: str) -> tuple[int, str]:
    """The pid and id of the container of a model's replica."""
    tasks = market.api.get("/api/v1/tasks", params={"limit": 50}).json()["data"]["tasks"]
    (task,) = [
        one for one in tasks if one["name"] == f"replica of {model}" and one["phase"] == "running"
    ]
    lease = market.task(task["id"])["leases"][-1]["id"]
    client = docker.from_env()
    try:
        container = client.containers.get(f"neurogrid-{lease}")
        return int(container.attrs["State"]["Pid"]), str(container.id)
    finally:
        client.close()


class _Inside:
    """A connection made inside of a container's network."""

    def __init__(self, connection: ports.PortConnection) -> None:
        self._connection = connection

    async def send_all(self, data: bytes) -> None:
        await self._connection.write(data)

    async def receive_some(self, max_bytes: int) -> bytes:
        said = await self._connection.read()
        return b"" if said is None else said.data

    async def aclose(self) -> None:
        await self._connection.aclose()


def inside(pid: int, container_id: str, port: int) -> Callable[[], Awaitable[Wire]]:
    """Connections to a port of the container's own network."""

    async def connect() -> Wire:
        return _Inside(await ports.connect(pid, container_id, port))

    return connect


def to_us(market: Market) -> Callable[[], Awaitable[Wire]]:
    """Connections to the coordinator's api."""
    url = urlsplit(market.network["api_url"])
    assert url.hostname is not None
    assert url.port is not None
    host, port = url.hostname, url.port

    async def connect() -> Wire:
        return await trio.open_tcp_stream(host, port)

    return connect


def direct(market: Market, model: str) -> Side:
    """The container's own port."""
    pid, container_id = replica_of(market, model)
    return Side("direct", inside(pid, container_id, PORT), _CHATS, "none")


def ours(market: Market) -> Side:
    """The way through the market."""
    network = market.read()
    coordinator = network["coordinator"]
    pids = (coordinator["api_pid"], coordinator["market_pid"], network["nodes"][0]["pid"])
    return Side("ours", to_us(market), _CHATS, network["api_key"], pids)


@contextmanager
def litellm(directory: Path, market: Market, model: str) -> Iterator[Side | None]:
    """LiteLLM's proxy beside the container, in its network. None: it can't be had here, and the output says so."""
    done = subprocess.run([REPOSITORY / "scripts/peers.sh", "models"], check=False)
    if done.returncode:
        print("LiteLLM's proxy could not be installed: its columns are empty", flush=True)
        yield None
        return
    pid, container_id = replica_of(market, model)
    config = directory / f"litellm-{model}.yaml"
    config.write_text(
        f"""
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{PORT}/v1
      api_key: none
general_settings:
  master_key: {_LITELLM_KEY}
litellm_settings:
  telemetry: false
  num_retries: 0
"""
    )
    command = ["nsenter", "--net", "--target", str(pid), str(_PROGRAM)]
    with (directory / f"litellm-{model}.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--config", config, "--host", "127.0.0.1", "--port", str(_LITELLM_PORT)],
            stdout=log,
            stderr=log,
            env={
                **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_LOG": "ERROR",
                "NO_DOCS": "True",
            },
        )
    connect = inside(pid, container_id, _LITELLM_PORT)
    try:
        trio.run(_until_listening, connect, process)
        yield Side(LITELLM, connect, _CHATS, _LITELLM_KEY, (process.pid,))
    finally:
        process.terminate()
        process.wait(10)


async def _until_listening(
    connect: Callable[[], Awaitable[Wire]], process: "subprocess.Popen[bytes]"
) -> None:
    with trio.fail_after(_LITELLM_LIMIT_S):
        while process.poll() is None:
            try:
                await (await connect()).aclose()
            except ports.NotListening:
                await trio.sleep(0.2)
            else:
                return
    raise RuntimeError("LiteLLM's proxy has ended")
