"""Models that can be asked for by name, and what they answer."""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from .listed import Listed

ModelType = Literal["text", "image", "audio", "embedding"]


class ModelParameters(Struct, frozen=True, kw_only=True):
    """What its makers say of a model; ``context_length``: tokens that it sees at once."""

    size: str = ""
    context_length: int | None = None
    languages: list[str] = []


class ModelPricing(Struct, frozen=True, kw_only=True):
    """What a model costs.

    Attributes:
        per_unit: of a ``unit`` (``per_token`` the same of a token), in USDC: what the time comes to, to compare by.
        max_per_hour: what a node is paid at most.
        units: the most that nodes ask for what its server does, as ``input_per_million``, ``per_image``; empty: no server.
    """

    unit: str = "request"
    per_unit: float = 0
    per_token: float | None = None
    max_per_hour: Decimal
    currency: str = "USDC"
    units: dict[str, Decimal] = {}


class ModelServerInfo(Struct, frozen=True, kw_only=True):
    """How a model is served: ``routes`` are OpenAI's, ``features`` what is passed on to it beside the plain fields."""

    routes: list[str]
    features: list[str] = []
    concurrency: int = 1
    replicas_max: int = 1


class ModelReplicas(Struct, frozen=True, kw_only=True):
    """Warm servers of a model.

    Attributes:
        ready: how many take requests; ``starting``: will soon; ``most``: there are never more.
        waiting, at_work: requests.
        expected_start_ms: how long a request that comes now waits until one is ready; None: nobody knows.
        problem: why there are fewer than are wanted.
    """

    ready: int
    starting: int = 0
    most: int = 0
    waiting: int = 0
    at_work: int = 0
    expected_start_ms: int | None = None
    problem: str = ""


class ModelInfo(Struct, frozen=True, kw_only=True):
    """A model of the coordinator's catalogue.

    Attributes:
        tasks: whether tasks may ask it, or its server alone.
        replicas: its warm servers; None where the coordinator keeps none.
    """

    id: str
    name: str
    type: ModelType
    category: str
    description: str = ""
    parameters: ModelParameters = ModelParameters()
    pricing: ModelPricing
    aliases: list[str] = []
    licence: str = ""
    docker_image: str = ""
    timeout_seconds: int = 0
    concurrency: int = 0
    tasks: bool = True
    server: ModelServerInfo | None = None
    replicas: ModelReplicas | None = None


class ModelPage(Listed[ModelInfo], Struct, frozen=True, kw_only=True):
    """The models that there are."""

    models: list[ModelInfo]
    total: int


class Embedding(Struct, frozen=True):
    """A text's vector; ``index``: of the text among those that were given."""

    embedding: list[float]
    index: int = 0


class EmbeddingUsage(Struct, frozen=True):
    """What was read."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class Embeddings(Struct, frozen=True):
    """Vectors of texts, in their order."""

    data: list[Embedding]
    model: str = ""
    usage: EmbeddingUsage = EmbeddingUsage()


class TokenUsage(Struct, frozen=True, kw_only=True):
    """Tokens that a model has read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ModelAnswer(Struct, frozen=True, kw_only=True):
    """What every model answers with.

    Attributes:
        id: of the task: `Tasks.get`, `Tasks.get_receipt` and the rest take it. Where a server that stays has answered, of the lease
            for use that pays for it, together with others.
        request_id: of this very answer.
        model: its id, also where it was asked for by an alias.
        execution_time: seconds of the model alone.
        cost_usdc: what was paid for.
    """

    id: str
    request_id: str = ""
    model: str
    node_id: str | None = None
    execution_time: float
    cost: float
    cost_usdc: Decimal


class TextAnswer(ModelAnswer, frozen=True, kw_only=True):
    """A text; ``finish_reason`` is "stop" or "length"."""

    generated_text: str
    finish_reason: str = "stop"
    usage: TokenUsage
    seed: int | None = None


class TranscriptSegment(Struct, frozen=True, kw_only=True):
    """A piece of a recording: seconds from its start."""

    start: float
    end: float
    text: str


class Transcription(ModelAnswer, frozen=True, kw_only=True):
    """What was said; ``confidence`` is 0 to 1, where the model says it."""

    transcription: str
    language: str = ""
    confidence: float | None = None
    segments: list[TranscriptSegment] = []


class ImageParametersUsed(Struct, frozen=True, kw_only=True):
    """How an image was made."""

    width: int
    height: int
    steps: int
    seed: int | None = None


class ImageAnswer(ModelAnswer, frozen=True, kw_only=True):
    """An image: an output of the task ``id``."""

    image_url: str
    parameters_used: ImageParametersUsed
