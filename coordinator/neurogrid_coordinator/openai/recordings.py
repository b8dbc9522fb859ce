"""Which bytes begin a recording: said before a node is paid for finding out that it cannot read them."""

# The bytes at the beginning of each container that OpenAI names (flac, m4a, mp3, mp4, mpeg, mpga, oga, ogg, wav, webm).
_STARTS = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3", b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba")
_MP4_BOX = b"ftyp"
HEAD_BYTES = 12
FORMATS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")


def is_recording(head: bytes) -> bool:
    """Whether a file of these formats may begin so.

    Args:
        head: its first `HEAD_BYTES`.
    """
    if head.startswith(_STARTS) or head[4:8] == _MP4_BOX:
        return True
    # A frame of MPEG audio, of any layer, or AAC: eleven bits that are set.
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
