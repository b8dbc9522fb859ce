"""coordinator.toml -> one frozen `Config`, checked once. The template beside this file lists every key.

Unknown keys are errors: a misspelt limit must not silently become the default.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, TypeVar

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
from neurogrid_marketplace.addresses import Surroundings, read_networks, read_pinned
from neurogrid_marketplace.challenge import CHALLENGE_IMAGE, ChallengeTerms, Rate
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.fields import Address, ImageRef
from neurogrid_marketplace.input_url import FETCH_MAX_S
from neurogrid_marketplace.messages import HEARTBEAT_INTERVAL_S, SILENCE_LIMIT_S, Url
from neurogrid_marketplace.money import parse_usdc
from neurogrid_p2p.address import check_relays, parse_address
from neurogrid_p2p.discovery.settings import POINTS_MAX, check_places
from neurogrid_p2p.interfaces import networks_near
from neurogrid_p2p.limits import RelayLimits
from neurogrid_p2p.peer_lists import MAX_LISTED, PeerLists
from neurogrid_telemetry import log_settings
from neurogrid_telemetry.log_settings import LogSettings
from neurogrid_telemetry.traces import TraceSettings

from .config_section import Positive as _Positive
from .config_section import Section as _Section
from .config_section import UrlOrEmpty as _UrlOrEmpty
from .files.artifacts_config import ArtifactsConfig
from .market.settings import MAX_DIALLED, Announcement
from .models_config import ModelsConfig
from .operations_config import DashboardConfig, DialectsConfig, OperationsConfig
from .server.http_config import HttpConfig, RequestsConfig
from .services.models import ModelSettings
from .trust.challenge_settings import ChallengeSettings

CONFIG_NAME = "coordinator.toml"
_AnySection = TypeVar("_AnySection", bound=_Section)

_ListenOrEmpty = Annotated[
    str, Meta(pattern=r"^((\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[1-9][0-9]{0,4})?\Z")
]
_PostgresqlUrlOrEmpty = Annotated[str, Meta(pattern=r"^(postgres(ql)?://[^\s\x00-\x1f]{1,500})?\Z")]
_Days = Annotated[int, Meta(ge=0, le=36_500)]
_Usdc = Annotated[str, Meta(max_length=20)]
# "RTX 4090 500000"
_Rate = Annotated[str, Meta(pattern=r"^\S[^\x00-\x1f]{0,126} [1-9][0-9]{0,8}\Z")]
_RELAY = RelayLimits()
_Multiaddress = Annotated[str, Meta(pattern=r"^/ip[46]/[0-9a-fA-F:.]+/tcp/[0-9]{1,5}\Z")]


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file, the key and what is allowed."""


class ChainConfig(_Section, frozen=True):
    """Which market on which chain, and how we pay there. See the template for each key."""

    rpc_url: Url
    program_id: Address
    usdc_mint: Address
    admin: Address
    genesis_hash: Address
    fee_policy: FeeKind = "percentile"
    compute_unit_price_micro_lamports: Price = 0
    fee_percentile: Percentile = 50
    fee_cap_lamports: Cap = FEE_CAP_LAMPORTS
    second_rpc_url: _UrlOrEmpty = ""
    two_endpoints_from_usdc: _Usdc = TWO_ENDPOINTS_FROM_USDC

    @property
    def deployment(self) -> Deployment:
        """The market's addresses."""
        return Deployment.from_json(
            {"program_id": self.program_id, "usdc_mint": self.usdc_mint, "admin": self.admin}
        )


class P2pConfig(_Section, frozen=True):
    """Where nodes connect."""

    listen: Annotated[tuple[_Multiaddress, ...], Meta(max_length=16)] = ("/ip4/0.0.0.0/tcp/4001",)
    dial: Annotated[tuple[str, ...], Meta(max_length=MAX_DIALLED)] = ()
    files: bool = False
    nodes: _Positive = 2000
    connections_per_host: _Positive = 1024
    connections_per_network: _Positive = 2048
    handshakes_per_network: _Positive = 512
    handshake_s: Annotated[int, Meta(ge=1, le=600)] = 20
    leases_per_node: Annotated[int, Meta(ge=1, le=256)] = 256
    messages_per_s: _Positive = 200
    bytes_per_s: Annotated[int, Meta(ge=65_536)] = 4 * 1024 * 1024
    relays: Annotated[tuple[str, ...], Meta(max_length=4)] = ()


class PeersConfig(_Section, frozen=True):
    """Who may connect; see `PeerLists`. Read again at SIGHUP."""

    allow: Annotated[tuple[str, ...], Meta(max_length=MAX_LISTED)] = ()
    deny: Annotated[tuple[str, ...], Meta(max_length=MAX_LISTED)] = ()

    @property
    def lists(self) -> PeerLists:
        """As they are kept."""
        return PeerLists.of(self.allow, self.deny)


