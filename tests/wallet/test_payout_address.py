import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurogrid_wallet.errors import (
    KeyInvalid,
    PayoutRefused,
    SecretFileExists,
    StatementInvalid,
    WalletCorrupt,
)
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.payout_address import (
    STATEMENT_LIFE_S,
    PayoutRule,
    Statement,
    bind_cold_key,
    parse_statement,
    read_payout_rule,
    write_payout_rule,
)

HOT, COLD, THIEF, SAFE, NEXT = (KeyPair(bytes([number]) * 32) for number in range(1, 6))
NOW_S = 1_800_000_000
RULE = bind_cold_key(HOT, COLD.address, SAFE.address)


def test_a_wallet_pays_out_to_one_address_only() -> None:
    RULE.require(SAFE.address)
    for other in (THIEF, HOT, COLD):
        with pytest.raises(PayoutRefused, match=SAFE.address):
            RULE.require(other.address)


def test_the_cold_key_changes_the_address_with_a_statement() -> None:
    statement = RULE.next_statement(NEXT.address, NOW_S)
    # What travels is text, both ways.
    signature = parse_statement(f" {statement}\n").sign(COLD)
    changed = RULE.changed(statement, signature, NOW_S + 60)
    assert (changed.payout, changed.number) == (NEXT.address, 1)
    assert changed.is_proven()


@pytest.mark.parametrize("key", [HOT, THIEF, SAFE])
def test_no_other_key_changes_it(key: KeyPair) -> None:
    statement = RULE.next_statement(THIEF.address, NOW_S)
    with pytest.raises(PayoutRefused, match="cold key"):
        RULE.changed(statement, statement.sign(key), NOW_S)


@pytest.mark.parametrize("signature", ["", "x", "0OIl", COLD.address, "1" * 200])
def test_what_is_no_signature_changes_nothing(signature: str) -> None:
    with pytest.raises(PayoutRefused):
        RULE.changed(RULE.next_statement(NEXT.address, NOW_S), signature, NOW_S)


def test_a_signature_is_good_for_its_own_statement_alone() -> None:
    statement = RULE.next_statement(NEXT.address, NOW_S)
    signature = statement.sign(COLD)
    with pytest.raises(PayoutRefused):
        RULE.changed(replace(statement, payout=THIEF.address), signature, NOW_S)
    with pytest.raises(PayoutRefused):
        RULE.changed(
            replace(statement, expires_unix_s=statement.expires_unix_s + 1), signature, NOW_S
        )


def test_a_statement_is_used_once_in_order_and_in_time() -> None:
    statement = RULE.next_statement(NEXT.address, NOW_S)
    changed = RULE.changed(statement, statement.sign(COLD), NOW_S)
    with pytest.raises(StatementInvalid, match="number 1"):
        changed.changed(statement, statement.sign(COLD), NOW_S)
    skipped = replace(statement, number=3)
    with pytest.raises(StatementInvalid, match="number 3"):
        changed.changed(skipped, skipped.sign(COLD), NOW_S)
    late_s = NOW_S + STATEMENT_LIFE_S
    with pytest.raises(StatementInvalid, match="expired"):
        RULE.changed(statement, statement.sign(COLD), late_s)


def test_a_statement_about_another_wallet_is_refused() -> None:
    other = bind_cold_key(THIEF, COLD.address, SAFE.address)
    statement = other.next_statement(NEXT.address, NOW_S)
    with pytest.raises(StatementInvalid, match="about the wallet"):
        RULE.changed(statement, statement.sign(COLD), NOW_S)


def test_the_wallets_own_key_is_no_cold_key() -> None:
    with pytest.raises(PayoutRefused, match="own key"):
        bind_cold_key(HOT, HOT.address, SAFE.address)
    with pytest.raises(KeyInvalid):
        bind_cold_key(HOT, "x", SAFE.address)
    with pytest.raises(KeyInvalid):
        RULE.next_statement("x", NOW_S)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text + " more",
        lambda text: text.replace("v1", "v2"),
        lambda text: text.replace("number=1", "number=01"),
        lambda text: text.replace("number=1", "number=-1"),
        lambda text: text.replace(SAFE.address, SAFE.address[:-10]),
        lambda text: text.replace(" ", "  "),
        lambda text: "neurogrid-cold-key-v1 " + text.partition(" ")[2],
    ],
)
def test_what_is_no_statement_is_refused(change: Callable[[str], str]) -> None:
    text = str(Statement(HOT.address, SAFE.address, 1, NOW_S))
    assert parse_statement(text) == Statement(HOT.address, SAFE.address, 1, NOW_S)
    with pytest.raises(StatementInvalid):
        parse_statement(change(text))


def _rules() -> list[PayoutRule]:
    statement = RULE.next_statement(NEXT.address, NOW_S)
    return [RULE, RULE.changed(statement, statement.sign(COLD), NOW_S)]


@pytest.mark.parametrize("rule", _rules(), ids=["first", "changed"])
def test_a_rule_survives_being_stored(tmp_path: Path, rule: PayoutRule) -> None:
    path = tmp_path / "payout.json"
    assert read_payout_rule(path, HOT.address) is None
    write_payout_rule(path, rule, overwrite=False)
    assert read_payout_rule(path, HOT.address) == rule
    with pytest.raises(SecretFileExists):
        write_payout_rule(path, rule, overwrite=False)


@pytest.mark.parametrize("rule", _rules(), ids=["first", "changed"])
def test_a_stored_rule_with_any_byte_changed_is_refused(tmp_path: Path, rule: PayoutRule) -> None:
    path = tmp_path / "payout.json"
    write_payout_rule(path, rule, overwrite=False)
    content = path.read_bytes()
    for position in range(len(content)):
        altered = bytearray(content)
        altered[position] ^= 1
        path.write_bytes(altered)
        with pytest.raises(WalletCorrupt):
            read_payout_rule(path, HOT.address)
        path.write_bytes(content[:position])
        with pytest.raises(WalletCorrupt):
            read_payout_rule(path, HOT.address)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cold", THIEF.address),
        ("first_payout", THIEF.address),
        ("statement", None),
        ("statement", 7),
        ("statement", str(Statement(HOT.address, THIEF.address, 1, NOW_S))),
    ],
)
def test_who_can_write_the_file_cannot_redirect_the_money(
    tmp_path: Path, field: str, value: Any
) -> None:
    path = tmp_path / "payout.json"
    rule = _rules()[1]
    write_payout_rule(path, rule, overwrite=False)
    fields = json.loads(path.read_text()) | {field: value}
    path.write_text(json.dumps(fields, sort_keys=True, indent=2) + "\n")
    with pytest.raises(WalletCorrupt):
        read_payout_rule(path, HOT.address)


def test_another_wallets_rule_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "payout.json"
    write_payout_rule(path, bind_cold_key(THIEF, COLD.address, THIEF.address), overwrite=False)
    with pytest.raises(WalletCorrupt):
        read_payout_rule(path, HOT.address)
