"""An owner's prices: shown, set, and proposed by what coordinators tell."""

import json
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result

from neurogrid_coordinator.market.price_desk import PriceDesk
from neurogrid_marketplace.offer import PriceList
from neurogrid_marketplace.price_sheet import PRICES_PROTOCOL_ID, ClassPrice, PriceSheet
from neurogrid_node.__main__ import main
from neurogrid_node.config import load_config
from neurogrid_node.market.price_sheets import ask_prices
from neurogrid_node.pricing import AWARDS_MIN, Proposal, proposals
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.peer_lists import PeerLists
from node.test_first_run import chain, market
from p2p.peers import Person, listening

__all__ = ["chain"]

USDC = 1_000_000
OWN = PriceList(0, 20_000, 5_000, 600_000)
L4, H100 = "NVIDIA L4", "NVIDIA H100"


def seen(name: str, median: int, awards: int = AWARDS_MIN) -> ClassPrice:
    return ClassPrice(name, awards, 1, median, median, 9 * USDC)


def sheet(*classes: ClassPrice) -> PriceSheet:
    return PriceSheet(7, 168, classes)


def proposed(*models: str, **sheets: PriceSheet) -> dict[str, int | None]:
    return {each.key: each.proposed_micro_usdc for each in proposals(OWN, models, sheets)}


def test_half_of_the_awards_decide() -> None:
    told = sheet(seen(L4, 723_456), seen("cpu", 31_000))
    assert proposed(L4, a=told) == {"prices.gpu": 723_000, "prices.cpu_core": 26_000}
    assert proposed(a=told) == {"prices.cpu_core": 26_000}
    # A price of nothing would be asked for ever.
    assert proposed(a=sheet(seen("cpu", 3)))["prices.cpu_core"] == 1_000


def test_few_awards_say_nothing() -> None:
    few = sheet(seen(L4, USDC, AWARDS_MIN - 1), seen(L4 + " spot", 5), seen(H100, 3 * USDC, 99))
    assert proposed(L4, a=few) == {"prices.gpu": None, "prices.cpu_core": None}
    assert proposed(L4) == {"prices.gpu": None, "prices.cpu_core": None}
    (stays, _) = proposals(OWN, [L4], {"a": few})
    assert stays == Proposal("prices.gpu", OWN.gpu_micro_usdc_per_hour)
    assert "it stays" in stays.why


def test_the_dearest_model_and_the_busiest_coordinator_count() -> None:
    quiet, busy = sheet(seen(L4, 9 * USDC, 5)), sheet(seen(L4, USDC, 50), seen(H100, 2 * USDC, 6))
    assert proposed(L4, a=quiet, b=busy)["prices.gpu"] == USDC
    (gpu, _) = proposals(OWN, [L4, H100, L4], {"a": quiet, "b": busy})
    assert (gpu.proposed_micro_usdc, gpu.told_by) == (2 * USDC, "b")
    assert "half of 6 awards of NVIDIA H100 in 168 h cleared at 2.00 or less" in gpu.why


async def test_coordinators_are_asked_and_believed_only_where_they_make_sense() -> None:
    tells, lies, silent, denied = (Person() for _ in range(4))
    desk = PriceDesk()
    desk.set(sheet(seen("cpu", 5)))

    async def lie(channel: Channel) -> None:
        await channel.send({"made_at_ms": 1, "hours": 1, "classes": "many"})

    async with (
        listening(person=tells) as good,
        listening(person=lies) as bad,
        listening(person=silent) as empty,
        listening(person=denied) as foe,
    ):
        desk.serve_on(good)
        desk.serve_on(foe)
        PriceDesk().serve_on(empty)
        bad.serve(PRICES_PROTOCOL_ID, lie)
        hosts = (good, bad, empty, foe)
        addresses = [host.addresses[0] for host in hosts]
        lists = PeerLists.of([], [f"{denied.peer_id} pays late"])
        sheets, problems = await ask_prices(addresses, lists)
    assert sheets == {addresses[0]: desk.sheet}
    assert set(problems) == set(addresses[1:])
    assert "PriceSheet" in problems[addresses[1]]


@pytest.fixture
def node(tmp_path: Path, chain: Path) -> Path:
    directory = tmp_path / "node"
    typed = ("init", "--data", directory, *market(chain), "--no-passphrase", "--keys-may-be-lost")
    assert CliRunner().invoke(main, [str(word) for word in typed]).exit_code == 0
    return directory


def price(node: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["price", *words, "--data", str(node)])


def test_prices_are_set_and_nothing_else_is_changed(node: Path) -> None:
    config = node / "node.toml"
    config.write_text(config.read_text().replace('gpu = "0.60"', 'gpu = "0.60"  # since May'))
    before = config.read_text()
    done = price(node, "set", "--gpu", "0.75", "--memory", "0.006")
    assert done.exit_code == 0, done.output
    changed = before.replace('"0.60"  # since', '"0.75"  # since').replace('"0.005"', '"0.006"')
    assert config.read_text() == changed
    asked = json.loads(price(node, "show", "--json").output)
    assert asked == {"base": "0.00", "cpu_core": "0.02", "memory_gib": "0.006", "gpu": "0.75"}
    refused = price(node, "set", "--core", "free")
    assert (refused.exit_code, "'free' is not an amount" in refused.output) == (2, True)
    assert price(node, "set").exit_code == 2
    assert config.read_text() == changed
    assert [path.name for path in node.iterdir() if path.suffix == ".partial"] == []


async def test_a_proposal_is_applied_when_the_owner_says_so(node: Path) -> None:
    desk = PriceDesk()
    desk.set(sheet(seen("cpu", 45_000, 12)))
    async with listening(person=Person()) as coordinator:
        desk.serve_on(coordinator)
        config = node / "node.toml"
        listed = f'coordinators = ["{coordinator.addresses[0]}"]'
        lines = config.read_text().splitlines()
        config.write_text(
            "\n".join(listed if line.startswith("coordinators =") else line for line in lines)
        )
        before = config.read_text()
        shown = await trio.to_thread.run_sync(price, node, "propose", "--json")
        (core,) = (
            each
            for each in json.loads(shown.stdout)["proposals"]
            if each["key"] == "prices.cpu_core"
        )
        assert (core["now"], core["proposed"], core["awards"]) == ("0.02", "0.04", 12)
        refused = await trio.to_thread.run_sync(price, node, "propose", "--apply")
        assert (refused.exit_code, "add --yes" in refused.output) == (2, True)
        assert config.read_text() == before
        applied = await trio.to_thread.run_sync(price, node, "propose", "--apply", "--yes")
        assert applied.exit_code == 0, applied.output
    assert load_config(config).prices.cpu_core == "0.04"
    # Nobody answers: nothing is made up.
    gone = await trio.to_thread.run_sync(price, node, "propose", "--apply", "--yes")
    assert (gone.exit_code, "it stays" in gone.output) == (0, True)
    assert load_config(config).prices.cpu_core == "0.04"