class RelayConfig(_Section, frozen=True):
    """Relaying for peers that cannot be dialled; see `RelayLimits`."""

    serve: bool = False
    reservations: _Positive = _RELAY.reservations
    reservations_per_host: _Positive = _RELAY.reservations_per_host
    reservation_s: Annotated[int, Meta(ge=60)] = _RELAY.reservation_s
    circuits: _Positive = _RELAY.circuits
    circuits_per_peer: _Positive = _RELAY.circuits_per_peer
    circuit_s: _Positive = _RELAY.circuit_s
    circuit_bytes: Annotated[int, Meta(ge=65_536)] = _RELAY.circuit_bytes

    @property
    def limits(self) -> RelayLimits | None:
        """What is relayed; None for nothing."""
        given = msgspec.structs.asdict(self)
        return RelayLimits(**given) if given.pop("serve") else None


class DiscoveryConfig(_Section, frozen=True):
    """Being found by nodes that do not know us; see `Announcement`."""

    listen: Annotated[tuple[_Multiaddress, ...], Meta(max_length=POINTS_MAX)] = ()
    hosts: Annotated[tuple[str, ...], Meta(max_length=POINTS_MAX)] = ()
    dht: Annotated[tuple[str, ...], Meta(max_length=POINTS_MAX)] = ()
    rendezvous: Annotated[tuple[str, ...], Meta(max_length=POINTS_MAX)] = ()
    mdns: bool = False
    serve: bool = False
    private: bool = False

    @property
    def announcement(self) -> Announcement | None:
        """Where we are announced; None for nowhere."""
        return Announcement(**msgspec.structs.asdict(self)) if self.listen else None

    def check(self) -> None:
        """Raise `ValueError` unless what is asked for can be done."""
        check_places(self.dht, self.rendezvous, self.hosts)
        if not self.listen and (self.dht or self.rendezvous or self.mdns or self.serve):
            raise InvalidValue(
                "[discovery] listen: it names no address, so nobody could fetch our advert"
            )


class TimersConfig(_Section, frozen=True):
    """How long things take; the unit is in the name."""

    bid_window_ms: Annotated[int, Meta(ge=1, le=60_000)] = 250
    voucher_interval_s: Annotated[int, Meta(ge=1, le=3600)] = 30
    silence_s: Annotated[int, Meta(ge=2 * HEARTBEAT_INTERVAL_S, le=3600)] = SILENCE_LIMIT_S
    # Silence is not death: a network that is away for minutes must not cost a job its progress.
    dead_after_s: Annotated[int, Meta(ge=1, le=24 * 3600)] = 600
    queue_timeout_s: Annotated[int, Meta(ge=1, le=30 * 24 * 3600)] = 3600
    reconcile_interval_s: Annotated[int, Meta(ge=1, le=24 * 3600)] = 60


class LimitsConfig(_Section, frozen=True):
    """How much there may be of everything."""

    steps: Annotated[int, Meta(ge=1, le=4096)] = 64
    database_queue: _Positive = 4096
    artifact_bytes: _Positive = 2 * 1024**3
    account_artifact_bytes: _Positive = 20 * 1024**3


class DatabaseConfig(_Section, frozen=True):
    """Where what must not be lost is; see `database_place`."""

    url: _PostgresqlUrlOrEmpty = ""
    password_file: Annotated[str, Meta(max_length=4096)] = ""


class RetentionConfig(_Section, frozen=True):
    """For how many days things are kept after they have ended; 0: for ever.

    Attributes:
        logs_days: what tasks' jobs printed.
        outputs_days: the files that these left.
        events_days: what happened to tasks, step by step, and what they used.
        evidence_days: what was signed about their leases, where receipts have it too.
        failures_days: what failed; of each account no more than 10,000 are kept anyway.
        deliveries_days: what webhooks were told; of each webhook no more than 1000 are kept anyway.
        idempotency_hours: how long a request with an idempotency key is answered as before.
    """

    logs_days: _Days = 0
    outputs_days: _Days = 0
    events_days: _Days = 0
    evidence_days: _Days = 0
    failures_days: _Days = 0
    deliveries_days: _Days = 30
    idempotency_hours: Annotated[int, Meta(ge=1, le=90 * 24)] = 24


class FetchConfig(_Section, frozen=True):
    """Files that clients name by URL; see `UrlFetcher`."""

    serve: bool = True
    timeout_s: Annotated[int, Meta(ge=1, le=FETCH_MAX_S)] = 300
    deny_networks: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    private: Annotated[tuple[str, ...], Meta(max_length=32)] = ()

    def surroundings(self) -> Surroundings:
        """What is around this machine now, and what its operator says of addresses."""
        return Surroundings(
            networks_near(), read_networks(self.deny_networks), read_pinned(self.private)
        )


