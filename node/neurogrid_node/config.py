"""node.toml -> one frozen `Config`, checked once. configs/node.toml lists every key.

Unknown keys are errors: a misspelt price must not silently become the default.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from neurogrid_contracts.chain_payments import (
    FEE_CAP_LAMPORTS,
    TWO_ENDPOINTS_FROM_USDC,
    Cap,
    FeeKind,
    Percentile,
    Price,
    outbox_policy,
)
from neurogrid_contracts.deployment import Deployment
from neurogrid_marketplace.condition_text import MAX_TEXT_CHARS
from neurogrid_marketplace.conditions import Clause
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.fields import PeerId, Permille
from neurogrid_marketplace.identity import public_key_of
from neurogrid_marketplace.messages import HEARTBEAT_INTERVAL_S, SILENCE_LIMIT_S
from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.offer import PriceList
from neurogrid_marketplace.spot import RECLAIM_WINDOW_MAX_S, SpotTerms
from neurogrid_p2p.address import parse_address
from neurogrid_p2p.discovery.settings import POINTS_MAX, check_places
from neurogrid_p2p.errors import AddressInvalid
from neurogrid_p2p.peer_lists import MAX_LISTED, PeerLists
from neurogrid_p2p.relay_reservation import check_relays

from .terms import read_own

CONFIG_NAME = "node.toml"
# A price in a bid has to stay exact in every language; nobody asks for a million dollars an hour.
_PRICE_MAX_MICRO_USDC = 10**12
_Usdc = Annotated[str, Meta(max_length=20)]
_Positive = Annotated[int, Meta(ge=1)]


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file, the key and what is allowed."""


@dataclass(frozen=True, slots=True)
class ChainConfig:
    """Where the market's program lives, and how we pay there: see `ChainPayments`."""

    rpc_url: str
    program_id: str
    usdc_mint: str
    admin: str
    genesis_hash: str
    fee_policy: FeeKind = "percentile"
    compute_unit_price_micro_lamports: Price = 0
    fee_percentile: Percentile = 50
    fee_cap_lamports: Cap = FEE_CAP_LAMPORTS
    second_rpc_url: str = ""
    two_endpoints_from_usdc: _Usdc = TWO_ENDPOINTS_FROM_USDC

    def deployment(self) -> Deployment:
        """The addresses as keys.

        Raises:
            ValueError: one is not an address.
        """
        return Deployment.from_json(
            {"program_id": self.program_id, "usdc_mint": self.usdc_mint, "admin": self.admin}
        )


@dataclass(frozen=True, slots=True)
class PriceConfig:
    """Asking prices, decimal USDC per hour. A bid is their sum over what a task asks for."""

    base: _Usdc = "0.00"
    cpu_core: _Usdc = "0.02"
    memory_gib: _Usdc = "0.005"
    gpu: _Usdc = "0.60"

    def price_list(self) -> PriceList:
        """As micro-USDC.

        Raises:
            InvalidValue: one is no amount, or absurd.
        """
        return PriceList(
            base_micro_usdc_per_hour=_price("base", self.base),
            cpu_core_micro_usdc_per_hour=_price("cpu_core", self.cpu_core),
            memory_gib_micro_usdc_per_hour=_price("memory_gib", self.memory_gib),
            gpu_micro_usdc_per_hour=_price("gpu", self.gpu),
        )


@dataclass(frozen=True, slots=True)
class OfferConfig:
    """How much of the machine is offered; 0 means all that there is.

    Attributes:
        cpu_cores: whole cores. memory_gib: memory. disk_gib: disk for jobs' files.
        gpus: whether GPUs are offered.
        pids: processes and threads that one job may have.
    """

    cpu_cores: Annotated[int, Meta(ge=0)] = 0
    memory_gib: Annotated[int, Meta(ge=0)] = 0
    disk_gib: Annotated[int, Meta(ge=0)] = 0
    gpus: bool = True
    pids: Annotated[int, Meta(ge=16, le=4096)] = 256


