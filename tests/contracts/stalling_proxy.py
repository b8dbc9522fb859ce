"""An endpoint that falls silent after a number of transactions, so that a test can kill a client
exactly there, whatever the machine's speed."""

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class StallingProxy:
    """Forwards to a ledger; the answer to transaction number ``answered + 1``, and to everything
    that comes after it, is never given.

    Attributes:
        stalled: is set once it has fallen silent.
    """

    def __init__(self, port: int, *, answered: int) -> None:
        self.stalled = threading.Event()
        self._port = port
        self._left = answered
        self._lock = threading.Lock()
        self._over = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                answer = proxy._answer(body)
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, body: bytes) -> bytes | None:
        is_sending = json.loads(body)["method"] == "sendTransaction"
        with self._lock:
            if not self.stalled.is_set():
                # The transaction that is not answered runs all the same: its reply is lost.
                answer = self._forward(body)
                if not is_sending or self._left > 0:
                    self._left -= is_sending
                    return answer
                self.stalled.set()
        self._over.wait()
        return None

    def _forward(self, body: bytes) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", "/", body, {"content-type": "application/json"})
            return connection.getresponse().read()
        finally:
            connection.close()
