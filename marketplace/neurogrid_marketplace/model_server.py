"""How a model is served: a container that stays, and speaks OpenAI's own HTTP at one port. Pure.

It is the ``[model.server]`` of an entry of the catalogue (`model_catalogue`); docs/models.md has the contract that
such a server keeps.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from .fields import Argument, Bytes, EnvName, FilePath, Sha256
from .money import parse_usdc
from .replica_scaling import REPLICAS_MAX
from .service import Service, ServicePort, StartS

_GB = 10**9
# Where a job finds its inputs.
INPUTS: Final = "/inputs"
# The largest open models come in fewer; a job has 256 inputs.
WEIGHTS_FILES_MAX: Final = 250
# A name as another program has it: a path, or a repository with a revision.
_ServerName = Annotated[str, Meta(pattern=r"^[!-~]{0,200}\Z")]
_Usdc = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?\Z")]
_InputsPath = Annotated[str, Meta(pattern=r"^/inputs(/[A-Za-z0-9._-]{1,100}){0,4}\Z")]
_Health = Annotated[str, Meta(pattern=r"^/[!-~]{0,255}\Z")]


class Route(StrEnum):
    """What a server may be asked; the paths are OpenAI's."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"
    EMBEDDINGS = "/v1/embeddings"
    IMAGES = "/v1/images/generations"
    TRANSCRIPTIONS = "/v1/audio/transcriptions"
    TRANSLATIONS = "/v1/audio/translations"
    SPEECH = "/v1/audio/speech"


# What a server does with a request beside the plain ones: fields that it may be passed (docs/models.md says which).
Feature = Literal[
    "audio_prompt",
    "audio_temperature",
    "background",
    "chunking",
    "diarization",
    "dimensions",
    "echo",
    "guidance_scale",
    "json",
    "json_schema",
    "languages",
    "logit_bias",
    "logprobs",
    "min_p",
    "n",
    "negative_prompt",
    "output_format",
    "partial_images",
    "penalties",
    "quality",
    "reasoning",
    "repetition_penalty",
    "reproducible",
    "seed",
    "steps",
    "stream",
    "style",
    "tokenize",
    "tools",
    "top_k",
    "usage_in_stream",
    "vision",
    "words",
]
FEATURES: Final[frozenset[str]] = frozenset(get_args(Feature))


class WeightsInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of weights; ``path``: where it is below `ModelWeights.cache_path`."""

    path: FilePath
    sha256: Sha256
    size_bytes: Bytes


class ModelWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weights that are not in the image: inputs of a replica's job, which a node fetches once from the coordinator, and keeps.

    Attributes:
        source: where they are from, as their hub names it: "hf:meta-llama/Llama-3.1-8B-Instruct@main". For people: nobody
            fetches from there by itself.
        cache_path: the folder below /inputs in which the server finds them, read-only.
        size_gb: on the disk, 10^9 bytes.
        needs_token: their makers give them to those alone who have accepted their terms.
        files: all of them, by hash: artifacts of the account that pays for replicas. None yet: there are no replicas.
    """

    source: Annotated[str, Meta(min_length=1, max_length=500)]
    size_gb: Annotated[float, Meta(gt=0, le=10_000)]
    cache_path: _InputsPath = INPUTS
    needs_token: bool = False
    files: Annotated[tuple[WeightsInput, ...], Meta(max_length=WEIGHTS_FILES_MAX)] = ()

    def __post_init__(self) -> None:
        # Two at one place, or one that leads out of it, are refused as inputs of a job are.
        if len({each.path for each in self.files}) != len(self.files):
            raise ValueError("files: two have the same path")
        for each in self.files:
            try:
                msgspec.convert(self.input_path(each), FilePath)
            except msgspec.ValidationError as error:
                raise ValueError(f"files: {each.path} below {self.cache_path}: {error}") from error

    @property
    def size_bytes(self) -> int:
        """The same in bytes."""
        return round(self.size_gb * _GB)

    def input_path(self, file: WeightsInput) -> str:
        """Where it is among the inputs of a replica's job."""
        folder = self.cache_path.removeprefix(INPUTS).strip("/")
        return f"{folder}/{file.path}" if folder else file.path


class ModelServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A server of a model.

    Attributes:
        routes: what it may be asked.
        port: TCP, at 127.0.0.1 or all addresses of a network of its own.
        command: with its arguments; without one the image's own.
        health_path: answers with less than 400 when it can be asked, and with 503 while it is being loaded.
        start_s: how long that may take; weights that have to be fetched are not counted.
        stop_s: how long requests may go on after SIGTERM.
        concurrency: how many requests one replica is at, at once; more wait in the market's own queue.
        name: what it calls the model; "": the id.
        features: what may be passed on to it; the rest is refused before it is asked.
        replicas_min, replicas_max: how many there are in all.
        idle_s: without a request for so long, a replica above the least ends.
        first_byte_goal_ms: where answers begin later, one more replica is begun; 0: that is no reason.
        first_byte_limit_s: an answer that has not begun after so long is given up, at the latest, and another replica asked.
        retainer_usdc_per_hour: the most that a node is paid for keeping a replica warm, whoever asks it.
    """

    routes: Annotated[tuple[Route, ...], Meta(min_length=1, max_length=7)]
    port: ServicePort = 8000
    command: Annotated[tuple[Argument, ...], Meta(max_length=64)] = ()
    environment: Annotated[Mapping[EnvName, Argument], Meta(max_length=64)] = {}
    health_path: _Health = "/health"
    start_s: StartS = 600
    stop_s: Annotated[int, Meta(ge=0, le=600)] = 30
    concurrency: Annotated[int, Meta(ge=1, le=10_000)] = 1
    name: _ServerName = ""
    features: Annotated[tuple[Feature, ...], Meta(max_length=32)] = ()
    weights: ModelWeights | None = None
    replicas_min: Annotated[int, Meta(ge=0, le=REPLICAS_MAX)] = 0
    replicas_max: Annotated[int, Meta(ge=1, le=REPLICAS_MAX)] = 1
    idle_s: Annotated[int, Meta(ge=10, le=7 * 24 * 3600)] = 600
    first_byte_goal_ms: Annotated[int, Meta(ge=0, le=600_000)] = 0
    first_byte_limit_s: Annotated[int, Meta(ge=1, le=1_800)] = 300
    retainer_usdc_per_hour: _Usdc = "0.10"

    def __post_init__(self) -> None:
        for name, listed in (("routes", self.routes), ("features", self.features)):
            if len(set(listed)) != len(listed):
                raise ValueError(f"{name}: one stands there twice")
        if self.replicas_min > self.replicas_max:
            raise ValueError("replicas_min is above replicas_max")
        # It refuses the port that is another's.
        self.service()

    @property
    def retainer_micro_usdc_per_hour(self) -> int:
        """The same in micro-USDC."""
        return parse_usdc(self.retainer_usdc_per_hour)

    def service(self) -> Service:
        """The port that its job has."""
        return Service(self.port, self.health_path, self.start_s)
