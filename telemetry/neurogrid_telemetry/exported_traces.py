"""Spans on their way to a collector, by OpenTelemetry's own SDK and exporter.

Its one thread takes spans from a queue of bounded length and sends them over HTTP; who ends a span never waits for
it. What does not fit, or cannot be sent, is dropped.
"""

import threading
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan

from .traces import Span, Traces

QUEUE_MAX: Final = 2048
_BATCH_MAX: Final = 256
_INTERVAL_MS: Final = 2_000
_ANSWER_S: Final = 5
_CLOSE_S: Final = 2.0
_NS_PER_MS: Final = 1_000_000


class ExportedSpan(Span):
    """One that is sent when it has ended."""

    def __init__(self, span: SdkSpan) -> None:
        context = span.get_span_context()
        super().__init__(
            f"00-{context.trace_id:032x}-{context.span_id:016x}-0{int(context.trace_flags) & 1}"
        )
        self._span = span

    def note(self, **attributes: str | int) -> None:
        """See `Span`."""
        self._span.set_attributes(attributes)

    def end(self, ended_ms: int | None = None, **attributes: str | int) -> None:
        """See `Span`."""
        self.note(**attributes)
        self._span.end(_ns(ended_ms))


class ExportedTraces(Traces):
    """See the module. What is sampled is the first one's decision; a trace that begins here is."""

    def __init__(self, endpoint: str, service: str, instance: str, version: str) -> None:
        resource = Resource.create(
            {
                "service.name": service,
                "service.instance.id": instance,
                "service.version": version,
            }
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(endpoint=endpoint, timeout=_ANSWER_S),
                max_queue_size=QUEUE_MAX,
                max_export_batch_size=_BATCH_MAX,
                schedule_delay_millis=_INTERVAL_MS,
            )
        )
        self._tracer = self._provider.get_tracer("neurogrid")

    def begin(
        self, name: str, parent: str = "", began_ms: int | None = None, **attributes: str | int
    ) -> Span:
        """See `Traces`."""
        return ExportedSpan(
            self._tracer.start_span(
                name, _context(parent), start_time=_ns(began_ms), attributes=attributes
            )
        )

    def close(self) -> None:
        """See `Traces`."""
        # The SDK's own flush waits for as long as the exporter tries.
        flush = threading.Thread(target=self._provider.force_flush, daemon=True)
        flush.start()
        flush.join(_CLOSE_S)


def _context(traceparent: str) -> Context:
    # Never the one of the task that calls: there is none that means anything.
    if not traceparent:
        return Context()
    _, trace_id, span_id, flags = traceparent.split("-")
    parent = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _ns(unix_ms: int | None) -> int | None:
    return None if unix_ms is None else unix_ms * _NS_PER_MS
