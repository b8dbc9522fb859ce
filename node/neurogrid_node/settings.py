"""The sections of node.toml, a frozen dataclass for each. configs/node.toml says the same to people."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from neurogrid_contracts.chain_payments import (
    FEE_CAP_LAMPORTS,
    TWO_ENDPOINTS_FROM_USDC,
    Cap,
    FeeKind,
    Percentile,
    Price,
)
from neurogrid_contracts.deployment import Deployment
from neurogrid_marketplace.addresses import IpAddress, IpNetwork, read_networks, read_pinned
from neurogrid_marketplace.condition_text import MAX_TEXT_CHARS
from neurogrid_marketplace.conditions import Clause
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.fields import PeerId, Permille, Word
from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.network import MAX_OWNER_RULES, NetworkTerms
from neurogrid_marketplace.offer import PriceList
from neurogrid_marketplace.serving import MAX_MODELS, ServingTerms
from neurogrid_marketplace.spot import RECLAIM_WINDOW_MAX_S, SpotTerms
from neurogrid_marketplace.units import MILLION, UnitPrices
from neurogrid_p2p.discovery.settings import POINTS_MAX
from neurogrid_p2p.peer_lists import MAX_LISTED, PeerLists

from .container.registry_rules import EVERY, LISTED_MAX, RegistryRules
from .egress.caps import Caps
from .market.model_terms import ModelTerms
from .market.terms import read_own

# A price in a bid has to stay exact in every language; nobody asks for a million dollars an hour.
_PRICE_MAX_MICRO_USDC = 10**12
_Usdc = Annotated[str, Meta(max_length=20)]
_Positive = Annotated[int, Meta(ge=1)]
# DNS-1123 label, as Kubernetes names what is in a namespace, and that itself.
_KubeName = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")]


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
            base_micro_usdc_per_hour=price("base", self.base),
            cpu_core_micro_usdc_per_hour=price("cpu_core", self.cpu_core),
            memory_gib_micro_usdc_per_hour=price("memory_gib", self.memory_gib),
            gpu_micro_usdc_per_hour=price("gpu", self.gpu),
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
class EngineConfig:
    """What runs the jobs (docs/fleet.md).

    Attributes:
        kind: "docker": this machine's engine; "swarm": the machines of the swarm that it manages;
            "kubernetes": those of a cluster.
        runtime: of this machine's: what jobs run in; of a cluster: its RuntimeClass. "" for the default.
        user_namespaces: of this machine's: "required": it starts only with an engine that remaps users. Of a
            cluster: each job has its own.
        shared: of a swarm: a folder that all its machines have at the same path; of a cluster: where this
            node has the volume of `claim`.
        trial_image: of a fleet: with python3; each machine runs it once before it is offered.
        kubeconfig, context: how a cluster is reached; "": as a pod of it is.
        namespace: of a cluster: where the jobs are.
        claim: of a cluster: the PersistentVolumeClaim whose volume its machines share.
    """

    kind: Literal["docker", "swarm", "kubernetes"] = "docker"
    runtime: Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._:/+-]{0,127})?\Z")] = ""
    user_namespaces: Literal["if_offered", "required"] = "if_offered"
    shared: Annotated[str, Meta(max_length=1024)] = ""
    trial_image: Annotated[str, Meta(min_length=1, max_length=512)] = "neurogrid/python:3.11"
    kubeconfig: Annotated[str, Meta(max_length=1024)] = ""
    context: Annotated[str, Meta(max_length=253)] = ""
    namespace: _KubeName = "neurogrid"
    claim: _KubeName = "neurogrid"

    @property
    def is_fleet(self) -> bool:
        """Whether it has machines of its own."""
        return self.kind != "docker"

    def shared_folder(self) -> Path:
        """Of a fleet.

        Raises:
            InvalidValue: none is named, or something is asked for that its kind does not have.
        """
        if self.kind == "kubernetes":
            return self._cluster_folder()
        if self.runtime:
            raise InvalidValue(
                "[engine] runtime: a swarm's machines run jobs in their engines' default"
            )
        if self.user_namespaces == "required":
            raise InvalidValue(
                "[engine] user_namespaces: whether a swarm's machines remap users is not known"
            )
        if not Path(self.shared).is_absolute():
            raise InvalidValue(
                "[engine] shared: a swarm needs a folder that all its machines have at the same path "
                "(docs/fleet.md)"
            )
        return Path(self.shared)

    def _cluster_folder(self) -> Path:
        if self.context and not self.kubeconfig:
            raise InvalidValue("[engine] context: name the kubeconfig that it is in")
        if self.kubeconfig and not Path(self.kubeconfig).is_absolute():
            raise InvalidValue("[engine] kubeconfig: write the whole path, as the daemon sees it")
        if not Path(self.shared).is_absolute():
            raise InvalidValue(
                "[engine] shared: a cluster needs a volume that all its machines can mount; name the folder "
                "where this node has it (docs/fleet.md)"
            )
        return Path(self.shared)


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """Which images run here.

    Attributes:
        pull: whether images that are not here are fetched.
        registries: hosts that they are fetched from (`RegistryRules`).
        allow: prefixes of image references that may run; empty allows all.
        stall_timeout_s: longest silence of a pull.
        cache_gib: how much of what was fetched and nobody uses is kept; 0: 30 % of the disk it is on.
    """

    pull: bool = True
    registries: Annotated[tuple[str, ...], Meta(max_length=LISTED_MAX)] = (EVERY,)
    allow: tuple[str, ...] = ()
    stall_timeout_s: _Positive = 60
    cache_gib: Annotated[int, Meta(ge=0, le=1_000_000)] = 0

    def rules(self) -> RegistryRules:
        """Which registries that is.

        Raises:
            InvalidValue: one is written wrong.
        """
        try:
            return RegistryRules.read(self.registries)
        except InvalidValue as error:
            raise InvalidValue(f"[images] registries: {error}") from error


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
class ModelPriceConfig:
    """What the use of one model costs, decimal USDC.

    Attributes:
        input, cached_input, output: for a million tokens; cached ones: read that the server still knew.
        image, audio_second, request: for each.
    """

    input: _Usdc = "0.00"
    cached_input: _Usdc = "0.00"
    output: _Usdc = "0.00"
    image: _Usdc = "0.00"
    audio_second: _Usdc = "0.00"
    request: _Usdc = "0.00"

    def prices(self, model: str) -> UnitPrices:
        """As micro-USDC for a million units.

        Raises:
            InvalidValue: one is no amount, or absurd.
        """

        def read(key: str, text: str) -> int:
            return amount(f"[models.prices.{model!r}] {key}", text)

        return UnitPrices(
            input_tokens=read("input", self.input),
            cached_input_tokens=read("cached_input", self.cached_input),
            output_tokens=read("output", self.output),
            images=read("image", self.image) * MILLION,
            # A million milliseconds are a thousand seconds.
            audio_ms=read("audio_second", self.audio_second) * 1000,
            requests=read("request", self.request) * MILLION,
        )


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """Models that stay here and are paid by what is asked of them (docs/provider-operations.md).

    Attributes:
        serve: whether we take any.
        allow: ids of those that we take; empty: any that a coordinator asks for.
        retainer: USDC an hour for keeping one, used or not, whatever its size; not nothing, as each lease has an escrow.
        share_permille: how much of the most that a coordinator offers for units we ask, in thousandths.
        max_unpaid_usdc: what one client's use may come to beyond what it has signed for.
        ahead_usdc: what the use by one coordinator's clients may come to before their escrows are seen, at a time, and in a day
            where none comes.
        requests: that one replica answers at a time.
        weights_gib: how much of models' weights that no replica has is kept, those unused longest go first; 0: 30 % of the disk.
        prices: by model id, what its use costs, in place of that share.
    """

    serve: bool = False
    allow: Annotated[tuple[Word, ...], Meta(max_length=MAX_MODELS)] = ()
    retainer: _Usdc = "0.001"
    share_permille: Permille = 1000
    max_unpaid_usdc: _Usdc = "0.05"
    ahead_usdc: _Usdc = "0.05"
    requests: Annotated[int, Meta(ge=1, le=256)] = 16
    weights_gib: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    prices: Annotated[dict[Word, ModelPriceConfig], Meta(max_length=MAX_MODELS)] = field(
        default_factory=dict
    )

    def terms(self) -> ModelTerms | None:
        """As they are bid.

        Raises:
            InvalidValue: an amount is none, or absurd.
        """
        retainer = amount("[models] retainer", self.retainer)
        if retainer > _PRICE_MAX_MICRO_USDC:
            raise InvalidValue(
                f"[models] retainer: {self.retainer} USDC per hour; at most a million"
            )
        if not retainer:
            raise InvalidValue(
                "[models] retainer: at least 0.000001 USDC per hour: no escrow is opened over nothing"
            )
        prices = {model: config.prices(model) for model, config in self.prices.items()}
        terms = ModelTerms(
            offered=ServingTerms(retainer, self.allow),
            prices=prices,
            share_permille=self.share_permille,
            max_unpaid_micro_usdc=amount("[models] max_unpaid_usdc", self.max_unpaid_usdc),
            ahead_micro_usdc=amount("[models] ahead_usdc", self.ahead_usdc),
            requests=self.requests,
        )
        return terms if self.serve else None


@dataclass(frozen=True, slots=True)
class ServicesConfig:
    """Connections that clients have to their jobs' ports (docs/services.md).

    Attributes:
        allow: whether they may.
        connections: to one job at a time.
        idle_s: one through which nothing has gone either way for so long is closed.
    """

    allow: bool = True
    connections: Annotated[int, Meta(ge=1, le=64)] = 64
    idle_s: Annotated[int, Meta(ge=1, le=24 * 3600)] = 3600


@dataclass(frozen=True, slots=True)
class ExecConfig:
    """Commands that clients run beside their jobs (docs/exec.md).

    Attributes:
        allow: whether they may.
        idle_s: one through which nothing has gone either way for so long is ended.
    """

    allow: bool = True
    idle_s: Annotated[int, Meta(ge=1, le=24 * 3600)] = 3600


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
class EgressConfig:
    """What jobs reach of the internet (docs/egress.md).

    Attributes:
        serve: whether any job does.
        allow: hosts that jobs may reach; empty: any, at ports 443 and 80.
        deny: hosts that count before these.
        deny_networks: addresses that are not dialled, beside those that never are.
        private: hosts with the addresses at which they are dialled wherever that is. Dangerous.
        gib_per_job: what one job may move, both ways together.
        mbit_per_s: of one job, both ways together.
        connections: of one job at a time; connections_per_s: that it may begin.
        idle_s: a connection on which nothing moves for so long is closed.
    """

    serve: bool = False
    allow: Annotated[tuple[str, ...], Meta(max_length=MAX_OWNER_RULES)] = ()
    deny: Annotated[tuple[str, ...], Meta(max_length=MAX_OWNER_RULES)] = ()
    deny_networks: Annotated[tuple[str, ...], Meta(max_length=MAX_OWNER_RULES)] = ()
    private: Annotated[tuple[str, ...], Meta(max_length=32)] = ()
    gib_per_job: Annotated[int, Meta(ge=1, le=1_000_000)] = 50
    mbit_per_s: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    connections: Annotated[int, Meta(ge=1, le=1024)] = 64
    connections_per_s: Annotated[int, Meta(ge=1, le=1000)] = 20
    idle_s: Annotated[int, Meta(ge=10, le=86_400)] = 300

    def terms(self) -> NetworkTerms:
        """As they are offered.

        Raises:
            InvalidValue: a host is written wrong.
        """
        try:
            return NetworkTerms(self.allow, self.deny, self.gib_per_job << 30, self.mbit_per_s)
        except InvalidValue as error:
            raise InvalidValue(f"[egress] {error}") from error

    def caps(self) -> Caps:
        """As they are kept to."""
        return Caps(
            job_bytes=self.gib_per_job << 30,
            bytes_per_s=self.mbit_per_s * 125_000,
            connections=self.connections,
            connections_per_s=self.connections_per_s,
            idle_s=self.idle_s,
        )

    def denied(self) -> tuple[IpNetwork, ...]:
        """Networks that are not dialled.

        Raises:
            InvalidValue: one is none.
        """
        try:
            return read_networks(self.deny_networks)
        except InvalidValue as error:
            raise InvalidValue(f"[egress] deny_networks: {error}") from error

    def pinned(self) -> dict[tuple[str, int], IpAddress]:
        """Hosts that are dialled at the owner's word.

        Raises:
            InvalidValue: one is written wrong.
        """
        try:
            return read_pinned(self.private)
        except InvalidValue as error:
            raise InvalidValue(f"[egress] private: {error}") from error


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
class MetricsConfig:
    """Numbers for Prometheus (docs/telemetry.md).

    Attributes:
        listen: address and port; "": nowhere.
    """

    listen: Annotated[
        str, Meta(pattern=r"^((\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[1-9][0-9]{0,4})?\Z")
    ] = ""

    @property
    def host(self) -> str:
        """The address, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port; 0 where it listens nowhere."""
        return int(self.listen.rpartition(":")[2] or 0)


def price(key: str, text: str) -> int:
    """An asking price of the file as micro-USDC per hour.

    Raises:
        InvalidValue: it is none, or absurd; the message names the key.
    """
    asked = amount(f"[prices] {key}", text)
    if asked > _PRICE_MAX_MICRO_USDC:
        raise InvalidValue(f"[prices] {key}: {text} USDC per hour; at most a million")
    return asked


def amount(key: str, text: str) -> int:
    """An amount of the file as micro-USDC.

    Raises:
        InvalidValue: it is none; the message names the key.
    """
    try:
        return parse_usdc(text)
    except InvalidValue as error:
        raise InvalidValue(f"{key}: {error}") from error
