"""Spans reach a collector with their parents and times; one that is away costs nobody anything."""

import subprocess
import sys

import pytest

from neurogrid_telemetry.exported_traces import QUEUE_MAX
from neurogrid_telemetry.traces import Traces, TraceSettings, read_traceparent
from neurogrid_telemetry.tracing import open_traces
from telemetry.collector import collecting

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def traces_to(endpoint: str) -> Traces:
    return open_traces(TraceSettings(endpoint), "neurogrid-test", "instance-1", "0.1.0")


@pytest.mark.parametrize(
    ("header", "read"),
    [
        (PARENT, PARENT),
        (f" {PARENT} ", PARENT),
        (f"00-{TRACE}-{SPAN}-ff", PARENT),
        (f"cc-{TRACE}-{SPAN}-00-what-comes-later", f"00-{TRACE}-{SPAN}-00"),
        (f"ff-{TRACE}-{SPAN}-01", ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"00-{TRACE.upper()}-{SPAN}-01", ""),
        ("", ""),
        (f"{PARENT}\r\nX: 1", ""),
    ],
)
def test_a_header_is_read_as_w3c_has_it(header: str, read: str) -> None:
    assert read_traceparent(header) == read


def test_spans_arrive_with_their_parents_times_and_attributes() -> None:
    with collecting() as collector:
        traces = traces_to(collector.url)
        outer = traces.begin("submit", PARENT, task="task_1")
        assert outer.traceparent.startswith(f"00-{TRACE}-")
        inner = traces.begin("run", outer.traceparent, began_ms=1_700_000_000_000)
        inner.end(1_700_000_005_000, outcome="completed", metered_ms=5_000)
        outer.end()
        traces.close()
        run, submit = collector.named("run") + collector.named("submit")
    assert (submit.trace_id, submit.parent_id) == (TRACE, SPAN)
    assert (run.trace_id, run.parent_id) == (TRACE, submit.span_id)
    assert (run.service, run.instance) == ("neurogrid-test", "instance-1")
    assert (run.began_ns, run.ended_ns - run.began_ns) == (1_700_000_000 * 10**9, 5 * 10**9)
    assert run.attributes == {"outcome": "completed", "metered_ms": 5_000}
    assert submit.attributes == {"task": "task_1"}


def test_a_trace_of_its_own_is_sampled_and_one_that_its_client_does_not_want_is_not() -> None:
    with collecting() as collector:
        traces = traces_to(collector.url)
        own = traces.begin("own")
        own.end()
        unwanted = traces.begin("unwanted", f"00-{TRACE}-{SPAN}-00")
        unwanted.end()
        traces.close()
        assert [span.name for span in collector.spans] == ["own"]
    assert own.traceparent.endswith("-01")
    assert unwanted.traceparent.startswith(f"00-{TRACE}-")
    assert unwanted.traceparent.endswith("-00")


def test_a_collector_that_does_not_answer_holds_nobody_up() -> None:
    with collecting() as collector:
        collector.may_answer.clear()
        traces = traces_to(collector.url)
        for _ in range(3 * QUEUE_MAX):
            traces.begin("many").end()
        # All have ended, and the collector has not answered once.
        assert collector.spans == []
        assert collector.requests <= 1
        collector.may_answer.set()
        traces.close()
    assert 0 < len(collector.spans) < 3 * QUEUE_MAX


def test_a_collector_that_refuses_costs_spans_alone() -> None:
    with collecting() as collector:
        collector.answers = 400
        traces = traces_to(collector.url)
        traces.begin("lost").end()
        traces.close()
        collector.answers = 200
        traces.begin("kept").end()
        traces.close()
        assert [span.name for span in collector.spans] == ["kept"]


def test_off_nothing_is_imported_and_the_context_is_handed_on() -> None:
    code = (
        "import sys; from neurogrid_telemetry.traces import TraceSettings;"
        "from neurogrid_telemetry.tracing import open_traces;"
        "span = open_traces(TraceSettings(), 's', 'i', 'v').begin('x', 'parent'); span.end(a=1);"
        "assert span.traceparent == 'parent';"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
