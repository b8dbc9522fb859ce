"""An S3-compatible store over HTTP (moto's, in this process), which can be made to fail."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import Any

import botocore.session
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from neurogrid_coordinator.files.artifacts_config import ArtifactsConfig
from neurogrid_coordinator.files.s3_bucket import Bucket

_Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_DENIED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


@dataclass
class S3Server:
    """The store.

    Attributes:
        refuses: answers 403 to everything.
        breaks_off: how many of the next downloads end in the middle.
        seen: the methods of the requests so far.
    """

    app: _Wsgi
    url: str = ""
    refuses: bool = False
    breaks_off: int = 0
    seen: list[str] = field(default_factory=list)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """One request."""
        self.seen.append(environ["REQUEST_METHOD"])
        if self.refuses:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("403 Forbidden", [("Content-Length", str(len(_DENIED)))])
            return [_DENIED]
        answer = self.app(environ, start_response)
        if environ["REQUEST_METHOD"] == "GET" and self.breaks_off:
            self.breaks_off -= 1
            whole = b"".join(answer)
            return [whole[: len(whole) // 2]]
        return answer

    @cached_property
    def client(self) -> Any:
        """A client that sees all there is."""
        return botocore.session.get_session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    def make_bucket(self) -> str:
        """A new bucket's name."""
        name = f"bucket-{uuid.uuid4().hex}"
        self.client.create_bucket(Bucket=name)
        return name

    def open(self, bucket: str, folder: Path, **changes: Any) -> Bucket:
        """A bucket as a coordinator of this directory opens it, with its credentials in a file."""
        path = folder / "s3.credentials"
        path.write_text("[default]\naws_access_key_id = x\naws_secret_access_key = x\n")
        path.chmod(0o600)
        values: dict[str, Any] = {
            "store": "s3",
            "endpoint": self.url,
            "bucket": bucket,
            "prefix": "our/own/",
            "credentials_file": path.name,
        }
        return Bucket(ArtifactsConfig(**(values | changes)), folder)

    def keys(self, bucket: str) -> list[str]:
        """The names of all objects, and of uploads that have not ended."""
        client = self.client
        objects = client.list_objects_v2(Bucket=bucket).get("Contents", ())
        uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())
        return sorted([item["Key"] for item in (*objects, *uploads)])


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A store, empty at first."""
    store = S3Server(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=MotoRequestHandler)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
