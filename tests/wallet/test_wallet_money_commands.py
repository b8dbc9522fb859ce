"""`neurogrid wallet` on a market: balances, payments, deposits, withdrawals, history."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.ledger_process import LedgerProcess
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.payment_store import PaymentStore
from wallet.command_world import WEAK, MarketWorld, Shell

pytestmark = pytest.mark.processes

USDC = 1_000_000
SAFE, COLD = KeyPair(b"s" * 32), KeyPair(b"c" * 32)
OPERATOR = KeyPair(b"o" * 32)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketWorld]:
    with LedgerProcess(
        tmp_path_factory.mktemp("ledger"), "--slot-ms", "50", "--no-fsync"
    ) as ledger:
        yield MarketWorld.create(ledger)


@pytest.fixture
def shell(world: MarketWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr("neurogrid_wallet.keystore.DEFAULT_KDF", WEAK)
    monkeypatch.setattr("neurogrid_contracts.wallet_cli.chain._POLL_FIRST_S", 0.02)
    monkeypatch.setattr("neurogrid_contracts.wallet_cli.chain._POLL_MAX_S", 0.1)
    return world.shell(tmp_path)


@pytest.fixture
def key(world: MarketWorld, shell: Shell) -> KeyPair:
    """Of the wallet main, which holds 100 USDC, some of it for longer than finality takes."""
    made = KeyPair.generate()
    world.fund(made, 100 * USDC)
    shell.add("main", made)
    return made


def test_money_is_sent_once_and_its_history_says_so(
    world: MarketWorld, shell: Shell, key: KeyPair
) -> None:
    to = KeyPair.generate().address
    sent = shell.run("send", to, "12.5", "--memo", "for the =test")
    assert (sent["state"], sent["amount"], sent["currency"]) == ("finalized", "12.50", "USDC")
    assert not sent["resumed"]
    assert sent["wallet"]["USDC"] == "87.50"
    assert world.usdc_of(to) == 12_500_000
    balance = shell.run("balance")
    assert balance["wallet"] == {"USDC": "87.50"}
    assert balance["client"] is None

    newest, funding = shell.run("history")["movements"]
    assert newest["direction"] == "out"
    assert newest["amount"] == "12.50"
    assert newest["counterparty"] == to
    assert newest["memo"] == "for the =test"
    assert newest["signature"] == sent["signature"]
    assert newest["fee_sol"] == "0.000005"
    assert (funding["direction"], funding["amount"], funding["fee_sol"]) == ("in", "100.00", "0")
    # A watched wallet sees the same.
    shell.run("import", "watched", "--watch", key.address)
    assert shell.run("history", "-w", "watched")["movements"][0] == newest
    assert shell.run("balance", "-w", "watched")["wallet"] == {"USDC": "87.50"}
    assert shell.refused("send", to, "1", "-w", "watched") == (3, "WATCH_ONLY")


def test_the_history_comes_in_pages_and_as_csv(
    world: MarketWorld, shell: Shell, key: KeyPair
) -> None:
    for number in range(3):
        world.ledger.call("neurogrid_requestUsdc", key.address, number + 1)
    shell.run("send", SAFE.address, "1", "--memo", "=HYPERLINK()")
    seen: list[dict[str, Any]] = []
    before: list[str] = []
    for _ in range(3):
        page = shell.run("history", "--limit", "2", *before)
        seen += page["movements"]
        if page["next_before"] is None:
            break
        before = ["--before", page["next_before"]]
    amounts = [entry["amount"] for entry in seen]
    assert amounts == ["1.00", "0.000003", "0.000002", "0.000001", "100.00"]
    rows = list(csv.DictReader(io.StringIO(shell.invoke("history", "--csv").stdout)))
    assert [row["amount"] for row in rows] == amounts
    # Anybody's text, and no formula in a spreadsheet.
    assert rows[0]["memo"] == "'=HYPERLINK()"
    assert "1.00 USDC" in shell.invoke("history").stdout


def test_a_deposit_opens_the_client_account_and_a_withdrawal_leaves_what_it_says(
    world: MarketWorld, shell: Shell, key: KeyPair
) -> None:
    first = shell.run("deposit", "30")
    assert first["client"]["available"] == "30.00"
    assert first["wallet"]["USDC"] == "70.00"
    second = shell.run("deposit", "all")
    assert second["client"]["available"] == "100.00"
    taken = shell.run("withdraw", "25.000001")
    assert taken["client"]["available"] == "74.999999"
    assert taken["wallet"]["USDC"] == "25.000001"
    assert shell.refused("withdraw", "75") == (5, "INSUFFICIENT_FUNDS")
    assert shell.refused("deposit", "26") == (5, "INSUFFICIENT_FUNDS")
    assert shell.run("withdraw", "all")["wallet"]["USDC"] == "100.00"
    assert shell.refused("withdraw", "all") == (5, "INSUFFICIENT_FUNDS")
    names = [entry["what"] for entry in shell.run("history")["movements"]]
    assert names[:4] == ["withdraw", "withdraw", "deposit", "deposit"]
    result = shell.invoke("balance")
    assert "100.00  in the wallet" in result.stdout
    assert "0.00 USDC available" in result.stdout


def test_the_operator_is_set_shown_and_revoked(shell: Shell, key: KeyPair) -> None:
    assert shell.run("operator", "show")["operator"] is None
    change = ("operator", "set", OPERATOR.address, "--limit", "5", "--days", "10")
    assert shell.refused(*change) == (5, "INSUFFICIENT_FUNDS")
    shell.run("deposit", "10")
    shell.run(*change)
    shown = shell.run("operator", "show")
    assert (shown["operator"], shown["limit"]) == (OPERATOR.address, "5.00")
    assert shown["expires"].endswith("T00:00:00+00:00")
    shell.run("operator", "revoke")
    assert shell.run("operator", "show")["operator"] is None
    # And once more, which is not the same payment any longer.
    shell.run(*change)
    assert shell.run("operator", "show")["operator"] == OPERATOR.address


def test_a_wallet_with_a_payout_address_pays_there_only(
    world: MarketWorld, shell: Shell, key: KeyPair
) -> None:
    safe, thief = KeyPair.generate().address, KeyPair.generate().address
    shell.run("deposit", "40")
    shell.run("payout", "set", safe, "--cold", COLD.address)
    assert shell.refused("send", thief, "1") == (3, "PAYOUT_REFUSED")
    shell.run("withdraw", "15")
    shell.run("send", safe, "2")
    assert world.usdc_of(safe) == 17 * USDC
    assert world.usdc_of(thief) == 0
    assert world.usdc_of(key.address) == 58 * USDC


def test_a_second_mint_is_held_sent_and_listed(
    world: MarketWorld, shell: Shell, key: KeyPair
) -> None:
    mint = world.second_mint(key, 7 * USDC)
    config = f'[currencies]\nUSDT = "{mint}"\n'
    (shell.folder.path / "config.toml").write_text(config)
    assert shell.run("balance")["wallet"] == {"USDC": "100.00", "USDT": "7.00"}
    sent = shell.run("send", SAFE.address, "3", "--currency", "usdt")
    assert sent["wallet"] == {"USDC": "100.00", "USDT": "4.00"}
    [newest, *_] = shell.run("history", "--currency", "USDT")["movements"]
    assert (newest["amount"], newest["currency"]) == ("3.00", "USDT")
    assert newest["counterparty"] == SAFE.address
    assert shell.refused("send", SAFE.address, "1", "--currency", "EURC") == (2, "USAGE_REFUSED")


def test_one_id_is_one_payment_for_ever_and_none_is_one_each_time(
    world: MarketWorld, shell: Shell, key: KeyPair
) -> None:
    to = KeyPair.generate().address
    signatures = {shell.run("send", to, "1", "--id", "rent")["signature"] for _ in range(3)}
    assert len(signatures) == 1
    assert world.usdc_of(to) == USDC
    assert shell.refused("send", to, "2", "--id", "rent") == (8, "PAYMENT_CONFLICT")
    assert not shell.run("send", to, "1")["resumed"]
    assert not shell.run("send", to, "1")["resumed"]
    assert world.usdc_of(to) == 3 * USDC


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["0"], (2, "USAGE_REFUSED")),
        (["-1"], (2, "NO_SUCH_OPTION")),
        (["1.0000001"], (2, "INVALID_VALUE")),
        (["much"], (2, "INVALID_VALUE")),
        (["1000"], (5, "INSUFFICIENT_FUNDS")),
    ],
)
def test_an_amount_that_makes_no_sense_moves_nothing(
    world: MarketWorld, shell: Shell, key: KeyPair, words: list[str], refusal: tuple[int, str]
) -> None:
    if refusal[1] == "NO_SUCH_OPTION":
        # click's own refusal, before any of ours.
        assert shell.invoke("send", SAFE.address, *words).exit_code == refusal[0]
    else:
        assert shell.refused("send", SAFE.address, *words) == refusal
    assert shell.refused("send", "nonsense", "1") == (2, "KEY_INVALID")
    assert shell.refused("send", key.address, "1") == (2, "USAGE_REFUSED")
    assert world.usdc_of(key.address) == 100 * USDC


def test_what_is_not_confirmed_moves_nothing(
    world: MarketWorld, shell: Shell, key: KeyPair
) -> None:
    result = shell.invoke("send", SAFE.address, "1")
    assert result.exit_code == 2
    assert "--yes" in result.output
    assert shell.run("resume") == []
    assert world.usdc_of(key.address) == 100 * USDC


def test_a_wallet_without_sol_is_told_what_is_missing(world: MarketWorld, shell: Shell) -> None:
    poor = KeyPair.generate()
    world.ledger.call("neurogrid_requestUsdc", poor.address, USDC)
    shell.add("main", poor)
    result = shell.invoke("send", SAFE.address, "1", "--yes")
    assert (result.exit_code, "lacks SOL" in result.output) == (5, True)
    # Enough for the fee, and not for the recipient's new account.
    world.ledger.call("requestAirdrop", poor.address, 1_000_000)
    stranger = KeyPair.generate().address
    assert shell.refused("send", stranger, "1") == (5, "INSUFFICIENT_FUNDS")
    assert shell.run("resume") == []
    assert world.usdc_of(poor.address) == USDC


def test_large_sums_need_a_second_endpoint_of_the_same_chain(
    world: MarketWorld, shell: Shell, key: KeyPair, tmp_path: Path
) -> None:
    (shell.folder.path / "config.toml").write_text('two_endpoints_from = "50"\n')
    assert shell.refused("send", SAFE.address, "50") == (2, "SECOND_ENDPOINT_MISSING")
    balance = shell.run("balance")
    assert not balance["verified"]
    assert "second endpoint" in balance["doubt"]
    assert shell.refused("balance", "--second-rpc-url", world.ledger.url) == (2, "USAGE_REFUSED")
    # The same ledger at its other port: another endpoint, as far as anybody can tell.
    second = ("--second-rpc-url", f"http://127.0.0.1:{world.ledger.port + 1}")
    assert shell.run("balance", *second)["verified"]
    sent = shell.run("send", SAFE.address, "50", *second)
    assert sent["state"] == "finalized"
    shell.run("send", SAFE.address, "1")
    with LedgerProcess(tmp_path / "other", "--no-program") as other:
        assert shell.refused("balance", "--second-rpc-url", other.url) == (2, "USAGE_REFUSED")


def test_two_commands_of_one_wallet_do_not_meet(
    world: MarketWorld, shell: Shell, key: KeyPair
) -> None:
    store = PaymentStore(shell.folder.open().outbox_path)
    try:
        assert shell.refused("send", SAFE.address, "1") == (8, "OUTBOX_IN_USE")
        # Looking is always possible.
        assert shell.run("balance")["wallet"]["USDC"] == "100.00"
    finally:
        store.close()
    assert shell.run("send", SAFE.address, "1")["state"] == "finalized"


def test_a_chain_that_is_away_is_named_and_nothing_is_lost(
    world: MarketWorld, shell: Shell, key: KeyPair
) -> None:
    away = ("--rpc-url", "http://127.0.0.1:1")
    assert shell.refused("balance", *away) == (7, "RPC_UNAVAILABLE")
    assert shell.refused("send", SAFE.address, "1", *away) == (7, "RPC_UNAVAILABLE")
    assert shell.run("send", SAFE.address, "1")["wallet"]["USDC"] == "99.00"
