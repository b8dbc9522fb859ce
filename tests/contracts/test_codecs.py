"""Three codecs that nobody derived from each other read and write alike: the C structures as a
compiler lays them out, the IDL through a reader that knows nothing else, and our Python."""

import dataclasses
import enum
import inspect
import json
import struct
from collections.abc import ItemsView
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from contracts.native_structures import PROGRAM, NativeStructures
from contracts.test_accounts import TYPES
from neurogrid_contracts import instructions
from neurogrid_contracts.accounts import AccountFormatError
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import MarketTerms, Tag
from neurogrid_marketplace.voucher import Voucher

IDL: dict[str, Any] = json.loads((PROGRAM / "idl.json").read_text())
ACCOUNTS: dict[str, dict[str, Any]] = {entry["name"]: entry for entry in IDL["accounts"]}
FORMATS = {"u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q", "i64": "<q"}


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> NativeStructures:
    return NativeStructures(IDL, tmp_path_factory.mktemp("native"))


# --- the generic codec: the IDL and nothing else ---


def size_of(field: dict[str, Any]) -> int:
    return struct.calcsize(FORMATS[field["type"]]) if field["type"] in FORMATS else 32


def encode(field: dict[str, Any], value: Any) -> bytes:
    return struct.pack(FORMATS[field["type"]], value) if field["type"] in FORMATS else bytes(value)


def decode(field: dict[str, Any], raw: bytes) -> Any:
    raw = raw[: size_of(field)]
    return struct.unpack(FORMATS[field["type"]], raw)[0] if field["type"] in FORMATS else raw


def full_name(field: dict[str, Any]) -> str:
    """The field's name in Python: its unit is part of it."""
    return "_".join(filter(None, (field["name"], field.get("unit"))))


def generic_accepts(name: str, data: bytes) -> bool:
    entry = ACCOUNTS[name]
    return len(data) == entry["size"] and (data[0], data[1]) == (entry["tag"], entry["version"])


def generic_read(name: str, data: bytes) -> dict[str, Any]:
    return {
        field["name"]: decode(field, data[field["offset"] :]) for field in ACCOUNTS[name]["fields"]
    }


def enumerations(name: str) -> ItemsView[str, dict[str, int]]:
    """The fields in which only some numbers have a meaning."""
    found: dict[str, dict[str, int]] = IDL["enumerations"].get(name, {})
    return found.items()


def has_known_words(name: str, values: dict[str, Any]) -> bool:
    """Whether every enumerated field holds a number that means something."""
    return all(values[field] in words.values() for field, words in enumerations(name))


def as_python(value: Any) -> Any:
    """What Python makes of a field, as the generic reader has it."""
    if value is None:
        return bytes(32)
    if isinstance(value, enum.IntEnum):
        return int(value)
    return bytes(value) if isinstance(value, Pubkey) else value


# --- accounts ---