class WebhooksConfig(_Section, frozen=True):
    """Where clients' webhooks may be told of events; see `Outbound`."""

    serve: bool = True
    deny_networks: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    private: Annotated[tuple[str, ...], Meta(max_length=32)] = ()

    def surroundings(self) -> Surroundings:
        """What is around this machine now, and what its operator says of addresses."""
        return Surroundings(
            networks_near(), read_networks(self.deny_networks), read_pinned(self.private)
        )


class UploadsConfig(_Section, frozen=True):
    """Files of clients on this machine's disk; see `Uploads`."""

    root: Annotated[str, Meta(pattern=r"^(/[^\x00-\x1f]{1,500})?\Z")] = ""
    write: bool = False

    @property
    def folder(self) -> Path | None:
        """The folder of all accounts' folders; None where there is none."""
        return Path(self.root) if self.root else None


class TrustConfig(_Section, frozen=True):
    """What follows from what nodes were seen to do."""

    score_challenges: bool = False
    min_stake_usdc: _Usdc = "0"
    challenge_account: Annotated[str, Meta(pattern=r"^(acct_[0-9a-f]{32})?\Z")] = ""
    challenge_image: ImageRef = CHALLENGE_IMAGE
    challenge_price_usdc_per_hour: _Usdc = "2"
    challenges_per_day: Annotated[int, Meta(ge=0, le=24)] = 0
    challenge_usdc_per_day: _Usdc = "1"
    challenge_fill_percent: Annotated[int, Meta(ge=1, le=100)] = 90
    challenge_visits: Annotated[int, Meta(ge=1, le=64)] = 8
    challenge_allowance_s: Annotated[int, Meta(ge=0, le=3600)] = 30
    challenge_rates: Annotated[tuple[_Rate, ...], Meta(min_length=2, max_length=256)] = (
        "gpu 50000",
        "cpu 100",
    )

    @property
    def challenges(self) -> ChallengeSettings:
        """How nodes are challenged, and who pays.

        Raises:
            ValueError: an amount is none, or a rate of "gpu" or "cpu" is missing.
        """
        rates = tuple(
            Rate(model, int(number))
            for model, _, number in (line.rpartition(" ") for line in self.challenge_rates)
        )
        if not {"gpu", "cpu"} <= {rate.model for rate in rates}:
            raise ValueError("trust.challenge_rates: one is for gpu and one for cpu")
        return ChallengeSettings(
            account_id=self.challenge_account,
            image=self.challenge_image,
            terms=ChallengeTerms(
                fill_permille=10 * self.challenge_fill_percent,
                visits=self.challenge_visits,
                allowance_ms=1000 * self.challenge_allowance_s,
                rates=rates,
            ),
            price_micro_usdc_per_hour=parse_usdc(self.challenge_price_usdc_per_hour),
            per_day=self.challenges_per_day,
            budget_micro_usdc_per_day=parse_usdc(self.challenge_usdc_per_day),
        )


class LogConfig(_Section, frozen=True):
    """What is logged; see `LogSettings`."""

    level: log_settings.Level = "info"
    format: log_settings.Format = "text"
    file: log_settings.File = ""
    file_mib: log_settings.FileMib = 10
    files: log_settings.Files = 5

    @property
    def settings(self) -> LogSettings:
        """As they are kept to."""
        return LogSettings(**msgspec.structs.asdict(self))


class MetricsConfig(_Section, frozen=True):
    """Numbers for Prometheus (docs/telemetry.md)."""

    listen: _ListenOrEmpty = ""

    @property
    def host(self) -> str:
        """The address, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port; 0 where it listens nowhere."""
        return int(self.listen.rpartition(":")[2] or 0)


class TracesConfig(_Section, frozen=True):
    """Where spans are sent; see `TraceSettings`."""

    endpoint: _UrlOrEmpty = ""

    @property
    def settings(self) -> TraceSettings:
        """As they are kept to."""
        return TraceSettings(self.endpoint)


