"""node.toml -> one frozen `Config`, checked once. configs/node.toml lists every key.
`config_check` names all mistakes of a file at once, by the same rules.

Unknown keys are errors: a misspelt price must not silently become the default.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from neurogrid_contracts.chain_payments import (
    outbox_policy,
)
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.identity import public_key_of
from neurogrid_marketplace.messages import HEARTBEAT_INTERVAL_S, SILENCE_LIMIT_S
from neurogrid_p2p.address import check_relays, parse_address
from neurogrid_p2p.discovery.settings import check_places
from neurogrid_p2p.errors import AddressInvalid
from neurogrid_telemetry.log_settings import LogSettings
from neurogrid_telemetry.traces import TraceSettings

from .settings.amounts import amount, price
from .settings.clients import ConditionConfig, DirectConfig, ExecConfig, ServicesConfig
from .settings.machine import EngineConfig, ImageConfig, OfferConfig
from .settings.models import ModelsConfig
from .settings.money import ChainConfig, PriceConfig, RiskConfig, SpotConfig
from .settings.network import DiscoveryConfig, EgressConfig, GangConfig, MetricsConfig, PeersConfig

CONFIG_NAME = "node.toml"


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file, the key and what is allowed."""


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
    engine: EngineConfig = field(default_factory=EngineConfig)
    risk: RiskConfig = field(default_factory=RiskConfig)
    images: ImageConfig = field(default_factory=ImageConfig)
    exec: ExecConfig = field(default_factory=ExecConfig)
    services: ServicesConfig = field(default_factory=ServicesConfig)
    models: ModelsConfig = field(default_factory=ModelsConfig)
    direct: DirectConfig = field(default_factory=DirectConfig)
    gang: GangConfig = field(default_factory=GangConfig)
    egress: EgressConfig = field(default_factory=EgressConfig)
    conditions: ConditionConfig = field(default_factory=ConditionConfig)
    spot: SpotConfig = field(default_factory=SpotConfig)
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    peers: PeersConfig = field(default_factory=PeersConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    traces: TraceSettings = field(default_factory=TraceSettings)
    log: LogSettings = field(default_factory=LogSettings)


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
        for rule in RULES:
            rule.check(config)
    except (msgspec.ValidationError, *RULE_ERRORS) as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


@dataclass(frozen=True, slots=True)
class Rule:
    """What types do not say.

    Attributes:
        keys: what it looks at: keys, or sections; a mistake is the first one's.
        check: raises InvalidValue, AddressInvalid or ValueError where it does not hold.
    """

    keys: tuple[str, ...]
    check: Callable[[Config], object]


def _is_http(config: Config) -> None:
    if not config.chain.rpc_url.startswith(("http://", "https://")):
        raise InvalidValue("[chain] rpc_url is no http address")


def _shares_a_folder(config: Config) -> None:
    if config.engine.is_fleet:
        config.engine.shared_folder()


def _has_peer_ids(config: Config) -> None:
    peers = [parse_address(address).peer_id for address in config.coordinators]
    if None in peers:
        raise InvalidValue("coordinators: an address ends in /p2p/ and the coordinator's peer id")
    if len(set(peers)) < len(peers):
        raise InvalidValue("coordinators: one of them is listed twice")


def _is_port(config: Config) -> None:
    if config.metrics.port > 65_535:
        raise InvalidValue("[metrics] listen: a port is at most 65535")


def _serves_somebody(config: Config) -> None:
    found = config.discovery
    may_join = found.is_on and (found.join or found.strangers)
    if not config.coordinators and not config.direct.serve and not may_join:
        raise InvalidValue(
            "coordinators: none is listed, [discovery] finds none that may be joined, and [direct] "
            "lets no client come by itself"
        )


RULES: Final = (
    Rule(("prices.base",), lambda config: price("base", config.prices.base)),
    Rule(("prices.cpu_core",), lambda config: price("cpu_core", config.prices.cpu_core)),
    Rule(("prices.memory_gib",), lambda config: price("memory_gib", config.prices.memory_gib)),
    Rule(("prices.gpu",), lambda config: price("gpu", config.prices.gpu)),
    Rule(("conditions.accept",), lambda config: config.conditions.clauses()),
    Rule(("risk.stake_usdc",), lambda config: amount("[risk] stake_usdc", config.risk.stake_usdc)),
    Rule(("peers",), lambda config: config.peers.lists()),
    Rule(("engine.shared", "engine.kind"), _shares_a_folder),
    Rule(("images",), lambda config: config.images.rules()),
    Rule(("models",), lambda config: config.models.terms()),
    Rule(("egress",), lambda config: config.egress.terms()),
    Rule(("egress.deny_networks",), lambda config: config.egress.denied()),
    Rule(("egress.private",), lambda config: config.egress.pinned()),
    Rule(("chain",), lambda config: config.chain.deployment()),
    Rule(("chain.rpc_url",), _is_http),
    Rule(("chain",), lambda config: outbox_policy(config.chain)),
    Rule(("coordinators",), _has_peer_ids),
    Rule(("metrics.listen",), _is_port),
    Rule(("listen",), lambda config: [parse_address(address) for address in config.listen]),
    Rule(("relays",), lambda config: check_relays(config.relays)),
    Rule(
        ("discovery",),
        lambda config: check_places(config.discovery.dht, config.discovery.rendezvous, ()),
    ),
    Rule(
        ("discovery.join",), lambda config: [public_key_of(each) for each in config.discovery.join]
    ),
    Rule(("coordinators", "discovery", "direct"), _serves_somebody),
)
# What a rule raises.
RULE_ERRORS: Final = (InvalidValue, AddressInvalid, ValueError)


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
