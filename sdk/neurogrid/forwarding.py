"""A local port whose connections are carried to the port of a running job."""

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from .commands import Command
from .errors import NeuroGridError

_PIECE_BYTES = 32 * 1024
# As many as a coordinator and a node let one job have; others wait in the queue of the listening socket.
_CONNECTIONS_MAX = 64
_BACKLOG = 128


class Forward:
    """Listens until it is closed. Made by `Tasks.forward`.

    Each connection is carried by itself: where one can't be opened it is closed, and the next is tried anew, so a
    coordinator or a node that restarts ends what is open and nothing else.

    Attributes:
        host, port: where it listens.
    """

    def __init__(
        self,
        open_port: Callable[[], Command],
        host: str,
        port: int,
        on_error: Callable[[NeuroGridError], None],
    ) -> None:
        self._open_port = open_port
        self._on_error = on_error
        self._listener = socket.create_server((host, port), backlog=_BACKLOG)
        self.host, self.port = self._listener.getsockname()[:2]
        self._places = threading.Semaphore(_CONNECTIONS_MAX)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._accepting = threading.Thread(target=self._accept, name="port forward", daemon=True)
        self._accepting.start()

    def wait(self) -> None:
        """Until it is closed, by another thread or a signal."""
        self._accepting.join()

    def close(self) -> None:
        """Listen no more, and end the connections."""
        with self._lock:
            self._closed = True
            left = list(self._open)
        # Wakes whoever waits in accept, which closing alone does not.
        _shut(self._listener)
        self._listener.close()
        for connection in left:
            _shut(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            self._places.acquire()
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(
                target=self._carry, args=(connection,), name="forwarded", daemon=True
            ).start()

    def _carry(self, connection: socket.socket) -> None:
        with self._lock:
            if self._closed:
                connection.close()
                return
            self._open.add(connection)
        try:
            with self._open_port() as there:
                giving = threading.Thread(
                    target=_give, args=(connection, there), name="to the job", daemon=True
                )
                giving.start()
                for piece in there:
                    connection.sendall(piece.data)
                _shut(connection)
        except NeuroGridError as error:
            if not self._closed:
                self._on_error(error)
        except OSError:
            pass  # whoever connected has left
        finally:
            with self._lock:
                self._open.discard(connection)
            _shut(connection)
            connection.close()
            self._places.release()


def _give(connection: socket.socket, there: Command) -> None:
    """Pass on what comes from here, until it ends."""
    try:
        while data := connection.recv(_PIECE_BYTES):
            there.write(data)
    except OSError:
        pass
    there.end_input()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is over already