@st.composite
def account_values(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Any value in every field, but for the header and where only some have a meaning."""
    entry = ACCOUNTS[name]
    values = {field["name"]: draw(field_values(field)) for field in entry["fields"]}
    for field, words in enumerations(name):
        values[field] = draw(st.sampled_from(sorted(words.values())))
    return values | {"tag": entry["tag"], "version": entry["version"]}


def field_values(field: dict[str, Any]) -> st.SearchStrategy[Any]:
    if field["type"] not in FORMATS:
        return st.binary(min_size=32, max_size=32)
    bits = 8 * size_of(field)
    if field["type"].startswith("i"):
        return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.integers(0, 2**bits - 1)


def assert_all_read(native: NativeStructures, name: str, data: bytes) -> None:
    """The three readers agree about these bytes: all values, or that they are no such account."""
    accepted = generic_accepts(name, data)
    assert native.accepts(name, data) == accepted
    values = generic_read(name, data) if accepted else {}
    if not accepted or not has_known_words(name, values):
        with pytest.raises(AccountFormatError):
            TYPES[name].parse(data)
        return
    by_c = native.read(name, data)
    account = TYPES[name].parse(data)
    names = {full_name(field) for field in ACCOUNTS[name]["fields"]} - {"tag", "version"}
    assert {field.name for field in dataclasses.fields(account)} == names
    for field in ACCOUNTS[name]["fields"]:
        value = values[field["name"]]
        assert decode(field, by_c[field["name"]]) == value, field
        if field["name"] not in ("tag", "version"):
            ours = as_python(getattr(account, full_name(field)))
            assert ours == (bool(value) if isinstance(ours, bool) else value), field


@pytest.mark.parametrize("name", TYPES)
def test_the_structures_have_one_size(native: NativeStructures, name: str) -> None:
    assert native.size(name) == ACCOUNTS[name]["size"]


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(max_examples=60)
def test_what_c_writes_the_others_read(
    native: NativeStructures, name: str, data: st.DataObject
) -> None:
    values = data.draw(account_values(name))
    fields = ACCOUNTS[name]["fields"]
    raw = native.write(
        name, {field["name"]: encode(field, values[field["name"]]) for field in fields}
    )
    assert generic_read(name, raw) == values
    assert_all_read(native, name, raw)


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(max_examples=60)
def test_any_bytes_are_read_alike(native: NativeStructures, name: str, data: st.DataObject) -> None:
    """Reserved bytes and every field at once; the header is right, or nothing would be read."""
    entry = ACCOUNTS[name]
    body = data.draw(st.binary(min_size=entry["size"] - 2, max_size=entry["size"] - 2))
    assert_all_read(native, name, bytes([entry["tag"], entry["version"]]) + body)


@st.composite
def corruptions(draw: st.DrawFn, data: bytes) -> bytes:
    """These bytes with one thing wrong."""
    kind = draw(st.sampled_from(["byte", "header", "cut", "longer", "empty"]))
    at = draw(st.integers(0, 1 if kind == "header" else len(data) - 1))
    if kind == "cut":
        return data[:at]
    if kind == "longer":
        return data + draw(st.binary(min_size=1, max_size=64))
    if kind == "empty":
        return b""
    return data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :]


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(max_examples=100)
def test_corrupt_accounts_are_refused_alike(
    native: NativeStructures, name: str, data: st.DataObject
) -> None:
    values = data.draw(account_values(name))
    fields = ACCOUNTS[name]["fields"]
    raw = native.write(
        name, {field["name"]: encode(field, values[field["name"]]) for field in fields}
    )
    assert_all_read(native, name, data.draw(corruptions(raw)))


def test_one_type_of_account_is_never_read_as_another(native: NativeStructures) -> None:
    for name, entry in ACCOUNTS.items():
        for other, wrong in ACCOUNTS.items():
            data = bytes([wrong["tag"], wrong["version"]]).ljust(entry["size"], b"\0")
            assert native.accepts(name, data) == (name == other)
            assert_all_read(native, name, data)


# --- vouchers ---


@given(
    domain=st.integers(0, 2**64 - 1),
    escrow=st.binary(min_size=32, max_size=32),
    sequence=st.integers(0, 2**64 - 1),
    cumulative=st.integers(0, 2**64 - 1),
)
@settings(max_examples=200)
def test_a_voucher_is_the_same_72_bytes_for_all(
    native: NativeStructures, domain: int, escrow: bytes, sequence: int, cumulative: int
) -> None:
    message = Voucher(domain, escrow, sequence, cumulative).message()
    values: dict[str, Any] = {
        "magic": int.from_bytes(IDL["voucher"]["magic"].encode(), "little"),
        "domain": domain,
        "escrow": escrow,
        "sequence": sequence,
        "cumulative": cumulative,
        "reserved": 0,
    }
    fields = IDL["voucher"]["fields"]
    encoded = {field["name"]: encode(field, values[field["name"]]) for field in fields}
    assert native.write("voucher", encoded) == message
    assert b"".join(encoded[field["name"]] for field in fields) == message
    assert len(message) == IDL["voucher"]["size"] == native.size("voucher")


# --- instructions ---

KEYS = st.binary(min_size=32, max_size=32).map(Pubkey)
U64, U8 = st.integers(0, 2**64 - 1), st.integers(0, 255)
# Where a builder's argument has another name than the IDL's with its unit.
RENAMED = {"ed25519_instruction": "ed25519_instruction_index", "signature": "signature_index"}


@st.composite
def market_terms(draw: st.DrawFn) -> MarketTerms:
    """Any terms that are allowed."""
    grace_s, arbitration_s = draw(st.integers(1, 10**6)), draw(st.integers(1, 10**6))
    longest_s = instructions.market.WINDOW_MAX_S
    values: dict[str, Any] = {
        "fee_bps": draw(st.integers(0, instructions.market.FEE_BPS_MAX)),
        "slash_bps": draw(st.integers(0, instructions.market.BPS_ONE)),
        "unbonding_window_s": draw(st.integers(grace_s + arbitration_s + 1, longest_s)),
        "grace_window_s": grace_s,
        "arbitration_window_s": arbitration_s,
    }
    others = {field.name for field in dataclasses.fields(MarketTerms)} - set(values)
    return MarketTerms(**values, **{name: draw(U64) for name in sorted(others)})


def argument(name: str, hint: Any) -> st.SearchStrategy[Any]:
    """Any value for a builder's argument."""
    if hint is MarketTerms:
        return market_terms()
    if hint is bool:
        return st.booleans()
    if hint is Pubkey:
        return KEYS
    if hint == Pubkey | None:
        return st.none() | KEYS
    if hint is bytes:
        # A job id, or evidence, which the builder refuses to be zero.
        return st.binary(min_size=32, max_size=32).filter(any)
    if hint is int:
        if name.endswith("_index"):
            return U8
        return st.integers(-(2**63), 2**63 - 1) if name.endswith("_unix_s") else U64
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return st.sampled_from(list(hint))
    return st.just(())  # further signers of a multisig


@st.composite
def calls(draw: st.DrawFn, name: str) -> tuple[dict[str, Any], Instruction]:
    """A builder's arguments, all at random, and what it built."""
    builder = getattr(instructions, name)
    hints = get_type_hints(builder)
    keys = draw(st.lists(KEYS, min_size=3, max_size=3, unique=True))
    given_ = {
        parameter: draw(argument(parameter, hints[parameter]))
        for parameter in inspect.signature(builder).parameters
        if parameter != "deployment"
    }
    if given_.get("final") is False:
        given_["close_to"] = None  # an escrow is closed by its final release alone
    return given_, builder(Deployment(*keys), **given_)


def expected(name: str, field: dict[str, Any], given_: dict[str, Any]) -> Any:
    """What the IDL's argument must be for these arguments of the builder."""
    python_name = RENAMED.get(field["name"], full_name(field))
    terms = given_.get("terms")
    if python_name in given_:
        value = given_[python_name]
    elif terms is not None and hasattr(terms, python_name):
        value = getattr(terms, python_name)
    else:
        assert (name, field["name"]) == ("claim_voucher", "final"), (name, field)
        value = given_["close_to"] is not None
    return int(value) if isinstance(value, bool) else as_python(value)


@pytest.mark.parametrize("entry", IDL["instructions"], ids=lambda entry: str(entry["name"]))
@given(data=st.data())
@settings(max_examples=25)
def test_an_instructions_bytes_say_what_its_builder_was_told(
    entry: dict[str, Any], data: st.DataObject
) -> None:
    given_, built = data.draw(calls(entry["name"]))
    assert built.data[0] == entry["tag"] == Tag[entry["name"].upper()]
    at = 1
    for field in entry["args"]:
        raw = bytes(built.data[at : at + size_of(field)])
        assert decode(field, raw) == expected(entry["name"], field, given_), field
        at += size_of(field)
    assert at == len(built.data)