@dataclass(frozen=True, slots=True)
class RiskConfig:
    """How far the owner trusts clients.

    Attributes:
        max_unpaid_s: unpaid work, in seconds of the agreed price, before a job is paused.
        max_timeout_s: longest job that is taken.
        stake_usdc: stake that the first `start` registers with; then commands decide.
    """

    max_unpaid_s: _Positive = 300
    max_timeout_s: _Positive = 24 * 3600
    stake_usdc: _Usdc = "10.00"


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """Which images run here.

    Attributes:
        pull: whether images that are not here are fetched.
        allow: prefixes of image references that may run; empty allows all.
        stall_timeout_s: longest silence of a pull.
    """

    pull: bool = True
    allow: tuple[str, ...] = ()
    stall_timeout_s: _Positive = 60


@dataclass(frozen=True, slots=True)
class ConditionConfig:
    """What tasks and clients have to be; docs/constraints.md has the language.

    Attributes:
        accept: conditions over task.* and client.*; empty takes every task.
    """

    accept: Annotated[str, Meta(max_length=MAX_TEXT_CHARS)] = ""

    def clauses(self) -> tuple[Clause, ...]:
        """As they are judged.

        Raises:
            InvalidValue: says where they are wrong, or what can never hold.
        """
        try:
            return read_own(self.accept)
        except InvalidValue as error:
            raise InvalidValue(f"[conditions] accept: {error}") from error


@dataclass(frozen=True, slots=True)
class SpotConfig:
    """Jobs that may be reclaimed; docs/kinds-of-tasks.md says what that is.

    Attributes:
        take: whether preemptible tasks are taken as such; else as any other.
        discount_permille: how much less is asked for one.
        reclaim_window_s: from the warning to the stop.
        displace: whether ordinary tasks may take the place of preemptible ones.
    """

    take: bool = False
    discount_permille: Permille = 500
    reclaim_window_s: Annotated[int, Meta(ge=1, le=RECLAIM_WINDOW_MAX_S)] = 120
    displace: bool = True

    def terms(self) -> SpotTerms | None:
        """As they are offered."""
        return SpotTerms(self.discount_permille, self.reclaim_window_s) if self.take else None


@dataclass(frozen=True, slots=True)
class DirectConfig:
    """Clients that come to us by themselves, each with a coordinator of its own.

    Attributes:
        serve: whether we let any.
        clients: how many at a time.
        allow: peer ids of their coordinators; empty allows all.
    """

    serve: bool = False
    clients: Annotated[int, Meta(ge=1, le=256)] = 16
    allow: Annotated[tuple[PeerId, ...], Meta(max_length=256)] = ()


@dataclass(frozen=True, slots=True)
class GangConfig:
    """Jobs that run together with jobs on other nodes, and reach them (docs/gang-network.md).

    Attributes:
        serve: whether we take any.
        mbit_per_s: what the packets of one gang may take of our network, in each direction.
    """

    serve: bool = True
    mbit_per_s: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000


@dataclass(frozen=True, slots=True)
class DiscoveryConfig:
    """Coordinators that are found, and joined beside those that are listed.

    Attributes:
        dht, rendezvous: libp2p addresses of a DHT's nodes and of rendezvous points, with peer ids.
        mdns: whether the local network is asked.
        join: peer ids of coordinators that are joined wherever they are found.
        strangers: how many others are joined at a time.
        private: whether addresses of private networks, loopback and names that strangers tell of are
            dialled; those that the local network tells of itself always are.
        interval_s: from one round of looking to the next.
    """

    dht: Annotated[tuple[str, ...], Meta(max_length=POINTS_MAX)] = ()
    rendezvous: Annotated[tuple[str, ...], Meta(max_length=POINTS_MAX)] = ()
    mdns: bool = False
    join: Annotated[tuple[PeerId, ...], Meta(max_length=64)] = ()
    strangers: Annotated[int, Meta(ge=0, le=16)] = 0
    private: bool = False
    interval_s: Annotated[int, Meta(ge=1, le=86_400)] = 300

    @property
    def is_on(self) -> bool:
        """Whether anything is asked."""
        return bool(self.dht or self.rendezvous or self.mdns)


@dataclass(frozen=True, slots=True)
class PeersConfig:
    """Who may be connected; see `PeerLists`. Read again at SIGHUP."""

    allow: Annotated[tuple[str, ...], Meta(max_length=MAX_LISTED)] = ()
    deny: Annotated[tuple[str, ...], Meta(max_length=MAX_LISTED)] = ()

    def lists(self) -> PeerLists:
        """As they are kept.

        Raises:
            InvalidValue: what stands there is no peer id.
        """
        return PeerLists.of(self.allow, self.deny)


