"""A text model's routes: `/v1/chat/completions`, `/v1/completions`, `/tokenize`, `/detokenize`."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from models.serving.batch import Batch, Order
from models.serving.bodies import json_of
from models.serving.errors import Refused, wrong
from models.serving.frame import Load, Serving, json_answer, unless_gone
from models.serving.streams import DONE, Stream, event
from models.serving.text_answers import Answering, Choice, last, opening, piece, usage, whole
from models.serving.text_requests import (
    ChatAsked,
    CompletionAsked,
    DetokenizeAsked,
    TokenizeAsked,
    chat_wanted,
    completion_wanted,
    known_tokens,
    tokens_of,
    turns_of,
)
from models.serving.texts import TextModel, Wanted


class TextServing(Serving):
    """A text model behind OpenAI's routes.

    Args:
        fingerprint: of its numbers.
    """

    def __init__(self, name: str, model: TextModel, fingerprint: str, waiting_max: int) -> None:
        self.name, self.context = name, model.context
        self._model, self._fingerprint = model, fingerprint
        self._batch = Batch(model, waiting_max)

    async def run(self) -> None:
        """Write, for ever."""
        await self._batch.run()

    def load(self) -> Load:
        """How many texts it is at, and how many wait."""
        return Load(self._batch.running, self._batch.waiting, self._model.places)

    def routes(self) -> list[Route]:
        """Its own."""
        return [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._completions, methods=["POST"]),
            Route("/tokenize", self._tokenize, methods=["POST"]),
            Route("/detokenize", self._detokenize, methods=["POST"]),
        ]

    async def _chat(self, request: Request) -> Response:
        asked = await json_of(request, ChatAsked)
        self.check_name(asked.model)
        return await self._answer(request, asked, chat_wanted(asked, self._model), chat=True)

    async def _completions(self, request: Request) -> Response:
        asked = await json_of(request, CompletionAsked)
        self.check_name(asked.model)
        return await self._answer(request, asked, completion_wanted(asked, self._model), chat=False)

    async def _tokenize(self, request: Request) -> Response:
        asked = await json_of(request, TokenizeAsked)
        self.check_name(asked.model)
        if (asked.prompt is None) == (not asked.messages):
            raise wrong("prompt", "a prompt or messages, one of them")
        if asked.prompt is not None:
            text = asked.prompt
        else:
            text, _ = self._model.conversation(turns_of(asked.messages or []))
        tokens = tokens_of(text, self._model, "prompt")
        return json_answer(
            {"count": len(tokens), "max_model_len": self._model.context, "tokens": tokens}
        )

    async def _detokenize(self, request: Request) -> Response:
        asked = await json_of(request, DetokenizeAsked)
        self.check_name(asked.model)
        tokens = known_tokens(asked.tokens, self._model, "tokens")
        data = b"".join(self._model.piece(token) for token in tokens)
        return json_answer({"prompt": data.decode("utf-8", "replace")})

    async def _answer(
        self,
        request: Request,
        asked: ChatAsked | CompletionAsked,
        wanted: Sequence[Wanted],
        *,
        chat: bool,
    ) -> Response:
        options = asked.options()
        of = Answering(
            id=f"{'chatcmpl' if chat else 'cmpl'}-{secrets.token_hex(12)}",
            created=int(time.time()),
            model_name=self.name,
            fingerprint=self._fingerprint,
            model=self._model,
            chat=chat,
            include_usage=options.include_usage,
            continuous_usage=options.continuous_usage_stats,
        )
        # A prompt that has several texts is read for each, and counts once, as OpenAI has it.
        prompt = sum(len(each.prompt) for each in wanted[:: asked.n or 1])
        if not asked.streams():
            return await unless_gone(request, self._whole(of, wanted, prompt))
        entered = AsyncExitStack()
        # Refused before the first byte of a stream, or not at all.
        order = await entered.enter_async_context(self._batch.asked(wanted, self.request_s))
        return Stream(entered, self._streamed(of, order, len(wanted), prompt))

    async def _whole(self, of: Answering, wanted: Sequence[Wanted], prompt: int) -> Response:
        choices = [Choice() for _ in wanted]
        async with self._batch.asked(wanted, self.request_s) as order:
            async for pieces in order.pieces(len(wanted)):
                for number, made in pieces:
                    choices[number].add(made)
        return json_answer(whole(of, choices, prompt))

    async def _streamed(
        self, of: Answering, order: Order, texts: int, prompt: int
    ) -> AsyncGenerator[bytes, None]:
        """Server-sent events: all that is there goes in one piece."""
        said, written = [0] * texts, [0] * texts
        if of.chat:
            yield b"".join(event(opening(of, number)) for number in range(texts))
        try:
            async for pieces in order.pieces(texts):
                events = []
                for number, made in pieces:
                    written[number] = made.written
                    # A token whose text has yet to come is said with the next one.
                    if made.text or made.finish or made.told:
                        counted = usage(prompt, sum(written))
                        events.append(event(piece(of, number, made, said[number], counted)))
                    said[number] += len(made.text)
                if events:
                    yield b"".join(events)
        # The stream has begun: its end says what went wrong, and [DONE] is not said.
        except Refused as refused:
            yield b"data: " + refused.body() + b"\n\n"
            return
        if of.include_usage:
            yield event(last(of, usage(prompt, sum(written))))
        yield DONE
