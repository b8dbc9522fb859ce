"""Every message reads back, unknown fields are ignored, and whatever does not fit is refused."""

from contextlib import suppress
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace import messages as m
from neurogrid_marketplace.bid import Decline, DeclineCode
from neurogrid_marketplace.checkpoint import Checkpoint
from neurogrid_marketplace.errors import InvalidValue, MalformedMessage, UnknownMessage
from neurogrid_marketplace.faults import CONSEQUENCES, Fault, Outcome
from neurogrid_marketplace.fields import decode
from neurogrid_marketplace.job import InputFile, Job, OutputFile
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus
from neurogrid_marketplace.sealing import Commit, Reveal
from neurogrid_marketplace.wire import MAX_FRAME_BYTES, encode_frame

from .keys import person
from .market import bid, capacity, demand, gpu, offer
from .story import COORDINATOR, JOB, LEASE_ID, WINNER, evidence, signed

AWARD = evidence()[1]
RESULT = m.Result(Outcome.COMPLETED, 0, "", 5, (OutputFile("a/b.txt", "0" * 64, 3),))
ADDRESS = person("somebody").address
EXAMPLES: list[m.Message] = [
    m.Welcome("s1", "neurogrid/1"),
    m.Hello(offer("a"), (LeaseStatus(LEASE_ID, LeasePhase.RUNNING, 5, 420, "resizing"),)),
    m.Heartbeat(capacity(gpus=(gpu(1),)), True),
    demand(),
    bid(5),
    Decline(demand().demand_id, DeclineCode.BUSY, "later"),
    Commit(demand().demand_id, demand().hash(), "0" * 64),
    Reveal(demand().demand_id, {person("a").peer_id: "0" * 64}),
    AWARD,
    m.Accept(LEASE_ID, AWARD.hash()),
    m.Deny(LEASE_ID, DeclineCode.BUSY),
    m.Attach(LEASE_ID, True, 2, 5),
    m.Start(LEASE_ID, JOB, ADDRESS, ADDRESS, ADDRESS, "http://127.0.0.1:1/x", "ngl_token"),
    m.Funded(LEASE_ID, ADDRESS, ADDRESS, ADDRESS),
    m.Stop(LEASE_ID, Outcome.CANCELLED),
    m.Event(LEASE_ID, 2, m.EventKind.FINISHED, 9, "0" * 64, RESULT),
    m.Meter(LEASE_ID, 5, 6),
    m.Log(LEASE_ID, 0, "hello\n"),
    m.CheckpointTaken(LEASE_ID, Checkpoint(1, "0" * 64, 2, 3)),
    m.Claimed(LEASE_ID, "2" * 88),
    m.VoucherMessage(LEASE_ID, 5, "0" * 128, True),
    m.Acknowledge(LEASE_ID, 1, 2, True),
    m.Pulse(3),
]


def test_there_is_an_example_of_every_message() -> None:
    assert {type(example) for example in EXAMPLES} == set(m.MESSAGE_TYPES.values())


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: m.type_name(message))
def test_every_message_reads_back(message: m.Message) -> None:
    body = m.to_body(message)
    assert m.parse_body(m.type_name(message), body) == message
    assert m.parse_body(m.type_name(message), {**body, "new_in_version_2": 1}) == message


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: m.type_name(message))
@given(st.data())
def test_a_broken_field_is_refused_and_nothing_worse(
    message: m.Message, data: st.DataObject
) -> None:
    body: dict[str, Any] = dict(m.to_body(message))
    field = data.draw(st.sampled_from(sorted(body)))
    body[field] = data.draw(
        st.sampled_from([None, -1, 2**70, 1.5, "\x00", "x" * 200_000, [[]], {}])
    )
    # Refused, or read: a few of these values do fit a few of the fields.
    with suppress(MalformedMessage):
        m.parse_body(m.type_name(message), body)


def test_an_unknown_message_is_one_that_may_be_passed_over() -> None:
    with pytest.raises(UnknownMessage, match="no message is called"):
        m.parse_body("sudo", {})


@pytest.mark.parametrize("critical", [["later"], ["sudo", "pulse"], [1], "later", ["pulse"] * 17])
def test_what_says_that_it_must_be_understood_is_refused_where_it_is_not(critical: object) -> None:
    for name in ("pulse", "sudo"):
        with pytest.raises(MalformedMessage) as refusal:
            m.parse_body(name, {"received_ms": 3, "later": 4, "critical": critical})
        assert not isinstance(refusal.value, UnknownMessage)


