"""The socket's end in the daemon: who may ask, how much, and how many at once."""

import logging
import os
import socket
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from ..journal import JournalError
from .requests import (
    REQUEST_BYTES_MAX,
    Refused,
    Request,
    RequestInvalid,
    read_request,
    write_answer,
)
from .socket_file import SOCKET_NAME, address_in, peer_of

# An owner types one command at a time; a script that waits for a drain takes one of these.
CONNECTIONS_MAX: Final = 16
# Who has said nothing for so long, or takes no answer, is gone.
_REQUEST_LIMIT_S = 5.0
_ANSWER_LIMIT_S = 2.0

_log = logging.getLogger(__name__)

Answer = Callable[[Request], Awaitable[dict[str, object]]]


async def serve_owner(
    directory: Path,
    answer: Answer,
    *,
    may_ask: AbstractSet[int] | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer the owner's commands until this is cancelled; started once they can be asked.

    Args:
        directory: the node's; nobody else runs on it, by the lock on its journal.
        answer: does what is asked.
        may_ask: user ids; by default who runs this, and root.

    Raises:
        OSError: the socket cannot be made.
    """
    door = _Door(answer, {0, os.getuid()} if may_ask is None else may_ask)
    path = directory / SOCKET_NAME
    listener = _listen(directory, path)
    try:
        task_status.started()
        await trio.serve_listeners(door.serve, [trio.SocketListener(listener)])
    finally:
        listener.close()
        path.unlink(missing_ok=True)


def _listen(directory: Path, path: Path) -> trio.socket.SocketType:
    # Left by a daemon that was killed.
    if path.is_socket():
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address_in(directory) as address:
            listener.bind(address)
        # Nobody can connect before it listens.
        path.chmod(0o600)
        listener.listen(CONNECTIONS_MAX)
    except OSError as error:
        listener.close()
        raise OSError(f"{path} cannot be made for the owner's commands: {error}") from error
    return trio.socket.from_stdlib_socket(listener)


class _Door:
    """All connections."""

    def __init__(self, answer: Answer, uids: AbstractSet[int]) -> None:
        self._answer = answer
        self._uids = uids
        self._open = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection: one request, one answer."""
        self._open += 1
        try:
            async with stream:
                await self._serve(stream)
        finally:
            self._open -= 1

    async def _serve(self, stream: trio.SocketStream) -> None:
        if self._open > 2 * CONNECTIONS_MAX:
            return
        line = b""
        with trio.move_on_after(_REQUEST_LIMIT_S):
            line = await _line(stream)
        if not line:
            return
        # Read before it is refused: closed with something unread, the answer would be lost.
        uid = peer_of(stream).uid
        if uid not in self._uids:
            _log.warning("user %d asked on the owner's socket: refused", uid)
            await _say(stream, Refused("only who runs the node may ask it"))
        elif self._open > CONNECTIONS_MAX:
            await _say(stream, Refused(f"{CONNECTIONS_MAX} other commands are waiting: end one"))
        else:
            await self._converse(stream, line)

    async def _converse(self, stream: trio.SocketStream, line: bytes) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, stream, nursery.cancel_scope)
            answer = await self._answered(line)
            await _say(stream, answer)
            nursery.cancel_scope.cancel()

    async def _answered(self, line: bytes) -> dict[str, object] | Refused:
        try:
            return await self._answer(read_request(line))
        except Refused as refused:
            return refused
        except (RequestInvalid, JournalError) as error:
            return Refused(str(error))
        except Exception:  # noqa: BLE001 - one request's boundary: the node and its jobs go on
            _log.exception("the owner's %r", line)
            return Refused("a defect of the node, see its log")


async def _line(stream: trio.SocketStream) -> bytes:
    """The first line; nothing if it is cut off or too long."""
    data = b""
    while len(data) <= REQUEST_BYTES_MAX:
        part = await _received(stream)
        if not part:
            break
        data += part
        line, end, _ = data.partition(b"\n")
        if end:
            return line
    return b""


async def _until_gone(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """Who asked and leaves is not answered; what was asked for is done or not, as it was."""
    while await _received(stream):
        pass
    scope.cancel()


async def _received(stream: trio.SocketStream) -> bytes:
    try:
        return bytes(await stream.receive_some(REQUEST_BYTES_MAX))
    except trio.BrokenResourceError:
        return b""


async def _say(stream: trio.SocketStream, answer: dict[str, object] | Refused) -> None:
    # The last answer may be that the daemon ends; who asked may have gone.
    with trio.move_on_after(_ANSWER_LIMIT_S, shield=True), suppress(trio.BrokenResourceError):
        await stream.send_all(write_answer(answer))
