"""Everything that a condition may name: what it is, in which unit, and where it is read from.

Two tables, for two sides. A client's conditions are about nodes (`NODE`), a node's conditions are
about the tasks it is offered and who offers them (`TASK`). Adding a row to a table adds it to the
language, its help, its checks and `explain`.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from .attribute_values import (
    BYTES,
    CORES,
    COUNT,
    DURATION,
    FLAG,
    FRACTION,
    TEXT,
    USDC,
    VERSION,
    WORD,
    WORDS,
    Kind,
    Value,
)
from .conditions import Operator
from .demand import Demand
from .errors import InvalidValue
from .money import cost_micro_usdc
from .offer import Offer
from .resources import Gpu, Requirements
from .standing import UNKNOWN, Standing

F = TypeVar("F")

# Names of a misspelt attribute's neighbours that an error lists.
_NEAREST = 3
# As long as the longest name can be; more of a hostile text is not compared.
_NAME_CHARS_MAX = 131


class Subject(StrEnum):
    """What an attribute is an attribute of, and so who can judge it."""

    NODE = "node"
    """Of the machine: its own offer says it."""
    GPU = "gpu"
    """Of each GPU: the job gets only GPUs that meet every clause about one."""
    STANDING = "standing"
    """What the coordinator knows of the node; the node itself cannot judge it."""
    PRICE = "price"
    """What the node asks for this very task."""
    CLIENT = "client"
    """Who offers a task."""
    TASK = "task"
    """The task."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node as one demand sees it; ``gpu``: the one that is looked at."""

    offer: Offer
    demand: Demand
    standing: Standing = UNKNOWN
    gpu: Gpu | None = None

    def of_gpu(self, gpu: Gpu) -> "NodeFacts":
        """The same with this GPU looked at; `dataclasses.replace` would take five times as long."""
        return NodeFacts(self.offer, self.demand, self.standing, gpu)

    @property
    def need(self) -> Requirements:
        """What the task needs."""
        return self.demand.requirements

    @property
    def quote(self) -> int:
        """What the node asks for it, micro-USDC per hour."""
        if self.demand.use is not None:
            return 0
        if self.demand.serves is not None and self.offer.serving is not None:
            return self.offer.serving.retainer_micro_usdc_per_hour
        return self.offer.quote(self.need, preemptible=self.demand.preemptible)


@dataclass(frozen=True, slots=True)
class Attribute(Generic[F]):
    """One thing that a condition may name.

    Attributes:
        meaning: for people; a phrase.
        read: its value; None where it is not known, which meets no condition at all.
        shown: a value of its own to show as an example; empty where its kind's does.
    """

    name: str
    subject: Subject
    kind: Kind
    meaning: str
    read: Callable[[F], Value | None]
    shown: str = ""

    @property
    def example(self) -> str:
        """A value as it is written."""
        return self.shown or self.kind.example


class Vocabulary(Generic[F]):
    """The attributes of one side, by name."""

    def __init__(self, *attributes: Attribute[F]) -> None:
        self._by_name = {attribute.name: attribute for attribute in attributes}
        assert len(self._by_name) == len(attributes), "each name once"

    def __iter__(self) -> Iterator[Attribute[F]]:
        return iter(self._by_name.values())

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Attribute[F]:
        """The attribute of this name.

        Raises:
            UnknownAttribute: there is none; it names the nearest.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownAttribute(name, self.nearest(name)) from None

    def nearest(self, name: str) -> tuple[str, ...]:
        """The names most like this one, best first; those that it begins or ends come first."""
        wanted = name[:_NAME_CHARS_MAX].lower()
        parts = [
            known
            for known in self._by_name
            if wanted and (known.split(".")[0] == wanted or known.split(".")[-1] == wanted)
        ]
        similar = difflib.get_close_matches(wanted, self._by_name, n=_NEAREST, cutoff=0.5)
        return tuple(dict.fromkeys((*parts, *similar)))[:_NEAREST]

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of the table."""
        return tuple(self._by_name)


class UnknownAttribute(InvalidValue):
    """No attribute has this name.

    Attributes:
        nearest: names that may have been meant.
    """

    def __init__(self, name: str, nearest: Iterable[str]) -> None:
        self.nearest = tuple(nearest)
        meant = f"; did you mean {' or '.join(self.nearest)}?" if self.nearest else ""
        super().__init__(f"there is no attribute {name[:_NAME_CHARS_MAX]!r}{meant}")


