"""The types that message fields are made of, with their bounds.

Every text, list and number that a peer or a client may send is bounded here, once. `decode` turns
untrusted JSON or msgpack into frozen dataclasses and refuses whatever does not fit.
"""

import dataclasses
from collections.abc import Mapping
from enum import Enum
from functools import cache
from threading import Lock
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from .canonical import Json
from .errors import MalformedMessage

T = TypeVar("T")

# Metadata of a field that came later: it has no place in a canonical form while it has its default, so that what was
# signed and hashed before there was such a field stays what it was.
OMITTED: Final[Mapping[str, bool]] = MappingProxyType({"omitted": True})

# JSON numbers are exact up to 2^53 in every language; 9 * 10^15 micro-USDC is nine billion USDC.
_EXACT_MAX = 2**53 - 1
MAX_TEXT_CHARS = 1024
# The factor of a node that starts as fast as it says, and the greatest: one that says a millisecond
# and takes the half hour that a start may take is still counted with what it takes.
PUNCTUAL_PERMILLE = 1000
START_FACTOR_MAX_PERMILLE = 2 * 10**9

MicroUsdc = Annotated[int, Meta(ge=0, le=_EXACT_MAX)]
Millis = Annotated[int, Meta(ge=0, le=_EXACT_MAX)]
Bytes = Annotated[int, Meta(ge=0, le=_EXACT_MAX)]
Count = Annotated[int, Meta(ge=0, le=10**9)]
# A number of the program's, which may use all 64 bits (msgspec's bounds end at 63; `Voucher` has
# the upper one).
U64 = Annotated[int, Meta(ge=0)]
CpuMillis = Annotated[int, Meta(ge=0, le=10**7)]
Permille = Annotated[int, Meta(ge=0, le=1000)]
# What a node's word about its starts is multiplied by (`calibration`).
StartFactor = Annotated[int, Meta(ge=PUNCTUAL_PERMILLE, le=START_FACTOR_MAX_PERMILLE)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
# A hash where there is one, "" where not.
MaybeSha256 = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
SignatureHex = Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]
# An X25519 public key; empty: there is none.
SealingKey = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
# A content key wrapped to one (`input_seal`); empty: there is none.
WrappedKey = Annotated[str, Meta(pattern=r"^([0-9a-f]{160})?\Z")]
# W3C's trace context, version 00: what spans belong to; empty: to nothing.
TraceParent = Annotated[str, Meta(pattern=r"^(00-[0-9a-f]{32}-[0-9a-f]{16}-0[01])?\Z")]
# Our ids: UUIDv7 as 32 hex digits with a prefix that says what they name ("task_", "lease_", ...).
Id = Annotated[str, Meta(pattern=r"^[a-z]{1,12}_[0-9a-f]{32}\Z")]
Address = Annotated[str, Meta(pattern=r"^[1-9A-HJ-NP-Za-km-z]{32,44}\Z")]
PeerId = Annotated[str, Meta(pattern=r"^[1-9A-HJ-NP-Za-km-z]{46,59}\Z")]
# Where a peer may be dialled, as libp2p writes it; whoever dials reads it (`neurogrid_p2p.address`).
Multiaddr = Annotated[str, Meta(pattern=r"^/[A-Za-z0-9._:/-]{1,511}\Z")]
TransactionSignature = Annotated[str, Meta(pattern=r"^[1-9A-HJ-NP-Za-km-z]{64,88}\Z")]
Word = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}\Z")]
Text = Annotated[str, Meta(max_length=MAX_TEXT_CHARS)]
ImageRef = Annotated[str, Meta(pattern=r"^[a-z0-9][A-Za-z0-9._:/@-]{0,511}\Z")]
Argument = Annotated[str, Meta(max_length=32_768)]
EnvName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")]
# Relative, without "." or ".." parts, empty parts or control characters.
FilePath = Annotated[
    str,
    Meta(
        pattern=r"^(?!\.{1,2}(/|\Z))[^/\x00-\x1f\\]{1,128}(/(?!\.{1,2}(/|\Z))[^/\x00-\x1f\\]{1,128}){0,15}\Z",
        max_length=512,
    ),
]


def decode(kind: type[T], value: object) -> T:
    """Read ``value`` (dicts, lists, strings, integers) as a ``kind``.

    Unknown fields are ignored, so that a newer peer can add some; wrong types and values out of
    bounds are refused.

    Raises:
        MalformedMessage: it does not fit; the message names the field.
    """
    _make_ready(kind)
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise MalformedMessage(f"{kind.__name__}: {error}") from error


_ready: set[type] = set()
_making_ready = Lock()


def _make_ready(kind: type) -> None:
    """Have a type looked into by one thread alone.

    Where two threads use a type for the first time at once, msgspec (0.19 to 0.22) reads what the other has half
    made, and crashes the process.
    """
    if kind not in _ready:
        with _making_ready:
            msgspec.json.Decoder(kind)
            _ready.add(kind)


def plain(value: object) -> dict[str, Json]:
    """A dataclass as the dictionary that travels; enums become their values, tuples lists.

    A field marked `OMITTED` is not there while it has its default.
    """
    result = _plain(value)
    assert isinstance(result, dict), "only dataclasses travel"
    return result


_LEAVES = frozenset({str, int, bool, type(None)})


@cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    """Of a dataclass; None for other types. Kept, because every message asks for several."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind) if not is_omitted(field))


@cache
def _omitted(kind: type) -> tuple[tuple[str, object], ...]:
    """Of a dataclass, the fields that may not be there, and their defaults."""
    fields = dataclasses.fields(kind)
    return tuple((field.name, field.default) for field in fields if is_omitted(field))


def is_omitted(field: "dataclasses.Field[Any]") -> bool:
    """Whether it is left out while it has its default."""
    return "omitted" in field.metadata


def _plain(value: Any) -> Json:
    if value.__class__ in _LEAVES:
        return value  # type: ignore[no-any-return]  # the test above leaves the four types of a leaf
    names = _field_names(value.__class__)
    if names is not None:
        result = {name: _plain(getattr(value, name)) for name in names}
        for name, default in _omitted(value.__class__):
            item = getattr(value, name)
            if item != default:
                result[name] = _plain(item)
        return result
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    assert isinstance(value, int | str), f"{value!r} does not travel"
    return value
