"""An OTLP collector in this process: what it was sent, over HTTP, as protobuf."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Received:
    """One span; times are Unix nanoseconds, ids hex."""

    service: str
    instance: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    attributes: dict[str, object]


@dataclass
class Collector:
    """See the module.

    Attributes:
        answers: the status of its answers.
        may_answer: until this is set, it does not.
    """

    url: str
    spans: list[Received] = field(default_factory=list)
    answers: int = 200
    may_answer: threading.Event = field(default_factory=threading.Event)
    requests: int = 0

    def named(self, name: str) -> list[Received]:
        """All spans of this name."""
        return [span for span in self.spans if span.name == name]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that runs for the length of the block."""
    collector = Collector("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/x-protobuf"
            collector.requests += 1
            collector.may_answer.wait(60)
            if collector.answers == 200:
                collector.spans += _spans(ExportTraceServiceRequest.FromString(body))
            self.send_response(collector.answers)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: the test's output is its own."""

    collector.may_answer.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _spans(request: ExportTraceServiceRequest) -> list[Received]:
    found = []
    for of_resource in request.resource_spans:
        resource = {each.key: each.value.string_value for each in of_resource.resource.attributes}
        for scope in of_resource.scope_spans:
            for span in scope.spans:
                attributes: dict[str, object] = {}
                for each in span.attributes:
                    value = each.value
                    attributes[each.key] = (
                        value.int_value if value.HasField("int_value") else value.string_value
                    )
                found.append(
                    Received(
                        service=resource["service.name"],
                        instance=resource["service.instance.id"],
                        name=span.name,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        began_ns=span.start_time_unix_nano,
                        ended_ns=span.end_time_unix_nano,
                        attributes=attributes,
                    )
                )
    return found
