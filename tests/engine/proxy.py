"""The engine's socket once more, under a path that can be taken away and given back."""

from contextlib import suppress
from pathlib import Path

import trio

ENGINE_SOCKET = "/var/run/docker.sock"
_PIECE_BYTES = 65_536


class Proxy:
    """Forwards connections to the engine while it is `up`."""

    def __init__(self, path: Path, nursery: trio.Nursery) -> None:
        self.url = f"unix://{path}"
        self._path = path
        self._nursery = nursery
        self._scope = trio.CancelScope()

    async def up(self) -> None:
        """Accept connections from now on."""
        self._scope = trio.CancelScope()
        listener = trio.socket.socket(trio.socket.AF_UNIX)
        await listener.bind(str(self._path))
        listener.listen(64)
        self._nursery.start_soon(self._serve, listener)

    def down(self) -> None:
        """As an engine that is killed: every connection breaks, and new ones are refused."""
        self._scope.cancel()
        self._path.unlink()

    async def _serve(self, listener: trio.socket.SocketType) -> None:
        with self._scope:
            await trio.serve_listeners(self._forward, [trio.SocketListener(listener)])

    async def _forward(self, client: trio.SocketStream) -> None:
        engine = await trio.open_unix_socket(ENGINE_SOCKET)
        async with client, engine, trio.open_nursery() as nursery:

            async def copy(source: trio.SocketStream, target: trio.SocketStream) -> None:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    async for piece in source:
                        await target.send_all(piece)
                # A side that has gone takes the other with it.
                nursery.cancel_scope.cancel()

            nursery.start_soon(copy, client, engine)
            nursery.start_soon(copy, engine, client)
