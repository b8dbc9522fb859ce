"""What the native API takes and answers of models: shapes, bounds and documentation."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from neurogrid_marketplace.condition_text import MAX_TEXT_CHARS
from neurogrid_marketplace.conditions import Where
from neurogrid_marketplace.demand import MAX_TIMEOUT_S
from neurogrid_marketplace.fields import FilePath, Sha256, Word
from neurogrid_marketplace.model_catalogue import ModelName
from neurogrid_marketplace.model_requests import PROMPT_CHARS_MAX, Message
from neurogrid_marketplace.prompts import PARTS_MAX, FieldPath, PartName

from .operation_schemas import ParameterName
from .requests import (
    Deadline,
    DeadlinePolicy,
    DependsOn,
    Priority,
    PriorityReason,
    TaskName,
    VerificationRequest,
)
from .schemas import Amount

_PARAMETERS_MAX = 16
Prompt = Annotated[str, Meta(max_length=PROMPT_CHARS_MAX)]
ModelParametersGiven = Annotated[
    dict[ParameterName, Any],
    Meta(
        max_length=_PARAMETERS_MAX,
        description="Of text: `max_tokens`, `temperature`, `top_p`, `stop_sequences`, `seed`. Of images: `width`, "
        "`height`, `steps`, `guidance_scale`, `seed`. Of audio: `language`. Those left out have defaults (docs/models.md).",
        examples=[{"max_tokens": 60, "temperature": 0}],
    ),
]

MODEL_RULES = {
    "model": "the id of a model, see GET /api/v1/models",
    "file.path": 'a plain relative path such as "speech.mp3"',
    "file.sha256": "64 lower-case hex digits",
    "file.output": 'a plain relative path such as "speech.wav"',
    "file.from_task": "a task's id, or in a workflow the name of one of its tasks",
    "depends_on[]": "a task's id, or in a workflow the name of one of its tasks",
    "prompt_from[].from_task": "a task's id, or in a workflow the name of one of its tasks",
    "regions[]": 'a region such as "eu-west"',
    "node_preferences.region": 'a region such as "eu-west"',
}


class ModelFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A recording: an artifact that was uploaded before, or an output of another task."""

    sha256: Annotated[Sha256 | None, Meta(description="Of an artifact of this account.")] = None
    from_task: Annotated[
        TaskName | None,
        Meta(description="The task that will leave it; this one then depends on it."),
    ] = None
    output: Annotated[
        FilePath | None,
        Meta(description="With `from_task`: below /outputs there; the same as `path` if left out."),
    ] = None
    path: Annotated[FilePath, Meta(description="Its name; the end says what it is.")] = "recording"


class PromptFrom(Struct, frozen=True, forbid_unknown_fields=True):
    """Words that another task will leave."""

    from_task: Annotated[
        TaskName, Meta(description="The task that will leave them; this one then depends on it.")
    ]
    output: Annotated[
        FilePath | None,
        Meta(description="Below /outputs there; a model's `result.json`, if left out."),
    ] = None
    field: Annotated[
        FieldPath | None,
        Meta(
            description="Of a JSON object, with points between names: a text, a number, true or false. Without it "
            "the whole file, in UTF-8; of `result.json`, if `output` is left out too, `text`."
        ),
    ] = None
    max_chars: Annotated[
        int, Meta(ge=1, le=PROMPT_CHARS_MAX, description="What is longer is cut off there.")
    ] = PROMPT_CHARS_MAX


class ModelRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to a model of the catalogue, which says what computes it and what it needs."""

    kind: Literal["model"]
    model: Annotated[ModelName, Meta(description="Its id or an alias.", examples=["bard-1m"])]
    prompt: Annotated[Prompt, Meta(description="Of text and images.")] = ""
    messages: Annotated[
        tuple[Message, ...],
        Meta(max_length=1000, description="Of text, instead of a prompt."),
    ] = ()
    negative_prompt: Annotated[Prompt, Meta(description="What shall not be in an image.")] = ""
    texts: Annotated[
        tuple[Annotated[str, Meta(max_length=32 * 1024)], ...],
        Meta(max_length=256, description="To embed."),
    ] = ()
    file: Annotated[ModelFile | None, Meta(description="To transcribe.")] = None
    prompt_from: Annotated[
        dict[PartName, PromptFrom],
        Meta(
            max_length=PARTS_MAX,
            description="By names of yours: where `{{name}}` stands in the prompt, the messages or the texts, words come "
            "that other tasks will leave.",
        ),
    ] = {}
    parameters: ModelParametersGiven = {}
    name: Annotated[str, Meta(max_length=200, description="The model's id, if left out.")] = ""
    priority: Priority = "normal"
    priority_reason: PriorityReason = ""
    deadline: Deadline = None
    deadline_policy: DeadlinePolicy = "end"
    depends_on: DependsOn = ()
    max_price_per_hour: Annotated[
        Decimal | None, Meta(description="USDC; the catalogue's, if left out.", examples=["0.50"])
    ] = None
    max_total_cost: Annotated[
        Decimal | None, Meta(description="USDC: lowers the price so far that it costs no more.")
    ] = None
    timeout_seconds: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_S)] | None,
        Meta(description="The longest it may run; the catalogue's, if left out."),
    ] = None
    queue_timeout_seconds: Annotated[int, Meta(ge=1, le=30 * 24 * 3600)] | None = None
    regions: Annotated[tuple[Word, ...], Meta(max_length=32)] = ()
    constraints: Annotated[
        Annotated[str, Meta(max_length=MAX_TEXT_CHARS)] | Where,
        Meta(description="Conditions on nodes, as of a container job."),
    ] = ""
    wait_for_node: bool = False
    verification: VerificationRequest = VerificationRequest()


class ModelParametersView(Struct, frozen=True):
    """What its makers say of a model."""

    size: str
    context_length: Annotated[int | None, Meta(description="Tokens that it sees at once.")]
    languages: list[str]


class ModelPricing(Struct, frozen=True):
    """What a model costs. A task's node is paid by the time; a unit's price is what that comes to at the highest price
    and the speed that was measured: to compare by, not what is charged. `units` is for what a model's server does."""

    per_token: Annotated[float | None, Meta(description="USDC, where the unit is a token.")]
    unit: Literal["token", "image", "second", "request"]
    per_unit: Annotated[float, Meta(description="USDC.")]
    max_per_hour: Annotated[str, Meta(description="USDC, exact: paid for a node at most.")]
    currency: Literal["USDC"]
    units: Annotated[
        dict[str, str],
        Meta(
            description="The most that nodes ask for what its server does, USDC, exact: `input_per_million`, "
            "`cached_input_per_million`, `output_per_million` (tokens), `per_image`, `per_audio_second`, `per_request`. "
            "Empty: no server.",
            examples=[{"input_per_million": "0.02", "output_per_million": "0.10"}],
        ),
    ]


class ModelServerView(Struct, frozen=True):
    """How a model is served by containers that stay."""

    routes: Annotated[list[str], Meta(description="OpenAI's, that it may be asked at.")]
    features: Annotated[
        list[str], Meta(description="What is passed on to it, beside the plain fields.")
    ]
    concurrency: Annotated[int, Meta(description="Requests that a replica is at, at once.")]
    replicas_max: int


class ModelNeedsView(Struct, frozen=True):
    """What a request takes of its node; a GB is 10^9 bytes."""

    cpu_cores: float
    ram_gb: float
    storage_gb: float
    gpu_memory_gb: Annotated[float, Meta(description="0: it computes on processors.")]


class ModelReplicasView(Struct, frozen=True):
    """Warm servers of a model; they come and go with what is asked."""

    ready: Annotated[int, Meta(description="So many take requests.")]
    starting: int
    most: Annotated[int, Meta(description="There are never more that serve.")]
    waiting: Annotated[int, Meta(description="Requests that no replica works at yet.")]
    at_work: int
    expected_start_ms: Annotated[
        int | None,
        Meta(
            description="How long a request that comes now waits until one is ready: 0 where one is; null: nobody knows."
        ),
    ]
    problem: Annotated[
        str, Meta(description="Why there are fewer than are wanted, as why no node took one.")
    ]


