"""What the connections to an engine leave open, whether it answers or not."""

import gc
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

import pytest
import trio

from neurogrid_node.container.docker import DockerClient
from neurogrid_node.container.errors import EngineUnavailable


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


async def refused(path: Path) -> str:
    with pytest.raises(EngineUnavailable) as error:
        await DockerClient.connect(f"unix://{path}", 1)
    return str(error.value)


@pytest.mark.parametrize("is_bound", [False, True])
async def test_a_refused_connection_is_closed_at_once(tmp_path: Path, is_bound: bool) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as nobody:
        if is_bound:
            # As of an engine that was killed: nobody listens there any more.
            nobody.bind(str(path))
        await refused(path)
        gc.collect()
        before = open_files()
        gc.disable()
        try:
            for _ in range(5):
                await refused(path)
            # Not only when it is collected.
            assert len(open_files() - before) <= 1
        finally:
            gc.enable()


async def test_an_engine_that_says_nothing_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "s"))
        mute.listen(1)
        assert "does not answer" in await refused(tmp_path / "s")
    gc.collect()


class Answering(ThreadingMixIn, UnixStreamServer):
    """An engine's socket that has an answer for everything; it counts who connects."""

    daemon_threads = True
    connections = 0

    def process_request(self, request: object, client_address: object) -> None:
        self.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]  # typed for any socket


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = {"Id": self.path, "Connection": self.headers["Connection"]}
        body = json.dumps({"ApiVersion": "1.41", **asked}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def answering(path: Path) -> Iterator[Answering]:
    with Answering(str(path), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


async def test_questions_about_many_containers_share_their_connections(tmp_path: Path) -> None:
    with answering(tmp_path / "s") as server:
        client = await DockerClient.connect(f"unix://{tmp_path / 's'}", 1)
        try:
            await client.look(client.api.inspect_container, "first")
            for number in range(30):
                found = await client.look(client.api.inspect_container, f"lease-{number}")
                assert f"lease-{number}" in found["Id"]
            # One for the client's first question, of which versions it speaks.
            assert server.connections <= 2
        finally:
            client.close()


async def test_a_streams_connection_is_nobody_elses(tmp_path: Path) -> None:
    """Closing a stream shuts its socket down: a call that had got it by then would fail."""
    with answering(tmp_path / "s") as server:
        client = await DockerClient.connect(f"unix://{tmp_path / 's'}", 1)
        try:
            await client.look(client.api.inspect_container, "first")
            before = server.connections
            for _ in range(3):
                stream = await trio.to_thread.run_sync(client.open_events, "label", ("die",))
                (event,) = await trio.to_thread.run_sync(lambda opened: list(opened), stream)
                assert event["Connection"] == "close"
                await client.look(client.api.inspect_container, "other")
            # The calls' own is used by the first stream, and opened again.
            assert server.connections - before >= 3
        finally:
            client.close()