def _of_gpu(read: Callable[[Gpu], Value]) -> Callable[[NodeFacts], Value | None]:
    return lambda facts: None if facts.gpu is None else read(facts.gpu)


def _asked(attribute: str) -> Callable[[Demand], tuple[str, ...]]:
    """What the client's conditions insist on that this has, not where they leave a choice."""

    def read(demand: Demand) -> tuple[str, ...]:
        alone = [clause.alternatives[0] for clause in demand.where if len(clause.alternatives) == 1]
        asked = (
            each for each in alone if each.attribute == attribute and each.operator is Operator.HAS
        )
        return tuple(sorted({str(value) for each in asked for value in each.values}))

    return read


_PEER = "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq"
_WALLET = "7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV"

NODE: Vocabulary[NodeFacts] = Vocabulary(
    Attribute("gpu.model", Subject.GPU, TEXT, "as its maker names it", _of_gpu(lambda g: g.model)),
    Attribute("gpu.vendor", Subject.GPU, WORD, "who makes it", _of_gpu(lambda g: g.vendor), "amd"),
    Attribute(
        "gpu.memory", Subject.GPU, BYTES, "memory of each GPU", _of_gpu(lambda g: g.memory_bytes)
    ),
    Attribute(
        "gpu.compute_capability",
        Subject.GPU,
        VERSION,
        "as NVIDIA counts it; 0.0 where there is no such thing",
        _of_gpu(lambda g: g.compute_capability),
    ),
    Attribute(
        "gpu.driver",
        Subject.NODE,
        VERSION,
        "version of the GPUs' driver",
        lambda f: f.offer.gpu_driver or None,
        "550.54",
    ),
    Attribute(
        "gpu.count",
        Subject.NODE,
        COUNT,
        "GPUs the machine offers in all; how many the job gets is another matter",
        lambda f: len(f.offer.total.gpus),
    ),
    Attribute(
        "cpu.cores",
        Subject.NODE,
        CORES,
        "cores the machine offers in all",
        lambda f: f.offer.total.cpu_millis,
    ),
    Attribute(
        "ram",
        Subject.NODE,
        BYTES,
        "memory the machine offers in all",
        lambda f: f.offer.total.memory_bytes,
    ),
    Attribute(
        "disk",
        Subject.NODE,
        BYTES,
        "disk the machine offers in all",
        lambda f: f.offer.total.disk_bytes,
    ),
    Attribute("region", Subject.NODE, WORD, "where it stands", lambda f: f.offer.region),
    Attribute(
        "image.present",
        Subject.NODE,
        WORDS,
        "images that it need not fetch, as it names them",
        lambda f: f.offer.images,
        "python:3.12-slim",
    ),
    Attribute(
        "model.present",
        Subject.NODE,
        WORDS,
        "models that it has loaded or need not fetch",
        lambda f: f.offer.models,
        "llama-3-8b",
    ),
    Attribute(
        "runtime",
        Subject.NODE,
        WORDS,
        "container runtimes that jobs run in there: runc, runsc, kata",
        lambda f: f.offer.runtimes,
    ),
    Attribute(
        "enforcement",
        Subject.NODE,
        WORD,
        "hard where the disk limit is a file system's own, else watched",
        lambda f: f.offer.enforcement,
        "hard",
    ),
    Attribute(
        "privacy",
        Subject.NODE,
        WORDS,
        "what it does to keep a job's data to itself, such as sealed_inputs",
        lambda f: f.offer.privacy,
        "sealed_inputs",
    ),
    Attribute(
        "access",
        Subject.NODE,
        WORDS,
        "ways into a running job that it allows, such as exec",
        lambda f: f.offer.access,
        "exec",
    ),
    Attribute(
        "network",
        Subject.NODE,
        FLAG,
        "whether its owner lets jobs reach hosts that their tasks list",
        lambda f: "no" if f.offer.network is None else "yes",
    ),
    Attribute(
        "network.volume",
        Subject.NODE,
        BYTES,
        "what one job may move over that, both ways together",
        lambda f: f.offer.network.job_bytes if f.offer.network else None,
        "10GB",
    ),
    Attribute(
        "network.mbit",
        Subject.NODE,
        COUNT,
        "how fast, in Mbit a second",
        lambda f: f.offer.network.mbit_per_s if f.offer.network else None,
        "100",
    ),
    Attribute(
        "reclaim.window",
        Subject.NODE,
        DURATION,
        "how long it warns a preemptible job before it stops it; unknown if it never does",
        lambda f: f.offer.spot.reclaim_window_s if f.offer.spot else None,
        "2m",
    ),
    Attribute("node.id", Subject.NODE, WORD, "its peer id", lambda f: f.offer.node_id, _PEER),
    Attribute(
        "node.wallet",
        Subject.NODE,
        WORD,
        "who owns and is paid for it",
        lambda f: f.offer.wallet,
        _WALLET,
    ),
    Attribute(
        "score",
        Subject.STANDING,
        FRACTION,
        "its reputation, 0 to 1; 0.5 while nothing is known",
        lambda f: f.standing.score_permille,
    ),
    Attribute(
        "stake",
        Subject.STANDING,
        USDC,
        "what its owner has at risk",
        lambda f: f.standing.stake_micro_usdc,
    ),
    Attribute(
        "node.challenged",
        Subject.STANDING,
        FLAG,
        "whether it showed in its last challenge, at most 30 days ago, that it has what it offers",
        lambda f: "yes" if f.standing.challenged else "no",
    ),
    Attribute(
        "price.hour", Subject.PRICE, USDC, "its ask for this task, per hour", lambda f: f.quote
    ),
    Attribute(
        "price.total",
        Subject.PRICE,
        USDC,
        "its ask for the task's whole time limit",
        lambda f: cost_micro_usdc(f.quote, f.demand.timeout_s * 1000),
    ),
)

