"""The name in a TLS client's hello, as OpenSSL sends it and as somebody hostile might."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_node.egress.client_hello import MAX_HELLO_BYTES, NotTls, read_client_hello


def hello_for(name: str | None) -> bytes:
    """What OpenSSL says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = hello_for("files.example.com")


def records(message: bytes, size: int) -> bytes:
    """A handshake message in records of this size."""
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2) + piece for piece in pieces)


def made(names: list[bytes]) -> bytes:
    """The smallest hello that names these."""
    listed = b"".join(b"\x00" + len(name).to_bytes(2) + name for name in names)
    content = len(listed).to_bytes(2) + listed
    extension = b"\x00\x00" + len(content).to_bytes(2) + content
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += len(extension).to_bytes(2) + extension
    return records(b"\x01" + len(body).to_bytes(3) + body, 1 << 14)


def test_the_name_is_found_in_lower_case() -> None:
    hello = read_client_hello(hello_for("Files.Example.com"))
    assert hello is not None
    assert hello.server_name == "files.example.com"


def test_a_hello_without_a_name_has_none() -> None:
    hello = read_client_hello(hello_for(None))
    assert hello is not None
    assert hello.server_name == ""


def test_it_is_found_only_when_all_of_it_is_there_in_any_pieces() -> None:
    whole = HELLO
    for end in range(len(whole)):
        assert read_client_hello(whole[:end]) is None
    for size in (1, 7, 100):
        hello = read_client_hello(records(whole[5:], size) + b"\x17\x03\x03")
        assert hello is not None
        assert hello.server_name == "files.example.com"


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\x80\x2e\x01\x03\x01",
        b"\x16\x02\x00\x00\x05",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x17\x03\x03\x00\x05hello",
        b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        # A second record that is none of a handshake.
        b"\x16\x03\x01\x00\x02\x01\x00\x15\x03\x03",
        # 16 MiB are announced, and never come.
        records(b"\x01\xff\xff\xff" + bytes(MAX_HELLO_BYTES), 1 << 14),
        made([b"a.example", b"b.example"]),
    ],
)
def test_what_is_no_hello_or_has_two_meanings_is_refused(data: bytes) -> None:
    with pytest.raises(NotTls):
        read_client_hello(data)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_no_bytes_do_worse_than_being_refused(noise: bytes, at: int) -> None:
    whole = bytearray(HELLO)
    whole[at : at + len(noise)] = noise
    for data in (noise, bytes(whole)):
        try:
            hello = read_client_hello(data)
        except NotTls:
            continue
        assert hello is None or hello.server_name.isprintable() or hello.server_name
