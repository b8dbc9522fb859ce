"""A real ``neurogrid-ledger`` process, for tests: started on free ports, killed, started again."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

# Only ends what hangs; on an idle machine it takes a second.
READY_WITHIN_S = 60.0
# The ledger closes a connection that is idle for longer; other tests may take that long in between.
IDLE_LIMIT_S = 30.0


class LedgerProcess:
    """One ledger directory and the process that serves it.

    ``with LedgerProcess(tmp_path) as ledger:`` starts it and, at the end, makes sure it is gone.

    Args:
        options: further command line options.
    """

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._used_s = 0.0
        self.info: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return str(self.info["rpc_url"])

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "neurogrid_contracts.ledger", "start"),
                *("--data", str(self.data), "--port", "0", *self._options),
            ],
            stdout=subprocess.PIPE,
        )
        ready = self.data / "ledger.json"
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the ledger ended with {self._process.returncode}")
            try:
                self.info = json.loads(ready.read_text())
            except FileNotFoundError:
                pass
            else:
                if self.info["pid"] == self._process.pid:
                    return
            time.sleep(0.01)
        raise TimeoutError("the ledger did not become ready")

    def kill(self) -> None:
        """kill -9, and reap."""
        self._end(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit status."""
        return self._end(number)

    def wait(self) -> int:
        """Its exit status, when it ends by itself."""
        return self._end(0)

    def _end(self, number: int) -> int:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is None:
            return 0
        if number:
            os.kill(self._process.pid, number)
        status = self._process.wait(timeout=60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return status

    def post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer. Raises OSError or HTTPException when it is gone."""
        if self._connection is not None and time.monotonic() - self._used_s > IDLE_LIMIT_S:
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self._connection.connect()
            # Head and body are two writes; without this the second waits for a delayed ACK.
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._connection.request("POST", "/", body, {"content-type": "application/json"})
            answer = self._connection.getresponse()
            self._used_s = time.monotonic()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            raise

    def call(self, method: str, *params: Any) -> Any:
        """The result of an RPC call that must succeed."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        _, text = self.post(json.dumps(body).encode())
        answer = json.loads(text)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def control(self, method: str, **settings: Any) -> Any:
        """The result of a method that needs the control key."""
        key = Path(self.info["control_key_file"]).read_text().strip()
        return self.call(method, {"key": key, **settings})
