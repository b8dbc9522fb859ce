"""`neurogrid-node discover`: looks for coordinators now, and says which of them this node would join, and why not."""

from dataclasses import dataclass, field
from pathlib import Path

import trio

from neurogrid_marketplace.advert import Advert
from neurogrid_marketplace.envelope import network_id
from neurogrid_p2p.discovery import lines
from neurogrid_p2p.discovery.child import Discovery
from neurogrid_p2p.errors import P2pError
from neurogrid_p2p.host import Host, open_host
from neurogrid_wallet.keys import KeyPair

from ..config import CONFIG_NAME, Config, ConfigError, load_config
from ..status import read_status
from .discovery import process_settings
from .found import Rules

# Rounds of each source after which enough has been seen, and after which it will not be seen. The first may come before
# others are awake, and one that named nobody says least.
_FRUITFUL_ROUNDS = 2
_ROUNDS_MAX = 4
_INTERVAL_S = 2
# Of strangers nobody needs a longer list.
_COORDINATORS_MAX = 64
_USELESS_MAX = 64


@dataclass(slots=True)
class Seen:
    """One coordinator that was found.

    Attributes:
        sources: where.
        addresses: of its advert that this node dials -> why not reached; "" if it was.
        why_not: why this node would not join it; "" if it would.
    """

    advert: Advert
    sources: list[str]
    addresses: dict[str, str]
    why_not: str
    connected: bool


@dataclass(slots=True)
class Rounds:
    """What one source has answered so far.

    Attributes:
        held, fruitful: how many rounds are over, and how many of them named somebody.
        peers: how many the last one named.
        problem: of the last one; "" if there was none.
    """

    held: int = 0
    fruitful: int = 0
    peers: int = 0
    problem: str = ""

    def add(self, peers: int, problem: str) -> None:
        """Another one is over."""
        self.held += 1
        self.fruitful += peers > 0
        self.peers, self.problem = peers, problem

    def is_enough(self, places: int) -> bool:
        """Whether more need not be waited for, of a source that asks at so many places."""
        fruitful, held = _FRUITFUL_ROUNDS * places, _ROUNDS_MAX * places
        return self.fruitful >= fruitful or self.held >= held


@dataclass(slots=True)
class Look:
    """All that was seen.

    Attributes:
        rounds: of each source that has finished any.
        useless: peers that were named and have no advert for us.
    """

    network: str
    coordinators: dict[str, Seen] = field(default_factory=dict)
    rounds: dict[str, Rounds] = field(default_factory=dict)
    useless: dict[tuple[str, str], str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "network": self.network,
            "coordinators": [
                {
                    "coordinator": peer_id,
                    "sources": seen.sources,
                    "addresses": [
                        {"address": address, "reachable": not problem, "problem": problem}
                        for address, problem in seen.addresses.items()
                    ],
                    "expires_at_ms": seen.advert.expires_at_ms,
                    "may_join": not seen.why_not,
                    "why_not": seen.why_not,
                    "connected": seen.connected,
                }
                for peer_id, seen in self.coordinators.items()
            ],
            "sources": [
                {"source": source, "peers": rounds.peers, "problem": rounds.problem}
                for source, rounds in sorted(self.rounds.items())
            ],
            "useless": [
                {"source": source, "herald": herald, "problem": problem}
                for (source, herald), problem in self.useless.items()
            ],
        }


def look(directory: Path, timeout_s: float) -> Look:
    """Look for coordinators, by a process of our own beside that of a running node.

    Raises:
        ConfigError: node.toml cannot be used, or names nowhere to look.
    """
    config = load_config(directory / CONFIG_NAME)
    if not config.discovery.is_on:
        raise ConfigError(
            f"{directory / CONFIG_NAME}: [discovery] names nowhere to look: set dht, rendezvous or mdns"
        )
    return trio.run(_look, config, _connected(directory), timeout_s)


async def _look(config: Config, connected: frozenset[str], timeout_s: float) -> Look:
    network = network_id(config.chain.genesis_hash, config.chain.program_id)
    listed = frozenset(address.rsplit("/p2p/", 1)[-1] for address in config.coordinators)
    rules = Rules(config.discovery, network, listed, config.peers.lists().refusal)
    seen = Look(network)
    done = trio.Event()
    found = config.discovery
    places = {
        "rendezvous": len(found.rendezvous),
        "dht": int(bool(found.dht)),
        "mdns": int(found.mdns),
    }

    async def heard(report: lines.Report) -> None:
        match report:
            case lines.Found(source, _, advert):
                _note(seen, rules, source, advert, connected)
            case lines.Useless(source, herald, problem):
                if len(seen.useless) < _USELESS_MAX:
                    seen.useless[source, herald] = problem
            case lines.Looked(source, _, peers, problem):
                seen.rounds.setdefault(source, Rounds()).add(peers, problem)
                if all(
                    seen.rounds.get(name, Rounds()).is_enough(count)
                    for name, count in places.items()
                ):
                    done.set()

    discovery = Discovery(process_settings(found, network, _INTERVAL_S), heard)
    with trio.move_on_after(timeout_s):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(discovery.run)
            await done.wait()
            nursery.cancel_scope.cancel()
    # Under a name of its own: to see who is there, nobody has to know who asks.
    async with open_host(KeyPair.generate().seed) as host, trio.open_nursery() as nursery:
        for each in seen.coordinators.values():
            nursery.start_soon(_reach, host, each)
    return seen


def _note(seen: Look, rules: Rules, source: str, advert: Advert, connected: frozenset[str]) -> None:
    known = seen.coordinators.get(advert.coordinator)
    if known is None:
        if len(seen.coordinators) >= _COORDINATORS_MAX:
            return
        known = Seen(advert, [], {}, "", advert.coordinator in connected)
        seen.coordinators[advert.coordinator] = known
    if source not in known.sources:
        known.sources.append(source)
        # Where one source is not believed, another may be.
        why_not = rules.refusal(advert, source)
        known.why_not = why_not if len(known.sources) == 1 else known.why_not and why_not
        known.addresses |= dict.fromkeys(rules.usable(advert, source), "not tried")


async def _reach(host: Host, seen: Seen) -> None:
    """See at which of its addresses a coordinator answers."""
    for address in seen.addresses:
        try:
            connection = await host.connect(address)
        except P2pError as error:
            seen.addresses[address] = str(error)
        else:
            connection.abort()
            seen.addresses[address] = ""


def _connected(directory: Path) -> frozenset[str]:
    """The coordinators that a running node is connected to."""
    rows = (read_status(directory) or {}).get("coordinators")
    if not isinstance(rows, list):
        return frozenset()
    return frozenset(row["peer_id"] for row in rows if row["connected"])
