"""Frames of streams into jobs, in any pieces; and credit, which neither side oversteps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.errors import InvalidValue, MalformedMessage
from neurogrid_marketplace.fields import decode, plain
from neurogrid_marketplace.job import InputFile, Job
from neurogrid_marketplace.job_stream import (
    MAX_COMMAND_BYTES,
    MAX_PAYLOAD_BYTES,
    WINDOW_BYTES,
    Credit,
    Exited,
    FrameKind,
    FrameReader,
    Incoming,
    Open,
    Outgoing,
    Refused,
    Resize,
    Signal,
    SignalName,
    StreamFrame,
    StreamRefusal,
    write_bytes,
    write_words,
)

LEASE = "lease_" + "0" * 32


@given(
    st.lists(st.tuples(st.sampled_from(FrameKind), st.binary(max_size=300)), max_size=8),
    st.lists(st.integers(1, 64)),
)
def test_frames_arrive_whole_in_whatever_pieces(
    frames: list[tuple[FrameKind, bytes]], cuts: list[int]
) -> None:
    data = b"".join(write_bytes(kind, payload) for kind, payload in frames)
    reader = FrameReader()
    read: list[StreamFrame] = []
    for cut in cuts:
        read += reader.feed(data[:cut])
        data = data[cut:]
    read += reader.feed(data)
    assert read == [StreamFrame(kind, payload) for kind, payload in frames]


@given(st.binary(max_size=2000))
def test_garbage_is_refused_as_malformed_or_waited_for(data: bytes) -> None:
    reader = FrameReader()
    try:
        for frame in reader.feed(data):
            for kind in (Open, Refused, Resize, Signal, Credit, Exited):
                try:
                    frame.words(kind)
                except MalformedMessage:
                    continue
    except MalformedMessage:
        return
    assert len(reader._data) <= MAX_PAYLOAD_BYTES + 5


@pytest.mark.parametrize(
    "words",
    [
        Open(LEASE, ("sh", "-c", "ä"), True, 4096, 1, "xterm"),
        Refused(StreamRefusal.NODE_AWAY, "later"),
        Resize(1, 4096),
        Signal(SignalName.INT),
        Credit(WINDOW_BYTES),
        Exited(-1),
    ],
)
def test_words_are_read_back(words: Open | Refused | Resize | Signal | Credit | Exited) -> None:
    (frame,) = FrameReader().feed(write_words(words))
    assert frame.words(type(words)) == words


@pytest.mark.parametrize(
    "command",
    [(), ("",), ("a\0",), ("a", "b\0c"), ("x" * MAX_COMMAND_BYTES, "x")],
)
def test_what_is_no_command_is_refused(command: tuple[str, ...]) -> None:
    with pytest.raises(InvalidValue):
        Open(LEASE, command)


def test_the_longest_command_fits_a_frame() -> None:
    # JSON makes six bytes of a control character; more than a frame holds is refused by whoever reads it.
    longest = Open(LEASE, ("x" * MAX_COMMAND_BYTES,), True, 4096, 4096, "x" * 64)
    assert len(write_words(longest)) < MAX_PAYLOAD_BYTES


@given(st.lists(st.integers(1, MAX_PAYLOAD_BYTES), max_size=50))
def test_a_receiver_that_takes_all_lets_all_be_sent(sizes: list[int]) -> None:
    sending, receiving = Outgoing(), Incoming()
    for size in sizes:
        while size:
            part = min(size, sending.left_bytes)
            assert part == size, "nothing waits, so there is room for a frame"
            sending.sent(part)
            receiving.received(part)
            credit = receiving.taken(part)
            if credit is not None:
                sending.granted(credit)
            size -= part
    owed = WINDOW_BYTES - sending.left_bytes
    assert receiving.taken(16 * 1024) == Credit(owed + 16 * 1024)


def test_more_than_the_credit_is_refused_and_so_is_credit_for_nothing() -> None:
    receiving = Incoming()
    receiving.received(WINDOW_BYTES)
    with pytest.raises(MalformedMessage):
        receiving.received(1)
    assert receiving.taken(100) is None, "a little is not worth a frame"
    assert receiving.taken(20_000) == Credit(20_100)
    receiving.received(20_100)
    with pytest.raises(MalformedMessage):
        Outgoing().granted(Credit(1))


def test_a_job_with_sealed_inputs_lets_no_commands_in() -> None:
    sealed = (InputFile("a", "0" * 64, 1, sealed=True),)
    with pytest.raises(InvalidValue, match="lets no commands in"):
        Job("a", inputs=sealed, interactive=True)
    closed = plain(Job("a", inputs=sealed))
    with pytest.raises(MalformedMessage):
        decode(Job, closed | {"interactive": True})
