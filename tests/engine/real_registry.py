"""A registry that wants a password: Debian's docker-registry (distribution), on the loopback.

`engine.registry` stalls and lies; this is the real thing, for what has to be as it really is.
"""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from engine.registry import MANIFEST, Registry
from neurogrid_marketplace.registry_auth import RegistryAuth

_FILES = Path(__file__).parents[2] / "build/debian"
COMMAND = _FILES / "docker-registry/usr/bin/docker-registry"
# A program for an image that has nothing else.
BUSYBOX = _FILES / "busybox-static/bin/busybox"
AUTH = RegistryAuth("tenant", "correct horse")
# htpasswd -Bbn tenant 'correct horse'
_HTPASSWD = "tenant:$2y$05$8AhKFhWxr1e5z7iBYs2K2O8wN2h1Kqbn5c8DSUOZ74vhS0WrufJeK\n"
_UP_LIMIT_S = 60
_SIZE_BYTES = 64 << 10


@dataclass(frozen=True)
class RealRegistry:
    """
    Attributes:
        host: with its port.
        log: what it writes of every request.
    """

    host: str
    log: Path

    def push(self, repository: str, *, tag: str = "1", program: bytes = b"") -> Registry:
        """Store a made-up image; what `engine.registry` would serve, named as it is here."""
        made = Registry(_SIZE_BYTES, program)
        base = f"http://{self.host}/v2/{repository}"
        with httpx.Client(auth=(AUTH.username, AUTH.password), trust_env=False) as client:
            for digest, blob in made.blobs.items():
                begun = client.post(f"{base}/blobs/uploads/").raise_for_status()
                url = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest})
                client.put(url, content=blob).raise_for_status()
            headers = {"Content-Type": MANIFEST}
            client.put(
                f"{base}/manifests/{tag}", content=made.manifest, headers=headers
            ).raise_for_status()
        made.reference = f"{self.host}/{repository}:{tag}"
        return made

    def asked(self, part: str, *, by: str = "") -> list[str]:
        """The paths with this part that were read, by whomever; or by a user."""
        entries = [
            json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"
        ]
        return [
            entry["http.request.uri"]
            for entry in entries
            if entry["msg"] == "response completed"
            and entry.get("http.request.method") == "GET"
            and part in entry["http.request.uri"]
            and (not by or entry.get("auth.user.name") == by)
        ]


@contextmanager
def real_registry(folder: Path) -> Iterator[RealRegistry]:
    """One with nothing in it, until the block ends."""
    assert COMMAND.exists(), f"{COMMAND} is not here: make build/debian/docker-registry"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "htpasswd").write_text(_HTPASSWD)
    (folder / "config.yml").write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
                "http": {"addr": host},
                "auth": {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}},
            }
        )
    )
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [COMMAND, "serve", folder / "config.yml"], stdout=out, stderr=subprocess.STDOUT
        )
        try:
            _await(host, process, log)
            yield RealRegistry(host, log)
        finally:
            process.terminate()
            process.wait()


def _await(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + _UP_LIMIT_S
    while True:
        try:
            httpx.get(f"http://{host}/v2/", trust_env=False)
            return
        except httpx.TransportError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline_s, f"the registry does not answer: {log.read_text()}"
            time.sleep(0.05)
