"""What a node knows of newer versions: from its coordinators' own words, and from nothing else."""

import json
import sqlite3
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_marketplace import __version__
from neurogrid_marketplace.envelope import network_id
from neurogrid_marketplace.messages import PROTOCOL_ID
from neurogrid_node.__main__ import main
from neurogrid_node.config import load_config
from neurogrid_node.market.welcomes import meet_coordinators
from neurogrid_node.upgrade import Met, Standing, advice, should_upgrade, standing
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.session import Party, SignedChannel
from node.test_first_run import chain, market
from p2p.peers import Person, listening, now_ms

__all__ = ["chain"]


@pytest.mark.parametrize(
    ("own", "software", "is_now"),
    [
        ("0.1.0", "neurogrid/0.1.0", Standing.SAME),
        ("0.1.0", "neurogrid/0.1", Standing.SAME),
        ("0.9.0", "neurogrid/0.10.0", Standing.NEWER),
        ("0.10.0", "neurogrid-coordinator/0.9.9", Standing.OLDER),
        ("1.0", "neurogrid/1.0.1+debian", Standing.NEWER),
        ("1.0", "other/9", Standing.OTHER_SOFTWARE),
        ("1.0", "neurogrid/nine", Standing.OTHER_SOFTWARE),
        ("1.0", "neurogrid/1.2.3.4.5", Standing.OTHER_SOFTWARE),
    ],
)
def test_versions_are_compared_as_numbers(own: str, software: str, is_now: Standing) -> None:
    assert standing(own, Met("", software)) is is_now


@settings(max_examples=25)
@given(st.text(max_size=40))
def test_whatever_a_coordinator_says_is_judged(software: str) -> None:
    met = Met("", software)
    assert advice(standing("1.0", met), met)


def test_who_gives_no_welcome_is_away_or_speaks_otherwise() -> None:
    assert standing("1.0", Met("", answers=False)) is Standing.AWAY
    assert standing("1.0", Met("")) is Standing.OTHER_WIRE
    assert should_upgrade([Standing.SAME, Standing.OTHER_WIRE])
    assert should_upgrade([Standing.NEWER])
    assert not should_upgrade([Standing.SAME, Standing.OLDER, Standing.AWAY])


@pytest.fixture
def node(tmp_path: Path, chain: Path) -> Path:
    directory = tmp_path / "node"
    typed = ("init", "--data", directory, *market(chain), "--no-passphrase", "--keys-may-be-lost")
    assert CliRunner().invoke(main, [str(word) for word in typed]).exit_code == 0
    return directory


async def test_coordinators_say_what_they_run(node: Path) -> None:
    config = load_config(node / "node.toml")
    newer, silent = Person(), Person()
    network = network_id(config.chain.genesis_hash, config.chain.program_id)
    party = Party(newer.peer_id, network, newer.keys.sign, now_ms)

    async def welcome(channel: Channel) -> None:
        await SignedChannel.welcome(channel, party, "neurogrid/99.0")
        await trio.sleep_forever()

    async with listening(person=newer) as speaks, listening(person=silent) as does_not:
        speaks.serve(PROTOCOL_ID, welcome)
        gone = config.coordinators[0].replace("/4001/", "/1/")
        addresses = (speaks.addresses[0], does_not.addresses[0], gone)
        text = (node / "node.toml").read_text()
        listed = f"coordinators = {json.dumps(addresses)}"
        (node / "node.toml").write_text(
            "\n".join(
                listed if line.startswith("coordinators = ") else line for line in text.splitlines()
            )
        )
        met = await meet_coordinators(load_config(node / "node.toml"))
    assert [each.address for each in met] == list(addresses)
    assert [standing("1.0", each) for each in met] == [
        Standing.NEWER,
        Standing.OTHER_WIRE,
        Standing.AWAY,
    ]


def check(node: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["upgrade", "check", "--data", str(node), *words])


def test_what_is_not_known_is_not_told(node: Path) -> None:
    text = (node / "node.toml").read_text()
    (node / "node.toml").write_text(text.replace("/tcp/4001/", "/tcp/1/"))
    done = check(node, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["version"], document["newest_release"]) == (__version__, None)
    assert [each["standing"] for each in document["coordinators"]] == ["away"]
    assert (document["jobs"], document["jobs_survive"]) == (0, True)
    assert "no signed list of releases" in check(node).output


def test_a_journal_of_a_newer_version_has_no_way_back(node: Path) -> None:
    with sqlite3.connect(node / "journal.db") as journal:
        journal.execute("pragma user_version=1000")
    journal.close()
    done = check(node)
    assert done.exit_code == 2
    assert "written by a newer neurogrid-node" in done.output
