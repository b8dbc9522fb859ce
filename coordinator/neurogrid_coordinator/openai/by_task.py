"""A request in OpenAI's form as a model's program in a task takes it (marketplace `model_requests`).

Such a program writes one text, image or transcript, all at once: what else a request may ask for is refused (`fields`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_catalogue import Model, ModelType
from neurogrid_marketplace.model_requests import Message, ModelInput, whole_parameters

from ..services.errors import InvalidRequest
from .fields import Unsupported, given, require_features
from .requests import (
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Part,
    Request,
    TranscriptionRequest,
)

TYPES: dict[type, ModelType] = {
    ChatRequest: ModelType.TEXT,
    CompletionRequest: ModelType.TEXT,
    EmbeddingRequest: ModelType.EMBEDDING,
    ImageRequest: ModelType.IMAGE,
    TranscriptionRequest: ModelType.AUDIO,
}
# What a program can do beyond what every server can.
_FEATURES: frozenset[str] = frozenset({"guidance_scale", "negative_prompt", "steps"})
# OpenAI's own default of /v1/completions.
_COMPLETION_TOKENS = 16
# Of a chat with a model whose catalogue does not say how much it sees; more is asked for by name.
_CHAT_TOKENS = 1024
_TOKENS_MAX = 8192
_TEXTS_MAX = 256
_SEEDS = 2**32
# "Almost nothing": only the likeliest.
_TOP_P_MIN = 1e-9
# No vocabulary in use needs so few tokens for a text of any length: what is longer cannot fit. The rest its model counts.
_TOKEN_BYTES_MAX = 8


class TooLong(InvalidRequest):
    """The prompt does not fit into what the model sees at once."""

    def __init__(self, model: Model, field: str, found: str) -> None:
        super().__init__(
            f"{field}: this model's maximum context length is {model.parameters.context_length} tokens. "
            f"However, your request has {found}. Please shorten it",
            field,
        )
        self.details["reason"] = "context_length_exceeded"


@dataclass(frozen=True, slots=True)
class ForProgram:
    """What a model's program works on; see `services.models.ModelWanted`."""

    asked: ModelInput
    parameters: dict[str, Json] = field(default_factory=dict)


def for_program(request: Request, model: Model, recording: str = "") -> ForProgram:
    """The request, for a program.

    Args:
        recording: where it finds the file of a transcription.

    Raises:
        InvalidRequest: a program cannot do what it asks for, or a value breaks a rule.
    """
    require_features(request, _FEATURES)
    made = _for_program(request, model, recording)
    try:
        whole_parameters(model.type, made.parameters)
    except InvalidValue as error:
        name, _, words = str(error).partition(": ")
        shown = _sent_name(name.partition("[")[0], request)
        raise InvalidRequest(f"{shown}: {words}", shown) from error
    return made


def _for_program(request: Request, model: Model, recording: str) -> ForProgram:
    match request:
        case ChatRequest():
            return _chat(request, model)
        case CompletionRequest():
            return _completion(request, model)
        case EmbeddingRequest():
            return ForProgram(ModelInput(texts=tuple(_texts(request, model))))
        case ImageRequest():
            return _image(request)
        case TranscriptionRequest():
            language = given(request.language, "")
            parameters: dict[str, Json] = {"language": language} if language else {}
            return ForProgram(ModelInput(file=recording), parameters)


def _sent_name(parameter: str, request: Request) -> str:
    """What OpenAI calls a program's parameter."""
    if parameter == "max_tokens" and isinstance(request, ChatRequest):
        sent = given(request.max_completion_tokens, None) is not None
        return "max_completion_tokens" if sent else parameter
    return {"stop_sequences": "stop", "width": "size", "height": "size"}.get(parameter, parameter)


def require_whole_prompt(request: Request, model: Model, prompt_tokens: int) -> None:
    """See that the model has read all of a prompt, by its own count.

    Raises:
        TooLong: it has more tokens than the model sees at once, so the answer is to the end of it alone.
    """
    context = model.parameters.context_length
    if context is not None and prompt_tokens > context:
        raise TooLong(model, _field(request), f"{prompt_tokens} tokens")


