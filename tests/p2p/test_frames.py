"""Frames as the multiplexer's loop reads them, however their bytes come."""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_p2p._libp2p import read_exactly, yamux
from neurogrid_p2p.frames import Frames

IncompleteReadError = cast(Any, yamux).IncompleteReadError
Frame = tuple[int, int, int, bytes]
DATA, WINDOW, FIN = yamux.TYPE_DATA, yamux.TYPE_WINDOW_UPDATE, yamux.FLAG_FIN


class Pieces:
    """A connection on which these come."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = list(pieces)

    async def read(self, n: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return self.pieces.pop(0) if self.pieces else b""

    async def write(self, data: bytes) -> None:
        raise AssertionError("nobody writes")

    async def close(self) -> None:
        raise AssertionError("nobody closes")


def frame(kind: int, flags: int, stream_id: int, body: bytes = b"", length: int = 0) -> bytes:
    header = struct.pack(yamux.YAMUX_HEADER_FORMAT, 0, kind, flags, stream_id, len(body) or length)
    return header + body


class Loop:
    """libp2p's loop, as far as it reads."""

    def __init__(self, pieces: Sequence[bytes], *, takes: bool = True) -> None:
        self.delivered: list[tuple[int, bytes]] = []
        self.seen: list[Frame] = []
        self._takes = takes
        self._frames = Frames(Pieces(pieces), self._deliver)

    def _deliver(self, stream_id: int, data: bytes) -> bool:
        if self._takes:
            self.delivered.append((stream_id, data))
        return self._takes

    async def run(self) -> None:
        reader = cast(Any, self._frames)
        while True:
            header = await read_exactly(reader, yamux.HEADER_SIZE)
            _, kind, flags, stream_id, length = struct.unpack(yamux.YAMUX_HEADER_FORMAT, header)
            body = await read_exactly(reader, length) if kind == DATA and length else b""
            self.seen.append((kind, flags, stream_id, body))


async def run_to_end(loop: Loop) -> Any:
    """How it ends."""
    with pytest.raises(IncompleteReadError) as raised:
        await loop.run()
    return raised.value


@st.composite
def cut(draw: st.DrawFn) -> tuple[list[Frame], list[bytes]]:
    """Some frames, and their bytes in any pieces."""
    frames = draw(
        st.lists(
            st.tuples(
                st.sampled_from((DATA, WINDOW)),
                st.sampled_from((0, FIN)),
                st.integers(1, 5),
                st.binary(max_size=40),
            ),
            max_size=12,
        )
    )
    frames = [
        (kind, flags, stream, body if kind == DATA else b"") for kind, flags, stream, body in frames
    ]
    data = b"".join(frame(*each) for each in frames)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=20)))
    bounds = [0, *cuts, len(data)]
    pieces = [data[a:b] for a, b in pairwise(bounds) if a < b]
    return frames, pieces


@given(case=cut())
def test_all_arrives_once_whole_and_in_its_streams_order(
    case: tuple[list[Frame], list[bytes]],
) -> None:
    frames, pieces = case
    loop = Loop(pieces)
    ended = trio.run(run_to_end, loop)
    assert ended.is_clean_close
    plain = [(stream, body) for kind, flags, stream, body in frames if kind == DATA and not flags]
    seen_plain = [
        (stream, body) for kind, flags, stream, body in loop.seen if kind == DATA and not flags
    ]
    # A body that was not there yet goes the loop's way.
    assert sorted(loop.delivered + seen_plain) == sorted(plain)
    assert [each for each in loop.seen if each[0] != DATA or each[1]] == [
        each for each in frames if each[0] != DATA or each[1]
    ]
    # Whoever gave each to its stream as it came would have this.
    if not seen_plain:
        assert loop.delivered == plain


async def test_what_nobody_takes_goes_the_loops_way() -> None:
    loop = Loop([frame(DATA, 0, 3, b"abc") + frame(DATA, 0, 5, b"0123456789ab")], takes=False)
    assert (await run_to_end(loop)).is_clean_close
    assert loop.seen == [(DATA, 0, 3, b"abc"), (DATA, 0, 5, b"0123456789ab")]


async def test_a_length_that_is_no_bodys_is_none() -> None:
    loop = Loop([frame(WINDOW, 0, 3, length=4096) + frame(DATA, 0, 3, b"abc")])
    assert (await run_to_end(loop)).is_clean_close
    assert loop.seen == [(WINDOW, 0, 3, b"")]
    assert loop.delivered == [(3, b"abc")]


@pytest.mark.parametrize("left", [1, 11, 13, 20])
async def test_an_end_within_a_frame_is_no_clean_one(left: int) -> None:
    whole = frame(DATA, 0, 3, b"0123456789")
    loop = Loop([whole + whole[:left]])
    assert not (await run_to_end(loop)).is_clean_close
    assert loop.delivered == [(3, b"0123456789")]
    assert not loop.seen


async def test_a_body_in_a_thousand_pieces_is_read() -> None:
    whole = frame(DATA, FIN, 3, bytes(1000))
    loop = Loop([whole[:12], *(bytes([each]) for each in whole[12:])])
    assert (await run_to_end(loop)).is_clean_close
    assert loop.seen == [(DATA, FIN, 3, bytes(1000))]


async def test_a_reader_that_is_cancelled_loses_nothing() -> None:
    whole = frame(DATA, FIN, 3, b"0123456789")
    loop = Loop([whole[each : each + 1] for each in range(len(whole))])
    for _ in range(3):
        with trio.CancelScope() as scope:
            scope.cancel()
            await loop._frames.read(12)
        assert scope.cancelled_caught
    assert (await run_to_end(loop)).is_clean_close
    assert loop.seen == [(DATA, FIN, 3, b"0123456789")]
