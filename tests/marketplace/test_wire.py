import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.errors import InvalidValue, MalformedMessage
from neurogrid_marketplace.wire import MAX_FRAME_BYTES, FrameDecoder, encode_frame

messages = st.dictionaries(st.text(max_size=5), st.integers(0, 9) | st.text(max_size=5), max_size=4)


@given(st.lists(messages, max_size=6), st.data())
def test_frames_survive_any_cutting(sent: list[dict[str, object]], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(message) for message in sent)
    decoder, received = FrameDecoder(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += decoder.feed(stream[:size])
        stream = stream[size:]
    assert received == sent


@given(st.binary(max_size=200))
def test_garbage_is_malformed_and_nothing_worse(data: bytes) -> None:
    framed = len(data).to_bytes(4, "big") + data
    try:
        received = FrameDecoder().feed(framed)
    except MalformedMessage:
        return
    assert all(isinstance(message, dict) for message in received)


def test_an_oversized_frame_is_refused_by_its_header_alone() -> None:
    with pytest.raises(MalformedMessage, match="limit"):
        FrameDecoder().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))


def test_an_oversized_message_is_not_sent() -> None:
    with pytest.raises(InvalidValue, match="limit"):
        encode_frame({"x": "y" * MAX_FRAME_BYTES})


@pytest.mark.parametrize("value", [[], 1, None, "x"])
def test_the_top_is_a_map(value: object) -> None:
    payload = msgpack.packb(value)
    with pytest.raises(MalformedMessage, match="map"):
        FrameDecoder().feed(len(payload).to_bytes(4, "big") + payload)


def test_a_bomb_of_nesting_or_length_is_refused() -> None:
    for bomb in (b"\x91" * 5_000 + b"\x00", b"\xdd\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01"):
        with pytest.raises(MalformedMessage):
            FrameDecoder().feed(len(bomb).to_bytes(4, "big") + bomb)