def test_what_says_that_it_must_be_understood_is_taken_where_it_is() -> None:
    body = {"received_ms": 3, "later": 4, "critical": ["pulse", "received_ms"]}
    assert m.parse_body("pulse", body) == m.Pulse(3)


def test_every_message_but_the_welcome_has_one_kind_of_stream_and_one_direction() -> None:
    lease = set(get_args(m.NodeLeaseMessage)) | set(get_args(m.CoordinatorLeaseMessage))
    names = {name for name, kind in m.MESSAGE_TYPES.items() if kind in lease}
    assert names == {
        *("attach", "event", "meter", "log", "checkpoint", "claimed"),
        *("start", "funded", "stop", "voucher", "acknowledge"),
    }
    assert all("lease_id" in kind.__dataclass_fields__ for kind in lease)


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../b", "/a", "a//b", ".", "a/.", "a\\b", "a\nb", "a\x00", "", "x" * 600, "a/"],
)
def test_paths_that_leave_their_directory_are_refused(path: str) -> None:
    with pytest.raises(MalformedMessage):
        decode(InputFile, {"path": path, "sha256": "0" * 64, "size_bytes": 1})


@pytest.mark.parametrize(
    "job",
    [
        {"image": "UPPER:1"},
        {"image": "-rm"},
        {"image": "a:1", "command": ["x\0y"]},
        {"image": "a:1", "command": ["x" * 30_000] * 6},
        {"image": "a:1", "environment": {"A=B": "c"}},
        {
            "image": "a:1",
            "inputs": [{"path": "a", "sha256": "0" * 64, "size_bytes": 1}] * 2,
        },
    ],
)
def test_jobs_that_no_container_could_be_made_of_are_refused(job: dict[str, object]) -> None:
    with pytest.raises(MalformedMessage):
        decode(Job, job)


def test_the_same_job_has_the_same_hash_and_another_has_another() -> None:
    assert Job("a:1", ("x",)).hash() == Job("a:1", ("x",)).hash() != Job("a:1", ("y",)).hash()


def test_every_outcome_has_its_consequence_and_only_four_are_charged() -> None:
    assert set(CONSEQUENCES) == set(Outcome)
    charged = {outcome for outcome, what in CONSEQUENCES.items() if what.charged}
    assert charged == {
        Outcome.COMPLETED,
        Outcome.EXIT_NONZERO,
        Outcome.CANCELLED,
        Outcome.PREEMPTED,
    }
    for what in CONSEQUENCES.values():
        assert not (what.retried and what.fault is Fault.USER), "a user's error is never retried"
    both = {outcome for outcome, what in CONSEQUENCES.items() if what.retried and what.charged}
    assert both == {Outcome.PREEMPTED}


def _paths(count: int, tail: str) -> list[str]:
    """Different paths, most of them four-byte characters."""
    return [f"{number:04}/" + "\U0001f600" * 127 + tail for number in range(count)]


def test_the_largest_job_and_the_largest_result_fit_a_frame() -> None:
    longest = ("/" + "\U0001f600" * 125) * 3
    inputs = tuple(InputFile(path, "0" * 64, 2**53 - 1) for path in _paths(256, longest))
    job = Job("i" * 512, ("\U0001f600" * 8_000,) * 5, {}, inputs)
    start = m.Start(LEASE_ID, job, ADDRESS, ADDRESS, ADDRESS, "http://" + "u" * 500, "t" * 256)
    outputs = tuple(OutputFile(path, "0" * 64, 2**53 - 1) for path in _paths(1000, "/ten bytes"))
    result = m.Result(Outcome.COMPLETED, 0, "\U0001f600" * 1024, 1, outputs)
    event = m.Event(LEASE_ID, 2, m.EventKind.FINISHED, 1, "0" * 64, result)
    for message in (start, event):
        assert parse_again(message) == message
        envelope = signed(WINNER, COORDINATOR, message)
        assert len(encode_frame(dict(envelope.to_dict()))) < MAX_FRAME_BYTES


def test_a_result_that_no_frame_holds_is_refused() -> None:
    outputs = [OutputFile(path, "0" * 64, 1) for path in _paths(1000, "/sixteen bytes and more")]
    assert not m.outputs_travel(outputs)
    assert m.outputs_travel(outputs[1:500])
    with pytest.raises(InvalidValue, match="manifest"):
        m.Result(Outcome.COMPLETED, 0, "", 1, tuple(outputs))


def parse_again(message: m.Message) -> m.Message:
    return m.parse_body(m.type_name(message), m.to_body(message))
