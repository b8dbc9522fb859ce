"""The status page: what it shows, and that nobody can make it show something else."""

import html
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from contracts.ledger_process import LedgerProcess
from contracts.ledger_world import SOL, World
from neurogrid_contracts.idl import describe_account, describe_instruction
from neurogrid_contracts.ledger import pages, status
from neurogrid_contracts.ledger.faults import FaultPlan
from neurogrid_contracts.ledger.markup import Html, element
from neurogrid_contracts.ledger.narration import sol, tell, time_text, usdc
from neurogrid_contracts.program import elf_bytes

IDL = json.loads(
    (Path(__file__).parents[2] / "contracts-client" / "program" / "idl.json").read_text()
)
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \"' &amp; \u202eevil\u0000"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "ledger")
    world.ledger.install_program(world.ledger.genesis.program_id, elf_bytes())
    yield world
    world.ledger.close()


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", page))


def newest_page(world: World) -> str:
    (stored,) = world.ledger.store.newest(1)
    listed = status.transaction(world.backend, stored.signature)
    assert listed is not None
    return pages.transaction_page(listed, status.names(world.backend))


def overview(world: World) -> str:
    return pages.overview_page(status.overview(world.backend), follow=False)


def address_page(world: World, address: Pubkey) -> str:
    view = status.address(world.backend, address)
    return pages.address_page(view, status.names(world.backend))


def memo(world: World, text: str) -> None:
    payer = world.rich()
    world.send(world.sign([Instruction(MEMO, text.encode(), [])], payer))


# Markup


def test_text_is_escaped_and_markup_is_not() -> None:
    inner = element("b", "<i>")
    assert inner == "<b>&lt;i&gt;</b>"
    assert isinstance(inner, Html)
    assert element("p", inner, ["&", None], class_='"x"', id=None) == (
        '<p class="&quot;x&quot;"><b>&lt;i&gt;</b>&amp;</p>'
    )
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_characters_that_hide_or_turn_others_are_shown_as_such() -> None:
    assert element("p", "a\u202eb\u0000c\nd") == "<p>a\ufffdb\ufffdc\nd</p>"


def test_a_hostile_memo_stays_a_text_on_every_page(world: World) -> None:
    memo(world, HOSTILE)
    for page in (newest_page(world), overview(world)):
        assert "<script" not in page
        assert "<img" not in page
        assert "\u202e" not in page
        assert "alert(1)</script>" in html.unescape(page)


def test_pages_load_nothing_from_elsewhere_and_run_nothing(world: World) -> None:
    world.rich()
    for page in (overview(world), newest_page(world), address_page(world, Pubkey.default())):
        linked = re.findall(r'(?:href|src|action)="([^"]*)"', page)
        assert linked
        assert all(each.startswith("/") and not each.startswith("//") for each in linked)
        assert "<script" not in page
        assert " style=" not in page
    assert "url(" not in pages.STYLE
    assert "@import" not in pages.STYLE


# What it shows


def test_the_overview_shows_slots_programs_and_recent_transactions(world: World) -> None:
    to = Keypair().pubkey()
    world.call("neurogrid_requestUsdc", str(to), 1_250_000)
    shown = text_of(overview(world))
    slot = world.ledger.slot
    assert re.search(rf"{slot:,} +processed slot", shown)
    assert re.search(rf"{slot - 2:,} +finalized slot", shown)
    assert "mint to checked" in shown
    assert "1.25" in shown
    assert re.search(r"program +NeuroGrid", shown)
    assert "Faults are on" not in shown
    world.faults.set(FaultPlan(drop_percent=25))
    assert "Faults are on, on purpose:  drop 25 %" in text_of(overview(world))


def test_the_overview_is_bounded(world: World) -> None:
    payer = world.rich()
    for number in range(60):
        world.send(world.payment(payer, payer.pubkey(), number + 1), skip_preflight=True)
    page = overview(world)
    assert page.count('class="panel transaction"') == status.TRANSACTIONS_SHOWN
    assert len(page) < 100_000
    assert address_page(world, payer.pubkey()).count('class="panel transaction"') == (
        status.TRANSACTIONS_SHOWN
    )


