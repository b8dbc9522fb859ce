"""A registry of one made-up image, on the loopback: it can stall, lie and refuse.

The engine trusts 127.0.0.0/8 without TLS, so no configuration is needed.
Source: distribution.github.io/distribution/spec/api, image manifest version 2, schema 2.
"""

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
REPOSITORY = "made/up"
# How long a slow download is held open at most, should nobody close it.
PATIENCE_S = 30


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _layer(size: int, program: bytes) -> bytes:
    """A tar file with one file of random bytes, so that no two registries share a layer."""
    content = os.urandom(size)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("content")
        entry.size = size
        archive.addfile(entry, io.BytesIO(content))
        if program:
            entry = tarfile.TarInfo("busybox")
            entry.size, entry.mode = len(program), 0o755
            archive.addfile(entry, io.BytesIO(program))
    return packed.getvalue()


class Registry:
    """What it serves, and how badly.

    Attributes:
        reference: of its image, for a pull.
        stalls: it sends half of the layer and then nothing.
        crawls: it sends the layer piece by piece, for a minute.
        dropped: set when a crawling download was closed by the other side.
        released: set to let go of stalled downloads.
    """

    def __init__(self, layer_bytes: int, program: bytes = b"") -> None:
        """
        Args:
            program: what its image has as ``/busybox``.
        """
        unpacked = _layer(layer_bytes, program)
        layer = gzip.compress(unpacked, compresslevel=1)
        configuration = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["/content"], "Env": ["LD_PRELOAD=x"], "Volumes": {"/v": {}}},
                "rootfs": {"type": "layers", "diff_ids": [_digest(unpacked)]},
                "history": [{"created_by": "a test"}],
            }
        ).encode()
        self.blobs = {_digest(blob): blob for blob in (layer, configuration)}
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {
                    "mediaType": "application/vnd.docker.container.image.v1+json",
                    "size": len(configuration),
                    "digest": _digest(configuration),
                },
                "layers": [
                    {
                        "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                        "size": len(layer),
                        "digest": _digest(layer),
                    }
                ],
            }
        ).encode()
        self.layer_bytes = len(layer)
        self.stalls = False
        self.crawls = False
        self.dropped = threading.Event()
        self.released = threading.Event()
        self.reference = ""

    @property
    def digest(self) -> str:
        return _digest(self.manifest)


@contextmanager
def serve(layer_bytes: int = 1 << 20) -> Iterator[Registry]:
    """A registry in threads of this process, until the context is left."""
    registry = Registry(layer_bytes)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE_S

        def log_message(self, format: str, *arguments: Any) -> None:
            """Quiet."""

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = self.path.split("/")
            if self.path == "/v2/":
                self.answer(b"{}", "application/json")
            elif self.path.startswith(f"/v2/{REPOSITORY}/manifests/") and parts[-1] in (
                "latest",
                registry.digest,
            ):
                self.answer(registry.manifest, MANIFEST)
            elif parts[-1] in registry.blobs:
                self.answer(registry.blobs[parts[-1]], "application/octet-stream")
            else:
                errors = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
                self.answer(json.dumps(errors).encode(), "application/json", status=404)

        def answer(self, body: bytes, kind: str, *, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", _digest(body))
            self.end_headers()
            if self.command == "HEAD":
                return
            if len(body) == registry.layer_bytes and registry.stalls:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                registry.released.wait(PATIENCE_S)
                self.close_connection = True
            elif len(body) == registry.layer_bytes and registry.crawls:
                self.crawl(body)
            else:
                self.wfile.write(body)

        def crawl(self, body: bytes) -> None:
            step = len(body) // (PATIENCE_S * 20)
            try:
                for start in range(0, len(body), step):
                    self.wfile.write(body[start : start + step])
                    self.wfile.flush()
                    if registry.released.wait(0.05):
                        break
            except OSError:
                registry.dropped.set()
            self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.reference = f"127.0.0.1:{server.server_port}/{REPOSITORY}:latest"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield registry
        finally:
            registry.released.set()
            server.shutdown()
            thread.join()
