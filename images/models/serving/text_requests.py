"""What OpenAI's clients ask of a text model, checked: `/v1/chat/completions`, `/v1/completions`, `/tokenize`.

Each field of OpenAI's is taken, or refused where it would change the answer and this server can't do it. None that changes the
answer is left unsaid.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from models.serving.errors import too_long, wrong
from models.serving.sampling import Sampling
from models.serving.texts import TextModel, Turn, Wanted

# Texts of one request.
CHOICES_MAX = 16
_TOKENS_MAX = 8192
_LIKELIEST_MAX = 20
_BIASES_MAX = 300
# What OpenAI's completions write where nothing is said.
_COMPLETION_TOKENS = 16
_SEED_BITS = 32
_JSON = "json_object"
# "{}", a token each.
_JSON_TOKENS_MIN = 2

_Text = Annotated[str, Meta(max_length=1024 * 1024)]
_Tokens = Annotated[int, Meta(ge=1, le=_TOKENS_MAX)]
_Stop = Annotated[str, Meta(min_length=1, max_length=256)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_TokenId = Annotated[int, Meta(ge=0)]
_TokenIds = Annotated[list[_TokenId], Meta(max_length=1024 * 1024)]


class StreamOptions(Struct, forbid_unknown_fields=True):
    """What a stream has beside its pieces.

    Attributes:
        continuous_usage_stats: the usage so far in each piece, as vLLM has it.
        include_obfuscation: taken, and nothing is obfuscated.
    """

    include_usage: bool = False
    continuous_usage_stats: bool = False
    include_obfuscation: bool = False


class _Asked(Struct, kw_only=True, forbid_unknown_fields=True):
    """What both ways to ask have in common."""

    model: Annotated[str, Meta(max_length=200)] = ""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=CHOICES_MAX)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: _Stop | Annotated[list[_Stop], Meta(max_length=16)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    max_tokens: _Tokens | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=_BIASES_MAX)]
        | None
    ) = None
    # Not OpenAI's, but usual with open models.
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=1_000_000)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    # Who asks, and what for: it changes no answer.
    user: str | None = None
    metadata: Any = None

    def streams(self) -> bool:
        """Whether the answer comes in pieces."""
        return bool(self.stream)

    def options(self) -> StreamOptions:
        """Of the stream."""
        return self.stream_options or StreamOptions()


class _Part(Struct):
    type: str
    text: str | None = None


class _Message(Struct):
    role: str
    content: _Text | list[_Part] | None = None


class _Format(Struct):
    type: str


class ChatAsked(_Asked, kw_only=True):
    """A conversation to go on with."""

    messages: Annotated[list[_Message], Meta(min_length=1, max_length=1000)]
    max_completion_tokens: _Tokens | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=_LIKELIEST_MAX)] | None = None
    response_format: _Format | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    functions: list[Any] | None = None
    function_call: Any = None
    modalities: list[str] | None = None
    audio: Any = None
    prediction: Any = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    web_search_options: Any = None
    service_tier: str | None = None
    store: bool | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class CompletionAsked(_Asked, kw_only=True):
    """A text to go on with."""

    prompt: _Text | Annotated[list[_Text | _TokenId | _TokenIds], Meta(max_length=1024 * 1024)]
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    best_of: int | None = None
    echo: bool | None = None
    suffix: str | None = None


class TokenizeAsked(Struct, kw_only=True):
    """A text or a conversation whose tokens are asked for; vLLM's form."""

    model: str = ""
    prompt: _Text | None = None
    messages: Annotated[list[_Message], Meta(max_length=1000)] | None = None


class DetokenizeAsked(Struct, kw_only=True):
    """Tokens whose text is asked for; vLLM's form."""

    model: str = ""
    tokens: _TokenIds


def chat_wanted(asked: ChatAsked, model: TextModel) -> list[Wanted]:
    """The texts that a conversation asks for.

    Raises:
        Refused: it has something that this server can't do, or is too long.
    """
    _refuse_unserved(asked)
    text, ends = model.conversation(turns_of(asked.messages))
    tokens = tokens_of(text, model, "messages")
    likeliest = asked.top_logprobs
    if likeliest is not None and not asked.logprobs:
        raise wrong("top_logprobs", "goes with logprobs = true")
    json = asked.response_format is not None and asked.response_format.type == _JSON
    return _wanted(
        asked,
        model,
        [tokens],
        # An object ends where it is whole.
        ends=() if json else ends,
        tokens_max=asked.max_completion_tokens or asked.max_tokens,
        likeliest=(likeliest or 0) if asked.logprobs else None,
        param="messages",
        json=json,
    )


def completion_wanted(asked: CompletionAsked, model: TextModel) -> list[Wanted]:
    """The texts that are asked for: ``n`` for each prompt, in their order.

    Raises:
        Refused: see `chat_wanted`.
    """
    for name, given in (("echo", asked.echo), ("suffix", asked.suffix)):
        if given:
            raise wrong(name, "this server can't do that; leave it out")
    if asked.best_of not in (None, asked.n or 1):
        raise wrong(
            "best_of", "this server writes no more texts than it answers with; leave it out"
        )
    return _wanted(
        asked,
        model,
        _prompts(asked.prompt, model),
        ends=(),
        tokens_max=asked.max_tokens or _COMPLETION_TOKENS,
        likeliest=asked.logprobs,
        param="prompt",
    )


