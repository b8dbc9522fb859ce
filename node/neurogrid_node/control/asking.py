"""The socket's end in the owner's commands: one request to the running daemon, one answer."""

import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..status import read_status
from .requests import ANSWER_BYTES_MAX, Request, RequestInvalid, read_answer, write_request
from .socket_file import address_in, peer_of

# It answers at once; on a machine that swaps, or while the journal waits for its disk, later.
ANSWER_LIMIT_S = 30.0


class NotRunning(Exception):
    """No daemon listens; the message says what to do."""


class NoAnswer(Exception):
    """The daemon ended before it answered, or takes too long; the message says which."""


def ask(
    directory: Path, request: Request, *, limit_s: float | None = ANSWER_LIMIT_S
) -> dict[str, object]:
    """Ask the daemon that runs on this directory.

    Args:
        limit_s: how long its answer is waited for; None: for ever.

    Raises:
        NotRunning: none does.
        NoAnswer: it has not answered.
        Refused: it has not done what was asked.
        RequestInvalid: it does not know this request, or answers nonsense.
    """
    with _connected(directory) as end:
        return _asked(end, request, limit_s)


def ask_to_end(
    directory: Path, request: Request, *, limit_s: float | None, end_limit_s: float
) -> dict[str, object] | None:
    """Ask for something that ends the daemon, and wait until its process is gone.

    Args:
        limit_s: as in `ask`; end_limit_s: how long its end is waited for after the answer.

    Returns: its answer; None: it has not ended in this time.

    Raises:
        NotRunning, NoAnswer, Refused, RequestInvalid: as `ask`.
    """
    with _connected(directory) as end:
        # By descriptor: its number may be another process's later.
        process = os.pidfd_open(peer_of(end).pid)
        try:
            answer = _asked(end, request, limit_s)
            poll = select.poll()
            poll.register(process, select.POLLIN)
            return answer if poll.poll(end_limit_s * 1000) else None
        finally:
            os.close(process)


@contextmanager
def _connected(directory: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        end.settimeout(ANSWER_LIMIT_S)
        try:
            with address_in(directory) as address:
                end.connect(address)
        except OSError as error:
            raise NotRunning(_why_not(directory, error)) from error
        yield end


def _asked(end: socket.socket, request: Request, limit_s: float | None) -> dict[str, object]:
    end.settimeout(limit_s)
    try:
        end.sendall(write_request(request))
        return read_answer(_line(end))
    except TimeoutError as error:
        raise NoAnswer(f"the node has not answered within {limit_s:g} s") from error
    except OSError as error:
        raise NoAnswer("the node ended before it answered") from error


def _line(end: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        part = end.recv(1 << 16)
        if not part:
            raise ConnectionResetError
        data += part
        if len(data) > ANSWER_BYTES_MAX:
            raise RequestInvalid("the running node answered without an end: is it another version?")
    return data


def _why_not(directory: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"this is another user's node: {error}"
    if read_status(directory) is not None:
        return (
            f"the node on {directory} does not listen to commands: it starts or ends just now, or is "
            "of an older version: restart it"
        )
    return f"no node runs on {directory}: neurogrid-node start"