class ModelView(Struct, frozen=True):
    """A model of the catalogue."""

    id: str
    name: str
    type: Literal["text", "image", "audio", "embedding"]
    category: str
    description: str
    parameters: ModelParametersView
    pricing: ModelPricing
    aliases: Annotated[list[str], Meta(description="Other names for it.")]
    licence: str
    docker_image: str
    resource_requirements: ModelNeedsView
    timeout_seconds: int
    concurrency: Annotated[
        int, Meta(description="Requests of an account at once; 0: as many as you like.")
    ]
    tasks: Annotated[
        bool, Meta(description="Whether tasks may ask it; else its server alone does.")
    ]
    server: Annotated[ModelServerView | None, Meta(description="Null: tasks alone.")]
    replicas: Annotated[
        ModelReplicasView | None, Meta(description="Null where this coordinator keeps none of it.")
    ]


class ModelListView(Struct, frozen=True):
    """Models, in the catalogue's order."""

    models: list[ModelView]
    total: int


class ModelTaskView(Struct, frozen=True):
    """Which model a task of kind `model` asks, and where its answer is."""

    id: str
    name: Annotated[str, Meta(description="As it was asked for; may be an alias.")]
    type: Literal["text", "image", "audio", "embedding"]
    category: str
    parameters: Annotated[dict[str, Any], Meta(description="All, with defaults.")]
    result_path: Annotated[
        str | None,
        Meta(description="Of its answer on this host, as docs/models.md has it; null before."),
    ]


class NodePreferences(Struct, frozen=True, forbid_unknown_fields=True):
    """On which nodes."""

    region: Annotated[Word | None, Meta(description="Null: anywhere.")] = None
    min_performance_score: Annotated[
        float, Meta(ge=0, le=100, description="As `performance_score` of `GET /nodes`, percent.")
    ] = 0


class TextGeneration(Struct, frozen=True, forbid_unknown_fields=True):
    """A text to be written."""

    model: ModelName
    prompt: Prompt = ""
    messages: Annotated[
        tuple[Message, ...], Meta(max_length=1000, description="Instead of a prompt.")
    ] = ()
    parameters: ModelParametersGiven = {}
    node_preferences: NodePreferences = NodePreferences()
    stream: Annotated[
        bool, Meta(description="Server-sent events, piece by piece as the model writes.")
    ] = False


class ImageGeneration(Struct, frozen=True, forbid_unknown_fields=True):
    """An image to be made."""

    model: ModelName
    prompt: Prompt
    parameters: ModelParametersGiven = {}
    negative_prompt: Prompt = ""
    node_preferences: NodePreferences = NodePreferences()


class TokenUsage(Struct, frozen=True):
    """The model's own tokens, by its program's word."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerView(Struct, frozen=True, kw_only=True):
    """What every model answers with."""

    id: Annotated[
        str,
        Meta(
            description="The task's: its receipt, log and files are there. Where a server that stays has answered, it is the "
            "lease for use that pays for the account's requests to it."
        ),
    ]
    request_id: Annotated[str, Meta(description="Of this very answer; a task's is its `id`.")]
    model: Annotated[str, Meta(description="Its id, also where it was asked for by an alias.")]
    node_id: str | None
    execution_time: Annotated[
        float,
        Meta(
            description="Seconds of the model alone, as its program measured them; of a server that stays, until all was here."
        ),
    ]
    cost: Annotated[float, Meta(description="USDC as a number; `cost_usdc` is exact.")]
    cost_usdc: Amount


class TextPiece(Struct, frozen=True):
    """A piece of a text that is streamed."""

    text: str


class TextAnswer(AnswerView, frozen=True, kw_only=True):
    """A text that was written."""

    generated_text: str
    finish_reason: Literal["stop", "length"]
    usage: TokenUsage
    seed: int | None


class SegmentView(Struct, frozen=True):
    """A piece of a recording: seconds from its start."""

    start: float
    end: float
    text: str


class TranscriptionAnswer(AnswerView, frozen=True, kw_only=True):
    """What was said."""

    transcription: str
    language: Annotated[str, Meta(description="As `en`; empty: not known.")]
    confidence: Annotated[float | None, Meta(description="0 to 1, by its program's word.")]
    segments: list[SegmentView]


class ImageParametersUsed(Struct, frozen=True):
    """How an image was made, by its program's word."""

    width: int
    height: int
    steps: Annotated[int, Meta(description="0: its server does not say.")]
    seed: int | None


class ImageAnswer(AnswerView, frozen=True, kw_only=True):
    """An image that was made."""

    image_url: Annotated[
        str,
        Meta(
            description="On this host; asked for with the account's key, as any output or artifact."
        ),
    ]
    parameters_used: ImageParametersUsed