class Config(_Section, frozen=True):
    """One coordinator."""

    chain: ChainConfig
    http: HttpConfig = HttpConfig()
    requests: RequestsConfig = RequestsConfig()
    p2p: P2pConfig = P2pConfig()
    peers: PeersConfig = PeersConfig()
    relay: RelayConfig = RelayConfig()
    discovery: DiscoveryConfig = DiscoveryConfig()
    timers: TimersConfig = TimersConfig()
    limits: LimitsConfig = LimitsConfig()
    database: DatabaseConfig = DatabaseConfig()
    artifacts: ArtifactsConfig = ArtifactsConfig()
    retention: RetentionConfig = RetentionConfig()
    fetch: FetchConfig = FetchConfig()
    webhooks: WebhooksConfig = WebhooksConfig()
    uploads: UploadsConfig = UploadsConfig()
    trust: TrustConfig = TrustConfig()
    operations: OperationsConfig = OperationsConfig()
    models: ModelsConfig = ModelsConfig()
    dialects: DialectsConfig = DialectsConfig()
    dashboard: DashboardConfig = DashboardConfig()
    log: LogConfig = LogConfig()
    traces: TracesConfig = TracesConfig()
    metrics: MetricsConfig = MetricsConfig()


def load_config(path: Path) -> Config:
    """Read and check a coordinator.toml.

    Raises:
        ConfigError: it cannot be read, or a key is unknown, missing or out of bounds.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist: run `neurogrid-coordinator init`") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return parse_config(text, str(path))


def load_database_config(path: Path) -> DatabaseConfig:
    """The section ``[database]`` of a coordinator.toml that may be unfit in other places; its defaults without one.

    Raises:
        ConfigError: as of `load_config`.
    """
    return _section(path, "database", DatabaseConfig)


def load_artifacts_config(path: Path) -> ArtifactsConfig:
    """The section ``[artifacts]``, likewise.

    Raises:
        ConfigError: as of `load_config`.
    """
    return _section(path, "artifacts", ArtifactsConfig)


def _section(path: Path, name: str, kind: type[_AnySection]) -> _AnySection:
    try:
        found = tomllib.loads(path.read_text("utf-8")).get(name, {})
        return msgspec.convert(found, kind)
    except FileNotFoundError:
        return kind()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_config(text: str, name: str) -> Config:
    """Check the text of a coordinator.toml; ``name`` stands in the errors.

    Raises:
        ConfigError: see `load_config`.
    """
    try:
        config = msgspec.convert(tomllib.loads(text), Config)
        if config.metrics.port > 65535:
            raise ConfigError(f"{name}: metrics.listen: a port is at most 65535")
        if config.http.port > 65535:
            raise ConfigError(f"{name}: http.listen: a port is at most 65535")
        # Reading the addresses as keys is their check; likewise the fees and endpoints.
        assert config.chain.deployment
        outbox_policy(config.chain)
        assert config.peers.lists is not None
        assert parse_usdc(config.trust.min_stake_usdc) >= 0
        assert config.trust.challenges is not None
        assert config.fetch.surroundings()
        assert config.http.proxies is not None
        assert config.requests.rules is not None
        assert config.webhooks.surroundings()
        assert config.operations.settings
        check_relays(config.p2p.relays)
        config.discovery.check()
        config.artifacts.check()
        config.models.check()
        for address in config.p2p.dial:
            if parse_address(address).peer_id is None:
                raise ConfigError(
                    f"{name}: p2p.dial: {address} does not end in /p2p/ and a peer id"
                )
        if not (config.p2p.listen or config.p2p.dial):
            raise ConfigError(f"{name}: p2p: with nothing in listen and dial no node is ever met")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from error
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"{name}: {error}") from error
    return config


def model_settings(models: ModelsConfig, directory: Path) -> ModelSettings:
    """The models that clients can ask for.

    Args:
        directory: where coordinator.toml is.

    Raises:
        ConfigError: the catalogue can't be read, or has a mistake; it says where.
    """
    try:
        return models.settings(directory)
    except InvalidValue as error:
        raise ConfigError(str(error)) from error


def template() -> str:
    """The commented file with all defaults."""
    return resources.files(__package__).joinpath(CONFIG_NAME).read_text("utf-8")


def filled(values: Mapping[str, str | int | Sequence[str]]) -> str:
    """The template with other values, comments and all.

    Args:
        values: by ``section.key``.

    Raises:
        ConfigError: the template has no such key.
    """
    lines = template().splitlines()
    section = ""
    left: dict[str, str | int | Sequence[str]] = dict(values)
    for number, line in enumerate(lines):
        header = re.fullmatch(r"\[(\w+)\]", line)
        if header:
            section = header[1]
        key = line.partition(" = ")[0]
        if f"{section}.{key}" in left:
            lines[number] = f"{key} = {_toml(left.pop(f'{section}.{key}'))}"
    if left:
        raise ConfigError(f"no such settings: {', '.join(sorted(left))}")
    return "\n".join(lines) + "\n"


def _toml(value: str | int | Sequence[str]) -> str:
    # JSON's strings are TOML's basic strings, as long as no character needs a surrogate pair.
    return msgspec.json.encode(value).decode()
