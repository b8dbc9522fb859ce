"""How long recordings can be at most, by their own headers. `recordings/` has 2.3 s of silence each, written by FFmpeg."""

import io
import struct
import wave
from pathlib import Path

import pytest

from neurogrid_marketplace.sound_length import ENDS_BYTES, longest_ms

RECORDINGS = Path(__file__).with_name("recordings")
HERTZ = 16_000


def longest(data: bytes) -> int | None:
    return longest_ms(data[:ENDS_BYTES], data[-ENDS_BYTES:], len(data))


def wav(length_s: float, channels: int = 1, sample_bytes: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(sample_bytes)
        sound.setframerate(HERTZ)
        sound.writeframes(bytes(channels * sample_bytes * round(length_s * HERTZ)))
    return file.getvalue()


@pytest.mark.parametrize("name", ["silence.flac", "silence-opus.ogg"])
def test_what_was_packed_is_as_long_as_its_writer_says(name: str) -> None:
    assert longest((RECORDINGS / name).read_bytes()) == 3000


@pytest.mark.parametrize(
    ("length_s", "longest_s"), [(0.3, 1), (0.95, 2), (2.5, 3), (3, 4), (61.7, 62)]
)
@pytest.mark.parametrize(("channels", "sample_bytes"), [(1, 1), (1, 2), (2, 3), (6, 4)])
def test_a_wav_is_as_long_as_its_bytes(
    length_s: float, longest_s: int, channels: int, sample_bytes: int
) -> None:
    assert longest(wav(length_s, channels, sample_bytes)) == 1000 * longest_s


@pytest.mark.parametrize("written", [0, 1000, 0xFFFFFFFF])
def test_a_wav_that_says_another_length_is_as_long_as_its_bytes(written: int) -> None:
    sound = bytearray(wav(2.5))
    sound[40:44] = struct.pack("<I", written)
    assert longest(bytes(sound)) == 3000


def test_a_wav_may_have_other_chunks_before_its_sound_and_a_longer_form() -> None:
    sound = wav(2.5)
    note = b"LIST" + struct.pack("<I", 5) + b"hello\0"
    assert longest(sound[:12] + note + sound[12:]) == 3000
    (form, rest), extra = (sound[20:36], sound[36:]), struct.pack("<HHI", 22, 16, 4)
    extended = struct.pack("<H", 0xFFFE) + form[2:] + extra + struct.pack("<H", 1) + bytes(14)
    sizes = b"fmt " + struct.pack("<I", len(extended))
    assert longest(sound[:12] + sizes + extended + rest) == 3000


def opus() -> bytes:
    return (RECORDINGS / "silence-opus.ogg").read_bytes()


def flac_without_its_length() -> bytes:
    data = bytearray((RECORDINGS / "silence.flac").read_bytes())
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        b"RIFF\0\0\0\0AVI LIST",
        b"RIFF\0\0\0\0WAVEdata\0\0\0\0",
        # Packed in blocks (ADPCM), and without a rate.
        wav(2.5)[:20] + b"\x11\0" + wav(2.5)[22:],
        wav(2.5)[:24] + bytes(4) + wav(2.5)[28:],
        b"fLaC",
        b"fLaC\x04" + bytes(100),
        flac_without_its_length(),
        b"OggS",
        opus()[:47],
        # Another stream follows, or it begins in the middle.
        opus() + opus().replace(opus()[14:18], b"abcd"),
        opus()[:5] + b"\0" + opus()[6:],
        opus().replace(b"OpusHead", b"\x01vorbis "),
        b"ID3" + bytes(1000),
        b"\0\0\0\x20ftypM4A " + bytes(1000),
        bytes(1000),
    ],
)
def test_what_says_nothing_bounds_nothing(data: bytes) -> None:
    assert longest(data) is None
