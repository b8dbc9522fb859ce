"""Account bytes in, values out; held against the IDL field by field."""

import dataclasses
import enum
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import (
    AccountFormatError,
    ClientAccount,
    ConfigAccount,
    DisputeOpener,
    EscrowAccount,
    EscrowState,
    ProviderAccount,
)

IDL: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "contracts-client" / "program" / "idl.json").read_text()
)
Account = ConfigAccount | ProviderAccount | ClientAccount | EscrowAccount
TYPES: dict[str, type[Account]] = {
    "config": ConfigAccount,
    "provider": ProviderAccount,
    "client": ClientAccount,
    "escrow": EscrowAccount,
}
FORMATS = {"u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q", "i64": "<q"}


def layout(name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in IDL["accounts"] if entry["name"] == name)
    return found


def filled(name: str) -> tuple[bytearray, dict[str, Any]]:
    """An account with another value in every field, and the values by their Python names."""
    entry = layout(name)
    data = bytearray(entry["size"])
    expected: dict[str, Any] = {}
    for number, field in enumerate(entry["fields"], 1):
        python_name = "_".join(filter(None, (field["name"], field.get("unit"))))
        value: Any = {
            "tag": entry["tag"],
            "version": entry["version"],
            "state": 2,
            "dispute_opener": 2,
        }.get(field["name"], number)
        if field["type"] in FORMATS:
            if field["name"] in ("paused", "opened_by_operator", "client_complains"):
                value = 1
            struct.pack_into(FORMATS[field["type"]], data, field["offset"], value)
        else:
            raw = bytes([number]) * 32
            data[field["offset"] : field["offset"] + 32] = raw
            value = raw if field["type"] == "bytes32" else Pubkey(raw)
        if field["name"] not in ("tag", "version"):
            expected[python_name] = value
    return data, expected


@pytest.mark.parametrize("name", TYPES)
def test_every_field_is_read_from_its_place_in_the_idl(name: str) -> None:
    data, expected = filled(name)
    account = TYPES[name].parse(bytes(data))
    assert {field.name for field in dataclasses.fields(account)} == set(expected)
    for field, value in expected.items():
        assert getattr(account, field) == value, field


@pytest.mark.parametrize("name", TYPES)
def test_bytes_of_another_length_are_refused(name: str) -> None:
    data, _ = filled(name)
    for wrong in (b"", bytes(data[:-1]), bytes(data) + b"\0"):
        with pytest.raises(AccountFormatError, match="bytes, not"):
            TYPES[name].parse(wrong)


@pytest.mark.parametrize("name", TYPES)
def test_another_type_of_account_is_refused(name: str) -> None:
    data, _ = filled(name)
    data[0] += 1
    with pytest.raises(AccountFormatError, match=f"not a {name} account"):
        TYPES[name].parse(bytes(data))


@pytest.mark.parametrize("name", TYPES)
def test_another_version_is_refused(name: str) -> None:
    data, _ = filled(name)
    data[1] += 1
    with pytest.raises(AccountFormatError, match="version 3"):
        TYPES[name].parse(bytes(data))


def test_an_unknown_escrow_state_is_refused() -> None:
    data, _ = filled("escrow")
    data[3] = 9
    with pytest.raises(AccountFormatError, match="no state 9"):
        EscrowAccount.parse(bytes(data))


def test_an_unknown_opener_of_a_dispute_is_refused() -> None:
    data, _ = filled("escrow")
    data[297] = 9
    with pytest.raises(AccountFormatError, match="no party 9"):
        EscrowAccount.parse(bytes(data))


@pytest.mark.parametrize(
    ("field", "words"), [("state", EscrowState), ("dispute_opener", DisputeOpener)]
)
def test_the_idl_names_what_an_escrows_numbers_mean(field: str, words: type[enum.IntEnum]) -> None:
    assert {word.name: word.value for word in words} == IDL["enumerations"]["escrow"][field]


def test_a_zero_operator_is_none() -> None:
    data, _ = filled("client")
    data[104:136] = bytes(32)
    assert ClientAccount.parse(bytes(data)).operator is None


def test_a_zero_pending_admin_is_none() -> None:
    data, _ = filled("config")
    data[72:104] = bytes(32)
    assert ConfigAccount.parse(bytes(data)).pending_admin is None


def test_free_stake_is_what_no_bond_holds() -> None:
    data, _ = filled("provider")
    for staked, bonded, free in ((1_000, 400, 600), (300, 400, 0)):
        struct.pack_into("<Q", data, 136, staked)
        struct.pack_into("<Q", data, 184, bonded)
        assert ProviderAccount.parse(bytes(data)).free_stake_micro_usdc == free


def test_a_dispute_delays_the_refund_by_its_window() -> None:
    data, _ = filled("escrow")
    struct.pack_into("<q", data, 240, 1_000)
    struct.pack_into("<q", data, 256, 50)
    assert EscrowAccount.parse(bytes(data)).refund_after_unix_s == 1_050
    data[3] = EscrowState.OPEN
    assert EscrowAccount.parse(bytes(data)).refund_after_unix_s == 1_000


def test_available_is_what_no_escrow_locks() -> None:
    data, _ = filled("client")
    struct.pack_into("<QQ", data, 152, 1_000, 400)
    assert ClientAccount.parse(bytes(data)).available_micro_usdc == 600


def test_remaining_is_what_can_still_be_released() -> None:
    data, _ = filled("escrow")
    struct.pack_into("<QQ", data, 208, 1_000, 400)
    assert EscrowAccount.parse(bytes(data)).remaining_micro_usdc == 600


def test_fees_round_down() -> None:
    data, _ = filled("config")
    struct.pack_into("<H", data, 144, 250)
    config = ConfigAccount.parse(bytes(data))
    assert [config.fee_micro_usdc(amount) for amount in (39, 40, 1_000_000)] == [0, 1, 25_000]
    data, _ = filled("escrow")
    struct.pack_into("<H", data, 4, 250)
    escrow = EscrowAccount.parse(bytes(data))
    assert [escrow.fee_micro_usdc(amount) for amount in (39, 40, 1_000_000)] == [0, 1, 25_000]


def test_an_escrow_fills_in_its_own_voucher() -> None:
    config = ConfigAccount.parse(bytes(filled("config")[0]))
    escrow = EscrowAccount.parse(bytes(filled("escrow")[0]))
    address = Pubkey([7] * 32)
    voucher = escrow.voucher(address, config, 123)
    assert voucher.domain == config.domain
    assert voucher.escrow == bytes(address)
    assert voucher.sequence == escrow.sequence
    assert voucher.cumulative_micro_usdc == 123
