"""Which found coordinators a node joins, for how long, and what of them survives a restart."""

import json
from pathlib import Path

import pytest

from neurogrid_marketplace.advert import ADVERT_LIFETIME_MS, Advert, make_advert
from neurogrid_node.market.found import FILE_NAME, IDLE_MS, Found, Rules, load, save
from neurogrid_node.settings.network import DiscoveryConfig
from p2p.peers import NETWORK, Person

NOW_MS = 1_800_000_000_000
FRIEND, LISTED = Person(), Person()


def rules(
    *, strangers: int = 0, private: bool = False, deny: str = "", network: str = NETWORK
) -> Rules:
    config = DiscoveryConfig(
        mdns=True, join=(FRIEND.peer_id,), strangers=strangers, private=private
    )
    denied = {deny: "denied: pays late"}
    return Rules(config, network, frozenset({LISTED.peer_id}), denied.get)


def advert(person: Person, now_ms: int = NOW_MS, *hosts: str) -> Advert:
    return make_advert(
        person.keys.sign,
        network=NETWORK,
        coordinator=person.peer_id,
        addresses=tuple(
            f"/ip4/{host}/tcp/4001/p2p/{person.peer_id}" for host in hosts or ("9.9.9.9",)
        ),
        now_ms=now_ms,
    )


def nobody(_: str) -> bool:
    return False


def heard(
    found: Found, by: Rules, said: Advert, source: str = "dht", now_ms: int = NOW_MS
) -> Found:
    """After an advert whose coordinator is joined."""
    found, why = found.heard(by, said, source, now_ms, nobody)
    assert why == ""
    return found


@pytest.mark.parametrize(
    ("who", "by", "hosts", "source", "why"),
    [
        (FRIEND, rules(), (), "dht", ""),
        (FRIEND, rules(deny=FRIEND.peer_id), (), "dht", "[peers]: denied: pays late"),
        (Person(), rules(), (), "dht", "not on the list [discovery] join, and strangers is 0"),
        (Person(), rules(strangers=1), (), "dht", ""),
        (LISTED, rules(strangers=1), (), "dht", "one of the coordinators that are listed"),
        (FRIEND, rules(), ("10.0.0.7",), "dht", "none of its addresses is one of the internet"),
        (FRIEND, rules(private=True), ("10.0.0.7",), "dht", ""),
        (FRIEND, rules(), ("10.0.0.7",), "mdns", ""),
        (FRIEND, rules(), ("127.0.0.1",), "mdns", "none of its addresses"),
    ],
)
def test_who_is_joined_and_why_not(
    who: Person, by: Rules, hosts: tuple[str, ...], source: str, why: str
) -> None:
    found, said = Found().heard(by, advert(who, NOW_MS, *hosts), source, NOW_MS, nobody)
    assert why in said
    assert bool(said) == bool(why)
    assert (who.peer_id in found.joined) == (not why)


def test_of_its_addresses_those_that_may_be_dialled_are_kept() -> None:
    said = advert(FRIEND, NOW_MS, "10.0.0.7", "9.9.9.9", "127.0.0.1")
    found = heard(Found(), rules(), said)
    assert found.joined[FRIEND.peer_id].addresses == (said.addresses[1],)


def test_a_newer_advert_moves_a_coordinator_and_an_older_one_does_not_move_it_back() -> None:
    old, new = advert(FRIEND, NOW_MS, "9.9.9.1"), advert(FRIEND, NOW_MS + 1, "9.9.9.2")
    found = heard(heard(Found(), rules(), old), rules(), new)
    assert found.joined[FRIEND.peer_id].addresses == new.addresses
    assert heard(found, rules(), old) == found


def test_strangers_are_as_many_as_allowed_and_idle_ones_make_room() -> None:
    by = rules(strangers=2)
    first, second, third = Person(), Person(), Person()
    found = heard(Found(), by, advert(first))
    found = heard(found, by, advert(second), now_ms=NOW_MS + 1)
    found, why = found.heard(by, advert(third), "dht", NOW_MS + IDLE_MS - 1, nobody)
    assert why == "2 strangers are joined already"
    # Who is on the list needs no room of theirs.
    found = heard(found, by, advert(FRIEND))
    late = NOW_MS + IDLE_MS + 1
    same, why = found.heard(by, advert(third), "dht", late, lambda _: True)
    assert (same, why) == (found, "2 strangers are joined already")
    found = heard(found, by, advert(third), now_ms=late)
    assert set(found.joined) == {second.peer_id, third.peer_id, FRIEND.peer_id}
    # Who was connected meanwhile has not been idle.
    seen = found.looked(by, late, [second.peer_id], nobody)
    assert seen.joined[second.peer_id].connected_at_ms == late


def test_who_is_away_is_forgotten_when_its_advert_is_over_unless_it_has_leases_here() -> None:
    found = heard(Found(), rules(), advert(FRIEND))
    over = NOW_MS + ADVERT_LIFETIME_MS
    assert found.looked(rules(), over - 1, [], nobody).joined
    assert not found.looked(rules(), over, [], nobody).joined
    assert found.looked(rules(), over, [FRIEND.peer_id], nobody).joined
    assert found.looked(rules(), over, [], lambda peer: peer == FRIEND.peer_id).joined


def test_who_is_not_allowed_any_more_goes_when_it_is_away_and_has_no_leases() -> None:
    found = heard(Found(), rules(), advert(FRIEND))
    now = rules(deny=FRIEND.peer_id)
    assert not found.looked(now, NOW_MS, [], nobody).joined
    assert found.looked(now, NOW_MS, [], lambda _: True).joined


def test_what_was_found_survives_a_restart(tmp_path: Path) -> None:
    found = heard(Found(), rules(), advert(FRIEND), "mdns")
    save(tmp_path, found)
    assert load(tmp_path, rules()) == (found, "")
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0
    assert load(tmp_path / "elsewhere", rules()) == (Found(), "")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"version": 2}', "another version"),
        ('{"version": 1}', "KeyError"),
        ('{"version": 1, "coordinators": [{"advert": 5}]}', "MalformedMessage"),
        ("\xff", "Error"),
    ],
)
def test_a_file_that_is_damaged_is_not_used_and_says_so(
    tmp_path: Path, content: str, says: str
) -> None:
    (tmp_path / FILE_NAME).write_text(content, encoding="latin-1")
    found, problem = load(tmp_path, rules())
    assert found == Found()
    assert says in problem
    assert str(tmp_path / FILE_NAME) in problem


def test_nobody_can_write_a_coordinator_into_the_file_or_bring_one_of_another_market(
    tmp_path: Path,
) -> None:
    save(tmp_path, heard(Found(), rules(), advert(FRIEND)))
    document = json.loads((tmp_path / FILE_NAME).read_text())
    document["coordinators"][0]["advert"]["expires_at_ms"] += 1
    (tmp_path / FILE_NAME).write_text(json.dumps(document))
    found, problem = load(tmp_path, rules())
    assert found == Found()
    assert "BadSignature" in problem
    save(tmp_path, heard(Found(), rules(), advert(FRIEND)))
    assert "made for network" in load(tmp_path, rules(network="ng-fedcba9876543210"))[1]