def _chat(request: ChatRequest, model: Model) -> ForProgram:
    limits = [given(each, None) for each in (request.max_tokens, request.max_completion_tokens)]
    if None not in limits:
        raise InvalidRequest(
            "max_tokens: is the old name of max_completion_tokens; send one of them", "max_tokens"
        )
    sent = limits[0] if limits[1] is None else limits[1]
    usual = min(model.parameters.context_length or _CHAT_TOKENS, _TOKENS_MAX)
    messages = tuple(_message(each, index) for index, each in enumerate(request.messages))
    _require_short(model, [each.content for each in messages], "messages")
    return ForProgram(
        ModelInput(messages=messages), _writing(request, usual if sent is None else sent)
    )


def _completion(request: CompletionRequest, model: Model) -> ForProgram:
    prompts = _text_list(request.prompt, "prompt")
    if len(prompts) != 1:
        raise Unsupported("prompt: one at a time; send a request for each", "prompt", value=True)
    _require_short(model, prompts, "prompt")
    tokens = given(request.max_tokens, _COMPLETION_TOKENS)
    return ForProgram(ModelInput(prompt=prompts[0]), _writing(request, tokens))


def _writing(request: ChatRequest | CompletionRequest, max_tokens: int) -> dict[str, Json]:
    stop = given(request.stop, [])
    stops: list[str] = [stop] if isinstance(stop, str) else stop
    if "" in stops:
        raise InvalidRequest("stop: an empty text is none", "stop")
    seed = given(request.seed, None)
    return {
        "max_tokens": max_tokens,
        "temperature": given(request.temperature, 1),
        "top_p": max(given(request.top_p, 1), _TOP_P_MIN),
        "stop_sequences": list(stops),
        "seed": None if seed is None else seed % _SEEDS,
    }


def _message(message: ChatMessage, index: int) -> Message:
    where = f"messages[{index}]"
    role = message.role
    if role == "tool" or role == "function":
        raise Unsupported(
            f"{where}.role: this model takes no {role} messages", f"{where}.role", value=True
        )
    for name in ("tool_calls", "function_call", "audio", "name", "tool_call_id"):
        if given(getattr(message, name), None):
            raise Unsupported(f"{where}.{name}: this model does not support it", f"{where}.{name}")
    content = message.content
    if isinstance(content, list):
        content = "\n".join(
            _part(part, f"{where}.content[{number}]") for number, part in enumerate(content)
        )
    if content is None:
        content = given(message.refusal, None)
    if content is None:
        raise InvalidRequest(f"{where}.content: is missing", f"{where}.content")
    return Message("system" if role == "developer" else role, content)


def _part(part: Part, where: str) -> str:
    words = part.refusal if part.type == "refusal" else part.text
    if part.type not in ("text", "refusal"):
        raise Unsupported(
            f"{where}.type: this model takes text, not {part.type!r}", f"{where}.type", value=True
        )
    if not isinstance(words, str):
        raise InvalidRequest(f"{where}.{part.type}: is missing", f"{where}.{part.type}")
    return words


def _texts(request: EmbeddingRequest, model: Model) -> list[str]:
    texts = _text_list(request.input, "input")
    if not texts or "" in texts:
        raise InvalidRequest("input: cannot be an empty text", "input")
    if len(texts) > _TEXTS_MAX:
        raise InvalidRequest(f"input: at most {_TEXTS_MAX} texts at once", "input")
    for text in texts:
        _require_short(model, [text], "input")
    return texts


def _text_list(sent: str | Sequence[object], where: str) -> list[str]:
    if isinstance(sent, str):
        return [sent]
    texts = [each for each in sent if isinstance(each, str)]
    if len(texts) != len(sent):
        raise Unsupported(
            f"{where}: this model takes text; its tokens are not those of the tokenizer that yours are of",
            where,
            value=True,
        )
    return texts


def _image(request: ImageRequest) -> ForProgram:
    parameters: dict[str, Json] = {}
    size = given(request.size, "auto")
    if size != "auto":
        width, _, height = size.partition("x")
        parameters |= {"width": int(width), "height": int(height)}
    for name in ("steps", "guidance_scale", "seed"):
        value = given(getattr(request, name), None)
        if value is not None:
            parameters[name] = value % _SEEDS if name == "seed" else value
    asked = ModelInput(prompt=request.prompt, negative_prompt=given(request.negative_prompt, ""))
    return ForProgram(asked, parameters)


def _require_short(model: Model, texts: Sequence[str], where: str) -> None:
    context = model.parameters.context_length
    size_bytes = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    if context is not None and size_bytes > context * _TOKEN_BYTES_MAX:
        raise TooLong(model, where, f"{size_bytes} bytes of text")


def _field(request: Request) -> str:
    return {ChatRequest: "messages", EmbeddingRequest: "input"}.get(type(request), "prompt")