TASK: Vocabulary[Demand] = Vocabulary(
    Attribute(
        "client.wallet",
        Subject.CLIENT,
        WORD,
        "who pays; unknown unless the client reveals it",
        lambda d: d.client,
        _WALLET,
    ),
    Attribute(
        "client.revealed",
        Subject.CLIENT,
        FLAG,
        "whether the client lets nodes know who pays",
        lambda d: "no" if d.client is None else "yes",
    ),
    Attribute("task.timeout", Subject.TASK, DURATION, "its time limit", lambda d: d.timeout_s),
    Attribute(
        "task.price.hour",
        Subject.TASK,
        USDC,
        "the most it pays per hour",
        lambda d: d.max_price_micro_usdc_per_hour,
    ),
    Attribute(
        "task.price.total",
        Subject.TASK,
        USDC,
        "the most it pays for its whole time limit",
        lambda d: d.max_cost_micro_usdc(),
    ),
    Attribute(
        "task.image",
        Subject.TASK,
        TEXT,
        "its container image",
        lambda d: d.image,
        "images.example.com/me/",
    ),
    Attribute(
        "task.cpu.cores", Subject.TASK, CORES, "cores it gets", lambda d: d.requirements.cpu_millis
    ),
    Attribute(
        "task.ram", Subject.TASK, BYTES, "memory it gets", lambda d: d.requirements.memory_bytes
    ),
    Attribute(
        "task.disk", Subject.TASK, BYTES, "disk it gets", lambda d: d.requirements.disk_bytes
    ),
    Attribute(
        "task.gpu.count", Subject.TASK, COUNT, "GPUs it gets", lambda d: d.requirements.gpu_count
    ),
    Attribute(
        "task.input", Subject.TASK, BYTES, "size of its input files", lambda d: d.input_bytes
    ),
    Attribute(
        "task.verify",
        Subject.TASK,
        WORD,
        "how its result is verified before it is paid",
        lambda d: d.verify.value,
        "none",
    ),
    Attribute(
        "task.comparator",
        Subject.TASK,
        WORD,
        "by what its result is compared with others'",
        lambda d: d.comparator.kind.value if d.comparator else "exact",
        "exact",
    ),
    Attribute(
        "task.sealed_bids",
        Subject.TASK,
        FLAG,
        "whether bids are shown only when all are in",
        lambda d: "yes" if d.sealed_bids else "no",
    ),
    Attribute(
        "task.preemptible",
        Subject.TASK,
        FLAG,
        "whether its node may take the machine back after a warning",
        lambda d: "yes" if d.preemptible else "no",
    ),
    Attribute(
        "task.network",
        Subject.TASK,
        FLAG,
        "whether its job wants to reach hosts",
        lambda d: "no" if d.network is None else "yes",
    ),
    Attribute(
        "task.privacy",
        Subject.TASK,
        WORDS,
        "what it asks nodes to do to keep its data to itself, such as sealed_inputs",
        _asked("privacy"),
        "sealed_inputs",
    ),
    Attribute(
        "task.access",
        Subject.TASK,
        WORDS,
        "ways into it that its client wants while it runs, such as exec",
        _asked("access"),
        "exec",
    ),
)
