import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_marketplace.errors import SealBroken
from neurogrid_marketplace.sealed_file import CHUNK_BYTES, FileOpener, FileSealer, sealed_size

KEY, SALT = b"k" * 32, b"s" * 32
HEADER_BYTES, SEALED_CHUNK_BYTES = 40, CHUNK_BYTES + 16
SIZES = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7)


def content(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def sealed(plain: bytes, key: bytes = KEY) -> bytes:
    sealer = FileSealer(key, SALT)
    chunks = [plain[at : at + CHUNK_BYTES] for at in range(0, len(plain), CHUNK_BYTES)] or [b""]
    last = len(chunks) - 1
    return sealer.header + b"".join(
        sealer.seal(chunk, is_last=number == last) for number, chunk in enumerate(chunks)
    )


def opened(data: bytes, key: bytes = KEY, piece: int = 100_000) -> bytes:
    opener = FileOpener(key)
    parts = [opener.feed(data[at : at + piece]) for at in range(0, len(data), piece)]
    return b"".join(parts) + opener.finish()


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_opens_again_however_it_arrives(size: int) -> None:
    data = sealed(content(size))
    assert len(data) == sealed_size(size)
    for piece in (999, CHUNK_BYTES, SEALED_CHUNK_BYTES, len(data)):
        assert opened(data, piece=piece) == content(size)


@given(st.integers(0, sealed_size(CHUNK_BYTES + 5) - 1), st.integers(1, 255))
@settings(max_examples=100)
def test_changing_any_byte_is_found(place: int, difference: int) -> None:
    data = bytearray(sealed(content(CHUNK_BYTES + 5)))
    data[place] ^= difference
    with pytest.raises(SealBroken):
        opened(bytes(data))


@given(st.integers(0, sealed_size(2 * CHUNK_BYTES) - 1))
@settings(max_examples=50)
def test_cutting_it_off_anywhere_is_found(length: int) -> None:
    with pytest.raises(SealBroken):
        opened(sealed(content(2 * CHUNK_BYTES))[:length])


def test_chunks_cannot_be_reordered_repeated_left_out_or_added() -> None:
    data = sealed(content(3 * CHUNK_BYTES))
    header, rest = data[:HEADER_BYTES], data[HEADER_BYTES:]
    one, two, three = (
        rest[at : at + SEALED_CHUNK_BYTES] for at in range(0, len(rest), SEALED_CHUNK_BYTES)
    )
    for chunks in (
        (two, one, three),
        (one, two),
        (one, three),
        (two, three),
        (one, one, two, three),
        (one, two, three, three),
        (one, two, three, b"x"),
    ):
        with pytest.raises(SealBroken):
            opened(header + b"".join(chunks))


def test_an_empty_chunk_ends_no_file_that_is_not_empty() -> None:
    sealer = FileSealer(KEY, SALT)
    data = sealer.header + sealer.seal(content(CHUNK_BYTES), is_last=False)
    with pytest.raises(SealBroken, match="empty chunk"):
        opened(data + sealer.seal(b"", is_last=True))


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealBroken, match="does not authenticate"):
        opened(sealed(content(10)), key=b"K" * 32)


@given(st.binary(max_size=200))
def test_garbage_is_no_sealed_file(data: bytes) -> None:
    with pytest.raises(SealBroken):
        opened(data)
