import pytest
import trio
import trio.testing

from neurogrid_p2p.errors import HandshakeFailed
from neurogrid_p2p.multistream import answer, propose

HEADER = b"\x13/multistream/1.0.0\n"


class Pipe:
    """One end of a pair of memory streams, with libp2p's method names."""

    def __init__(self, stream: trio.StapledStream) -> None:  # type: ignore[type-arg]  # of any halves
        self.stream = stream

    async def read(self, n: int | None = None) -> bytes:
        return bytes(await self.stream.receive_some(n))

    async def write(self, data: bytes) -> None:
        await self.stream.send_all(data)


def pipes() -> tuple[Pipe, Pipe]:
    one, other = trio.testing.memory_stream_pair()
    return Pipe(one), Pipe(other)


async def test_both_sides_agree_on_what_both_speak() -> None:
    asking, asked = pipes()
    agreed = []

    async def answering() -> None:
        agreed.append(await answer(asked, ("/a/1", "/b/1")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answering)
        await propose(asking, "/b/1")
    assert agreed == ["/b/1"]


async def test_a_second_proposal_is_heard() -> None:
    stranger, asked = pipes()
    await stranger.write(HEADER + b"\x05/no/\n" + b"\x05/a/1\n")
    assert await answer(asked, ("/a/1",)) == "/a/1"
    assert await stranger.read(1000) == HEADER + b"\x03na\n" + b"\x05/a/1\n"


async def test_a_refusal_is_an_error_that_names_the_protocol() -> None:
    asking, stranger = pipes()
    await stranger.write(HEADER + b"\x03na\n")
    with pytest.raises(HandshakeFailed, match="does not speak /a/1"):
        await propose(asking, "/a/1")


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 9,
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # 2^63 bytes to come
        b"\x00",
        b"\x03abc",
        b"\x04\xff\xff\xff\n",
        HEADER,
        HEADER + b"\xff\x7f" + b"x" * 20_000,
        HEADER + b"\x05/no/\n" * 20,
    ],
)
async def test_a_stranger_who_says_something_else_is_refused(said: bytes) -> None:
    stranger, asked = pipes()
    await stranger.write(said)
    await stranger.stream.send_stream.aclose()
    with pytest.raises(HandshakeFailed):
        await answer(asked, ("/a/1",))