def turns_of(messages: Sequence[_Message]) -> list[Turn]:
    """The turns of a conversation.

    Raises:
        Refused: one is no text, or of nobody that this server knows.
    """
    roles = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
    turns = []
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if message.role not in roles:
            raise wrong(f"{place}.role", f"one of {', '.join(roles)}; this model has no tools")
        content = message.content or ""
        if not isinstance(content, str):
            for part in content:
                if part.type != "text" or part.text is None:
                    raise wrong(f"{place}.content", "this model reads text alone")
            content = "".join(part.text or "" for part in content)
        turns.append(Turn(roles[message.role], content))
    return turns


def tokens_of(text: str, model: TextModel, param: str) -> list[int]:
    """The tokens of a text. One that can't fit is not even read: finding its tokens would take long.

    Raises:
        Refused: it has more tokens than the model sees, whatever they are.
    """
    least = len(text.encode("utf-8", "replace")) // model.longest
    if least > model.context:
        raise too_long(model.context, least, param)
    return model.encode(text)


def known_tokens(tokens: Sequence[int], model: TextModel, param: str) -> list[int]:
    """Tokens that the model has.

    Raises:
        Refused: it does not have one.
    """
    if any(token >= model.vocabulary for token in tokens):
        raise wrong(param, f"this model has the tokens 0 to {model.vocabulary - 1}")
    return list(tokens)


def _refuse_unserved(asked: ChatAsked) -> None:
    unserved: Mapping[str, bool] = {
        "tools": bool(asked.tools),
        "functions": bool(asked.functions),
        "tool_choice": asked.tool_choice not in (None, "none", "auto"),
        "function_call": asked.function_call not in (None, "none", "auto"),
        "response_format": asked.response_format is not None
        and asked.response_format.type not in ("text", _JSON),
        "modalities": asked.modalities not in (None, ["text"]),
        "audio": asked.audio is not None,
        "prediction": asked.prediction is not None,
        "reasoning_effort": asked.reasoning_effort not in (None, "none"),
        "verbosity": asked.verbosity not in (None, "medium"),
        "web_search_options": asked.web_search_options is not None,
        "store": bool(asked.store),
    }
    for name, is_asked in unserved.items():
        if is_asked:
            raise wrong(name, "this model can't do that; leave it out", "unsupported_parameter")


def _prompts(prompt: Any, model: TextModel) -> list[list[int]]:
    many = prompt if isinstance(prompt, list) else [prompt]
    if many and all(isinstance(each, int) for each in many):
        many = [many]
    if not 1 <= len(many) <= CHOICES_MAX or any(
        each == [] or isinstance(each, int) for each in many
    ):
        raise wrong("prompt", f"1 to {CHOICES_MAX} texts, or lists of tokens")
    return [
        tokens_of(each, model, "prompt")
        if isinstance(each, str)
        else known_tokens(each, model, "prompt")
        for each in many
    ]


def _wanted(
    asked: _Asked,
    model: TextModel,
    prompts: Sequence[list[int]],
    *,
    ends: Sequence[str],
    tokens_max: int | None,
    likeliest: int | None,
    param: str,
    json: bool = False,
) -> list[Wanted]:
    count = asked.n or 1
    if count * len(prompts) > CHOICES_MAX:
        raise wrong("n", f"at most {CHOICES_MAX} texts in all")
    if asked.stream_options is not None and not asked.stream:
        raise wrong("stream_options", "goes with stream = true")
    stop = [asked.stop] if isinstance(asked.stop, str) else asked.stop or []
    how = Sampling(
        1.0 if asked.temperature is None else asked.temperature,
        1.0 if asked.top_p is None else asked.top_p,
        asked.frequency_penalty or 0,
        asked.presence_penalty or 0,
        _bias(asked.logit_bias or {}, model),
        asked.repetition_penalty or 1,
        # "All of them" is said by one of these.
        asked.top_k if asked.top_k not in (None, -1) else 0,
        asked.min_p or 0,
    )
    seed = secrets.randbits(_SEED_BITS) if asked.seed is None else asked.seed % 2**64
    return [
        Wanted(
            prompt=tuple(prompt),
            tokens_max=_room(model, len(prompt), tokens_max, param, json=json),
            how=how,
            # Each text of one request is another; the first is what the seed alone has.
            seed=(seed + number) % 2**64,
            stops=(*stop, *ends),
            likeliest=likeliest,
            json=json,
        )
        for prompt in prompts
        for number in range(count)
    ]


def _room(model: TextModel, prompt: int, tokens_max: int | None, param: str, *, json: bool) -> int:
    """How many tokens may follow a prompt.

    Raises:
        Refused: so many do not fit, or they are too few for what is to be written.
    """
    if json and (tokens_max or model.context - prompt) < _JSON_TOKENS_MIN:
        raise wrong("max_completion_tokens", f"JSON takes {_JSON_TOKENS_MIN} tokens at least")
    if prompt >= model.context:
        raise too_long(model.context, prompt, param)
    room = model.context - prompt
    if tokens_max is None:
        return room
    if tokens_max > room and not model.endless:
        raise too_long(model.context, prompt + tokens_max, f"{param} or the completion")
    return tokens_max


def _bias(given: Mapping[str, float], model: TextModel) -> dict[int, float]:
    try:
        bias = {int(token): float(more) for token, more in given.items()}
    except ValueError as error:
        raise wrong("logit_bias", "its keys are numbers of tokens") from error
    if any(not 0 <= token < model.vocabulary for token in bias):
        raise wrong("logit_bias", f"this model has the tokens 0 to {model.vocabulary - 1}")
    return bias