def test_a_payment_shows_who_has_more_and_who_has_less(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    world.send(world.payment(payer, to, 2 * SOL))
    shown = text_of(newest_page(world))
    assert "succeeded" in shown
    assert re.search(rf"-2\.000005 SOL +{payer.pubkey()}", shown)
    assert re.search(rf"\+2 SOL +{to}", shown)


def test_a_refusal_of_our_program_is_named_with_its_advice(world: World) -> None:
    payer = world.rich()
    program = world.ledger.genesis.program_id
    entry = next(each for each in IDL["instructions"] if each["name"] == "deposit")
    metas = [
        AccountMeta(payer.pubkey() if each["signer"] else Keypair().pubkey(), each["signer"], False)
        for each in entry["accounts"]
    ]
    data = bytes([entry["tag"]]) + (5_500_000).to_bytes(8, "little")
    world.send(world.sign([Instruction(program, data, metas)], payer), skip_preflight=True)
    (stored,) = world.ledger.store.newest(1)
    assert stored.error is not None
    code = json.loads(stored.error)["InstructionError"][1]["Custom"]
    error = next(each for each in IDL["errors"] if each["code"] == code)
    for shown in (text_of(newest_page(world)), text_of(overview(world))):
        assert f"instruction 1: {error['name']}" in shown
        assert error["advice"] in shown
        assert "deposit" in shown
        assert "5.5 USDC" in shown
    named = text_of(newest_page(world))
    for role, meta in zip(entry["accounts"], metas, strict=True):
        assert re.search(rf"{role['name'].replace('_', ' ')} +{meta.pubkey}", named)


@pytest.mark.parametrize("entry", IDL["instructions"], ids=lambda entry: str(entry["name"]))
def test_every_instruction_of_the_idl_reads_by_itself(entry: dict[str, Any]) -> None:
    data = bytes([entry["tag"]])
    for number, argument in enumerate(entry["args"], 1):
        data += number.to_bytes(WIDTHS.get(argument["type"], 32), "little")
    described = describe_instruction(data)
    assert described is not None
    assert described.name == entry["name"]
    assert [field.name for field in described.fields] == [each["name"] for each in entry["args"]]
    for number, field in enumerate(described.fields, 1):
        whole = number.to_bytes(32, "little")
        assert field.value in (number, whole, Pubkey(whole))
    if entry["args"]:
        assert describe_instruction(data[:-1]) is None
    assert describe_instruction(b"\xff") is None
    assert describe_instruction(b"") is None


@pytest.mark.parametrize("entry", IDL["accounts"], ids=lambda entry: str(entry["name"]))
def test_every_account_of_the_idl_has_its_page(world: World, entry: dict[str, Any]) -> None:
    data = bytearray(entry["size"])
    data[:2] = bytes([entry["tag"], entry["version"]])
    for field in entry["fields"]:
        if field.get("unit") == "micro_usdc":
            data[field["offset"] : field["offset"] + 8] = (1_500_000).to_bytes(8, "little")
    address = Keypair().pubkey()
    owner = world.ledger.genesis.program_id
    world.ledger.svm.put_account(address, Account(SOL, bytes(data), owner))
    shown = text_of(address_page(world, address))
    assert f"NeuroGrid {entry['name']}" in shown
    for field in entry["fields"]:
        if field.get("unit") == "micro_usdc":
            assert re.search(rf"{field['name'].replace('_', ' ')} +1\.5 USDC", shown)
    for name, meanings in IDL["enumerations"].get(entry["name"], {}).items():
        offset = next(each["offset"] for each in entry["fields"] if each["name"] == name)
        for meaning, number in meanings.items():
            data[offset] = number
            world.ledger.svm.put_account(address, Account(SOL, bytes(data), owner))
            label = name.replace("_", " ")
            assert re.search(rf"{label} +{meaning}", text_of(address_page(world, address)))
    assert describe_account(bytes(data[:-1])) is None
    data[1] ^= 0xFF
    assert describe_account(bytes(data)) is None


def test_a_fault_is_called_by_its_name() -> None:
    entry = next(each for each in IDL["instructions"] if each["name"] == "slash")
    for name, number in {**IDL["faults"]["proven"], **IDL["faults"]["unproven"]}.items():
        data = bytes([entry["tag"]])
        for argument in entry["args"]:
            value = number if argument["name"] == "fault" else 0
            data += value.to_bytes(WIDTHS.get(argument["type"], 32), "little")
        described = describe_instruction(data)
        assert described is not None
        (fault,) = (field for field in described.fields if field.name == "fault")
        assert fault.meaning == name


def test_token_accounts_mints_and_nobodys_addresses_have_a_page(world: World) -> None:
    to = Keypair().pubkey()
    world.call("neurogrid_requestUsdc", str(to), 3_000_001)
    (account,) = world.call(
        "getTokenAccountsByOwner",
        str(to),
        {"mint": str(world.ledger.genesis.usdc_mint)},
        {"commitment": "confirmed", "encoding": "base64"},
    )["value"]
    shown = text_of(address_page(world, Pubkey.from_string(account["pubkey"])))
    assert "Token account" in shown
    assert "3.000001 USDC" in shown
    assert "Mint: USDC mint" in text_of(address_page(world, world.ledger.genesis.usdc_mint))
    assert "Address without an account" in text_of(address_page(world, Keypair().pubkey()))


def test_an_unknown_transaction_is_none(world: World) -> None:
    assert status.transaction(world.backend, Signature.default()) is None


def test_amounts_and_times_read_well() -> None:
    assert (usdc(0), usdc(1), usdc(1_250_000)) == ("0 USDC", "0.000001 USDC", "1.25 USDC")
    assert (usdc(2**64 - 1), sol(-5000, sign=True)) == (
        "18,446,744,073,709.551615 USDC",
        "-0.000005 SOL",
    )
    assert usdc(100_000_000) == "100 USDC"
    assert time_text(1_800_000_000) == "2027-01-15 08:00:00 UTC"
    assert time_text(2**63 - 1) == str(2**63 - 1)


def test_telling_twice_is_telling_once(world: World) -> None:
    world.rich()
    (stored,) = world.ledger.store.newest(1)
    names = status.names(world.backend)
    assert tell(stored, names) is tell(stored, names)


# Over HTTP


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerProcess]:
    with LedgerProcess(tmp_path_factory.mktemp("status"), "--no-program", "--no-fsync") as ledger:
        yield ledger