@dataclass(frozen=True, slots=True)
class Config:
    """One node.

    Attributes:
        coordinators: libp2p addresses, each with its /p2p/ peer id.
        listen: libp2p addresses of our own; a node needs none, unless it is to be dialled.
        relays: through which we can be dialled.
        silence_s: the connection to a coordinator that says nothing for so long is made anew.
        file_hosts: hosts on private networks that a coordinator's files may be on, besides the
            coordinator's own.
    """

    coordinators: Annotated[tuple[str, ...], Meta(max_length=16)]
    chain: ChainConfig
    region: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")] = "local"
    listen: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    relays: Annotated[tuple[str, ...], Meta(max_length=4)] = ()
    silence_s: Annotated[int, Meta(ge=2 * HEARTBEAT_INTERVAL_S, le=3600)] = SILENCE_LIMIT_S
    file_hosts: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    prices: PriceConfig = field(default_factory=PriceConfig)
    offer: OfferConfig = field(default_factory=OfferConfig)
    risk: RiskConfig = field(default_factory=RiskConfig)
    images: ImageConfig = field(default_factory=ImageConfig)
    direct: DirectConfig = field(default_factory=DirectConfig)
    gang: GangConfig = field(default_factory=GangConfig)
    conditions: ConditionConfig = field(default_factory=ConditionConfig)
    spot: SpotConfig = field(default_factory=SpotConfig)
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    peers: PeersConfig = field(default_factory=PeersConfig)


def load_config(path: Path) -> Config:
    """Read and check a node.toml.

    Raises:
        ConfigError: it cannot be read, or a key is unknown, missing or out of bounds.
    """
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist: run `neurogrid-node init` first") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    _refuse_unknown(document, Config, path, "")
    try:
        config = msgspec.convert(document, Config)
        _check(config)
    except (msgspec.ValidationError, InvalidValue, AddressInvalid, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def _check(config: Config) -> None:
    """What types do not say."""
    config.prices.price_list()
    config.conditions.clauses()
    _amount("[risk] stake_usdc", config.risk.stake_usdc)
    config.peers.lists()
    config.chain.deployment()
    if not config.chain.rpc_url.startswith(("http://", "https://")):
        raise InvalidValue("[chain] rpc_url is no http address")
    outbox_policy(config.chain)
    peers = [parse_address(address).peer_id for address in config.coordinators]
    if None in peers:
        raise InvalidValue("coordinators: an address ends in /p2p/ and the coordinator's peer id")
    if len(set(peers)) < len(peers):
        raise InvalidValue("coordinators: one of them is listed twice")
    for address in config.listen:
        parse_address(address)
    check_relays(config.relays)
    found = config.discovery
    check_places(found.dht, found.rendezvous, ())
    for peer_id in found.join:
        public_key_of(peer_id)
    may_join = found.is_on and (found.join or found.strangers)
    if not config.coordinators and not config.direct.serve and not may_join:
        raise InvalidValue(
            "coordinators: none is listed, [discovery] finds none that may be joined, and [direct] "
            "lets no client come by itself"
        )


def _price(key: str, text: str) -> int:
    amount = _amount(f"[prices] {key}", text)
    if amount > _PRICE_MAX_MICRO_USDC:
        raise InvalidValue(f"[prices] {key}: {text} USDC per hour; at most a million")
    return amount


def _amount(key: str, text: str) -> int:
    try:
        return parse_usdc(text)
    except InvalidValue as error:
        raise InvalidValue(f"{key}: {error}") from error


def _refuse_unknown(table: dict[str, object], kind: type, path: Path, prefix: str) -> None:
    known = {item.name: item for item in msgspec.inspect.type_info(kind).fields}  # type: ignore[attr-defined]  # a dataclass's type_info has fields
    for key, value in table.items():
        if key not in known:
            raise ConfigError(
                f"{path}: unknown key {prefix}{key}; known here: {', '.join(sorted(known))}"
            )
        section = getattr(known[key].type, "cls", None)
        if isinstance(value, dict) and section is not None:
            _refuse_unknown(value, section, path, f"{prefix}{key}.")
