"""configs/nginx.conf in a real nginx before a real server: what passes, and what doesn't."""

import asyncio
import hashlib
import ipaddress
import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect

from certificates import certificate_pem, trusting
from coordinator.api_world import TASK, World, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.served import served
from neurogrid_coordinator.api.client_address import Proxies
from neurogrid_coordinator.server.request_rules import RequestRules
from ports import reserved_port

HOST = "api.example.org"
CONFIG = Path(__file__).parents[2] / "configs" / "nginx.conf"
PROXIES = Proxies((ipaddress.ip_network("127.0.0.1"),))
TASKS = "/api/v1/tasks"
# What Debian's main file has around it, for a process that is nobody's service.
_AROUND = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    include {folder}/site.conf;
}}
"""
_START_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Front:
    """Where nginx listens, and who trusts it."""

    port: int
    trust: ssl.SSLContext

    def client(self, key: str = "") -> httpx.AsyncClient:
        """A client of the name that nginx serves."""

        async def with_name(request: httpx.Request) -> None:
            request.extensions["sni_hostname"] = HOST

        return httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{self.port}",
            headers={"Host": HOST, "Authorization": f"Bearer {key}"} if key else {"Host": HOST},
            verify=self.trust,
            event_hooks={"request": [with_name]},
            trust_env=False,
            timeout=60,
        )


@asynccontextmanager
async def nginx(folder: Path, upstream: str) -> AsyncGenerator[Front]:
    """The example as it is, but for its addresses and its certificate."""
    with reserved_port() as port:
        async with nginx_at(port, folder, upstream) as front:
            yield front


@asynccontextmanager
async def nginx_at(port: int, folder: Path, upstream: str) -> AsyncGenerator[Front]:
    """The same, at this port."""
    secret, public = certificate_pem(HOST)
    (folder / "key.pem").write_bytes(secret)
    (folder / "cert.pem").write_bytes(public)
    text = CONFIG.read_text()
    for theirs, ours in (
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{port} ssl http2;"),
        ("listen [::]:443 ssl http2;", ""),
        ("/etc/ssl/certs/api.example.org.pem", str(folder / "cert.pem")),
        ("/etc/ssl/private/api.example.org.key", str(folder / "key.pem")),
        ("server 127.0.0.1:8080;", f"server {upstream};"),
    ):
        assert text.count(theirs) == 1, theirs
        text = text.replace(theirs, ours)
    (folder / "site.conf").write_text(text)
    main = folder / "nginx.conf"
    main.write_text(_AROUND.format(folder=folder))
    process = await asyncio.create_subprocess_exec("nginx", "-p", str(folder), "-c", str(main))
    try:
        async with asyncio.timeout(_START_LIMIT_S):
            await _answers(port, process)
        yield Front(port, trusting(public))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answers(port: int, process: asyncio.subprocess.Process) -> None:
    while True:
        assert process.returncode is None, "nginx has ended"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


@asynccontextmanager
async def behind(folder: Path, **settings: Any) -> AsyncGenerator[tuple[World, Front]]:
    """A world that is reached through nginx."""
    (folder / "front").mkdir()
    async with (
        open_world(folder / "world", proxies=PROXIES, **settings) as world,
        served(world) as address,
        nginx(folder / "front", address) as front,
    ):
        yield world, front


@on_asyncio
async def test_requests_and_files_pass(tmp_path: Path) -> None:
    async with behind(tmp_path) as (world, front):
        alice = await world.customer("alice")
        async with front.client(alice.key) as client:
            assert (await client.post(TASKS, json=TASK)).status_code == 201
            data = bytes(range(256)) * 3_000
            path = f"/api/v1/artifacts/{hashlib.sha256(data).hexdigest()}"
            assert (await client.put(path, content=data)).status_code == 201
            assert (await client.get(path)).content == data
            rest = await client.get(path, headers={"Range": "bytes=767990-"})
            assert (rest.status_code, rest.content) == (206, data[767_990:])
            # It is the coordinator that says how large a file may be.
            large = await client.put(f"/api/v1/artifacts/{'0' * 64}", content=bytes(1_100_000))
            assert (large.status_code, large.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


@on_asyncio
async def test_events_come_at_once_and_sockets_stay_open(tmp_path: Path) -> None:
    async with behind(tmp_path) as (world, front):
        alice = await world.customer("alice")
        async with front.client(alice.key) as client:
            task_id = (await client.post(TASKS, json=TASK)).json()["data"]["id"]
            async with client.stream("GET", f"{TASKS}/{task_id}/events") as answer:
                lines = answer.aiter_lines()
                assert await anext(lines) == "event: task.created"
                await world.start(task_id)
                async with asyncio.timeout(60):
                    while await anext(lines) != "event: task.started":
                        pass
        socket_url = f"wss://{HOST}/ws"
        async with connect(
            socket_url, ssl=front.trust, host="127.0.0.1", port=front.port
        ) as listening:
            await listening.send(json.dumps({"type": "auth", "token": alice.key}))
            await world.finish(task_id)
            async with asyncio.timeout(60):
                while json.loads(await listening.recv())["type"] != "task.completed":
                    pass


@on_asyncio
async def test_nobody_chooses_the_address_that_limits_count(tmp_path: Path) -> None:
    async with behind(tmp_path, requests=RequestRules(per_address=3)) as (_, front):
        async with front.client() as client:
            said = [
                (await client.get("/health", headers={"X-Forwarded-For": f"192.0.2.{n}"}))
                for n in range(4)
            ]
        assert [answer.status_code for answer in said] == [200, 200, 200, 429]