def get(ledger: LedgerProcess, path: str) -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection("127.0.0.1", ledger.port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body


@pytest.mark.processes
def test_every_page_is_served_and_forbids_what_it_does_not_need(ledger: LedgerProcess) -> None:
    to = str(Keypair().pubkey())
    signature = ledger.call("requestAirdrop", to, SOL)
    for path in ("/", "/?follow=1", f"/tx/{signature}", f"/address/{to}"):
        answer, body = get(ledger, path)
        assert answer.status == 200
        policy = answer.getheader("content-security-policy")
        assert policy is not None
        assert policy.startswith("default-src 'none'; style-src 'self'")
        assert body.startswith("<!doctype html>")
        assert ('http-equiv="refresh"' in body) == ("follow" in path)
    answer, body = get(ledger, "/status.css")
    assert answer.getheader("content-type") == "text/css; charset=utf-8"


@pytest.mark.processes
def test_what_is_not_there_is_said_and_never_echoed_as_markup(ledger: LedgerProcess) -> None:
    unknown = str(Signature.default())
    for path in (f"/tx/{unknown}", "/tx/%3Cscript%3E", "/address/%3Cscript%3E", "/address/1"):
        answer, body = get(ledger, path)
        assert answer.status == 404
        assert "<script" not in body


@pytest.mark.processes
def test_the_search_leads_to_addresses_and_signatures(ledger: LedgerProcess) -> None:
    to = str(Keypair().pubkey())
    signature = ledger.call("requestAirdrop", to, SOL)
    for wanted, path in ((to, f"/address/{to}"), (signature, f"/tx/{signature}")):
        answer, _ = get(ledger, f"/find?q=%20{wanted}")
        assert (answer.status, answer.getheader("location")) == (303, path)
    answer, _ = get(ledger, "/find?q=//evil.example/%0d%0aset-cookie:x")
    assert answer.getheader("location", "").startswith("/address/%2F%2Fevil")
