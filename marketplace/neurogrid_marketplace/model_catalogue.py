"""The models that clients ask for by name: which there are, what each needs, and what it takes.

An operator writes them into a TOML file (`configs/models.toml` is the default one, with each field's meaning). A
model is a container image with a program for one request, which reads `REQUEST_FILE` below /inputs and leaves
`RESULT_FILE` below /outputs, or with a server that stays (`model_server`), or both; docs/models.md has both contracts.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from .catalogue_mistakes import said
from .errors import InvalidValue
from .fields import Argument, ImageRef
from .model_server import ModelServer, Route
from .money import MS_PER_HOUR, parse_usdc
from .resources import ComputeCapability
from .unit_price import CataloguePrices, ModelUnit, by_unit

REQUEST_FILE = "request.json"
RESULT_FILE = "result.json"
# A text of so many characters takes hours to write; a result that is longer is none of ours.
RESULT_BYTES_MAX = 1024 * 1024
# As many as anybody would read in one list.
MODELS_MAX = 500
_GB = 10**9
_MS_PER_S = 1000

# What a model is called. Slashes, as others write them: "meta-llama/Llama-2-7b".
ModelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}\Z")]
_Sentence = Annotated[str, Meta(max_length=1000)]
_Usdc = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?\Z")]


class ModelType(StrEnum):
    """Document 002's words, and one more."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    EMBEDDING = "embedding"


class ModelParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What its makers say of a model.

    Attributes:
        size: how many numbers it has, as people write it: "7B".
        context_length: tokens that it sees at once; None where it has none.
        languages: two-letter codes.
    """

    size: Annotated[str, Meta(max_length=32)] = ""
    context_length: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    languages: Annotated[tuple[Annotated[str, Meta(max_length=16)], ...], Meta(max_length=200)] = ()


class ModelNeeds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a container of the model takes of a node, for one request or as a replica; sizes in 10^9 bytes.

    Attributes:
        vram_gb: memory of one GPU; 0: it computes on processors.
        compute_capability: the least of that GPU, as "8.0"; "0.0": any.
    """

    memory_gb: Annotated[float, Meta(gt=0, le=100_000)]
    disk_gb: Annotated[float, Meta(gt=0, le=100_000)] = 0.1
    cpu_cores: Annotated[float, Meta(ge=0.01, le=1000)] = 1
    vram_gb: Annotated[float, Meta(ge=0, le=10_000)] = 0
    compute_capability: ComputeCapability = "0.0"

    def __post_init__(self) -> None:
        if self.compute_capability != "0.0" and not self.vram_gb:
            raise ValueError("compute_capability is of a GPU: say vram_gb, too")

    @property
    def memory_bytes(self) -> int:
        """Memory of the container."""
        return round(self.memory_gb * _GB)

    @property
    def disk_bytes(self) -> int:
        """What it writes in all."""
        return round(self.disk_gb * _GB)

    @property
    def cpu_millis(self) -> int:
        """Thousandths of a core."""
        return round(self.cpu_cores * 1000)

    @property
    def vram_bytes(self) -> int:
        """Memory of its GPU."""
        return round(self.vram_gb * _GB)


class ModelTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a task costs, which is one request. Nodes are paid by the time; the unit says what that comes to.

    Attributes:
        max_usdc_per_hour: the most that is paid for a node where the client names no price.
        unit: what clients count: "token", "image", "second" (of audio) or "request".
        units_per_second: how many of them it makes in a second where it was measured.
    """

    max_usdc_per_hour: _Usdc
    unit: Literal["token", "image", "second", "request"] = "request"
    units_per_second: Annotated[float, Meta(gt=0, le=10**9)] = 1

    @property
    def max_micro_usdc_per_hour(self) -> int:
        """The same in micro-USDC."""
        return parse_usdc(self.max_usdc_per_hour)

    @property
    def usdc_per_unit(self) -> float:
        """What a unit comes to at the highest price: a number to compare by, not what is charged."""
        a_second = self.max_micro_usdc_per_hour * _MS_PER_S / MS_PER_HOUR / 10**6
        return a_second / self.units_per_second


# Which routes and which prices a model of a type can have.
_ROUTES: Mapping[ModelType, frozenset[Route]] = {
    ModelType.TEXT: frozenset({Route.CHAT, Route.COMPLETIONS, Route.EMBEDDINGS}),
    ModelType.IMAGE: frozenset({Route.IMAGES}),
    ModelType.AUDIO: frozenset({Route.TRANSCRIPTIONS, Route.TRANSLATIONS, Route.SPEECH}),
    ModelType.EMBEDDING: frozenset({Route.EMBEDDINGS}),
}
_READ = {ModelUnit.INPUT_TOKEN, ModelUnit.CACHED_INPUT_TOKEN, ModelUnit.REQUEST}
_UNITS: Mapping[ModelType, frozenset[ModelUnit]] = {
    ModelType.TEXT: frozenset({*_READ, ModelUnit.OUTPUT_TOKEN}),
    ModelType.IMAGE: frozenset({ModelUnit.IMAGE, ModelUnit.REQUEST}),
    ModelType.AUDIO: frozenset({ModelUnit.AUDIO_SECOND, ModelUnit.REQUEST}),
    ModelType.EMBEDDING: frozenset(_READ),
}
_NO_TERMS = ModelTerms("0")


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the catalogue.

    Attributes:
        aliases: other names under which clients may ask for it.
        licence: of the model, as its makers name it.
        image, command: what computes it; without a command the image's own.
        timeout_s: how long one request may take where the client does not say.
        concurrency: how many requests of one account may be at work with it at once; 0: as many as may be.
        tasks: its image has the program for one request, which a task runs.
        price: what such a task costs; without tasks there is none.
        server: how it is served by a container that stays; None: it is not.
        unit_price: the most that nodes may ask for what such a server does.
    """

    id: ModelName
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    type: ModelType
    category: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,63}\Z")]
    image: ImageRef
    needs: ModelNeeds
    price: ModelTerms = _NO_TERMS
    description: _Sentence = ""
    licence: Annotated[str, Meta(max_length=200)] = ""
    aliases: Annotated[tuple[ModelName, ...], Meta(max_length=50)] = ()
    parameters: ModelParameters = ModelParameters()
    command: Annotated[tuple[Argument, ...], Meta(max_length=64)] = ()
    timeout_s: Annotated[int, Meta(ge=1, le=24 * 3600)] = 120
    concurrency: Annotated[int, Meta(ge=0, le=10_000)] = 0
    tasks: bool = True
    server: ModelServer | None = None
    unit_price: CataloguePrices = CataloguePrices()

    def __post_init__(self) -> None:
        if self.tasks and self.price is _NO_TERMS:
            raise ValueError("price is missing: what a task with it costs; or say tasks = false")
        if not self.tasks and self.server is None:
            raise ValueError("server is missing: with tasks = false nothing else answers")
        if self.server is not None:
            self._check_server(self.server)

    @property
    def name_at_server(self) -> str:
        """What its server calls it."""
        return (self.server.name if self.server is not None else "") or self.id

    def _check_server(self, server: ModelServer) -> None:
        kind = self.type.value
        for route in server.routes:
            if route not in _ROUTES[self.type]:
                allowed = ", ".join(sorted(_ROUTES[self.type]))
                raise ValueError(
                    f"server.routes: a model of type {kind} serves {allowed}, not {route}"
                )
        prices = by_unit(self.unit_price.exact())
        if not prices:
            raise ValueError("unit_price is missing: what nodes may ask for what the server does")
        for unit in prices:
            if unit not in _UNITS[self.type]:
                raise ValueError(
                    f"unit_price: a model of type {kind} has no {unit.value} to pay for"
                )


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All models of a coordinator, in the file's order.

    Raises:
        InvalidValue: two have the same name, or alias.
    """

    models: tuple[Model, ...] = ()
    _by_name: dict[str, Model] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for number, model in enumerate(self.models):
            for name in (model.id, *model.aliases):
                if name in self._by_name:
                    raise InvalidValue(
                        f"model[{number}]: {model.id}: {name} is also a name of {self._by_name[name].id}"
                    )
                self._by_name[name] = model

    @property
    def ids(self) -> tuple[str, ...]:
        """Of all models."""
        return tuple(model.id for model in self.models)

    def find(self, name: str) -> Model | None:
        """The model with this id or alias; None: there is none."""
        return self._by_name.get(name)

    def weights(self) -> frozenset[str]:
        """The files that are weights of a model, by their SHA-256."""
        return frozenset(
            file.sha256
            for model in self.models
            if model.server is not None and model.server.weights is not None
            for file in model.server.weights.files
        )

    def listed(self, model_type: str | None = None, category: str | None = None) -> list[Model]:
        """Those of a type and a category (None: of any)."""
        return [
            model
            for model in self.models
            if model_type in (None, model.type.value) and category in (None, model.category)
        ]


EMPTY = Catalogue()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The file: nothing but models."""

    model: list[Any] = []


def parse_catalogue(text: str, name: str) -> Catalogue:
    """Read the text of a catalogue.

    Args:
        name: of the file, for errors.

    Raises:
        InvalidValue: it says file, entry and field.
    """
    try:
        entries = msgspec.convert(tomllib.loads(text), _File).model
    except tomllib.TOMLDecodeError as error:
        raise InvalidValue(f"{name}: not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise InvalidValue(f"{name}: {error}") from error
    if len(entries) > MODELS_MAX:
        raise InvalidValue(f"{name}: {len(entries)} models; at most {MODELS_MAX}")
    try:
        return Catalogue(tuple(_models(entries)))
    except InvalidValue as error:
        raise InvalidValue(f"{name}: {error}") from error


def _models(entries: Iterable[Any]) -> Iterable[Model]:
    for number, entry in enumerate(entries):
        called = f"model[{number}]"
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            called = f"{called} ({entry['id'][:64]})"
        try:
            yield msgspec.convert(entry, Model)
        except msgspec.ValidationError as error:
            raise InvalidValue(f"{called}: {said(error, Model)}") from error
