"""Serve Gemma 3 270M as OpenAI's API has it: ``python3 -m models.gemma.serve`` (docs/models.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from models.serving.frame import Options, serve
from models.serving.sampling import Array
from models.serving.text import TextServing
from models.serving.texts import Turn

NAME = "gemma-3-270m"
WEIGHTS = Path("/opt/neurogrid-weights/gemma/gemma-3-270m-q4_k_m.gguf")
# The beginning of the weights' SHA-256, which the build has checked.
_FINGERPRINT = "fp_a5fd3b6223"
# Of each text. It could see more; what all of them have seen has to fit into the memory that the catalogue says.
_CONTEXT = 2048
# Tokens of a prompt that are read at once: those that write meanwhile wait for so many.
_READ = 512
_BYTE = re.compile(r"<0x([0-9A-F]{2})>\Z")
# It was never taught to converse: it goes on with what looks like a conversation.
_SPEAKERS = {"system": "", "user": "User: ", "assistant": "Assistant: "}


class Gemma:
    """A model that llama.cpp runs, as `TextModel` has it."""

    endless = False
    context = _CONTEXT

    def __init__(self, path: Path, places: int) -> None:
        # Only the image has this package.
        from cyllama.llama import llama_cpp

        llama_cpp.disable_logging()
        llama_cpp.ggml_backend_load_all()

        class Model(llama_cpp.LlamaModel):  # type: ignore[misc] # it has no types
            """0.2.18 asks a model for this when it is asked for logits, and its models do not have it."""

            @property
            def n_vocab(self) -> int:
                count: int = self.get_vocab().n_vocab
                return count

        options = llama_cpp.LlamaModelParams()
        options.n_gpu_layers = 0
        self._model = Model(str(path), options)
        self._vocabulary = self._model.get_vocab()
        wanted = llama_cpp.LlamaContextParams()
        wanted.n_ctx, wanted.n_batch, wanted.n_seq_max = _CONTEXT * places, _READ, places
        wanted.n_threads = wanted.n_threads_batch = 1
        wanted.kv_unified = False
        self._state = llama_cpp.LlamaContext(self._model, wanted)
        self._batch = llama_cpp.LlamaBatch(n_tokens=max(_READ, places), embd=0, n_seq_max=places)
        self.places = places
        self.vocabulary: int = self._vocabulary.n_vocab
        self.ends = frozenset(
            token for token in range(self.vocabulary) if self._vocabulary.is_eog(token)
        )
        self._read = [0] * places
        texts = (self._vocabulary.get_text(token) for token in range(self.vocabulary))
        self.longest = max(len(text.encode()) for text in texts)
        self.piece = lru_cache(self.vocabulary)(self._piece)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, after the one that begins every text. What looks like a control token is text."""
        tokens: list[int] = self._vocabulary.tokenize(text.replace("\0", ""), True, False)
        return tokens

    def _piece(self, token: int) -> bytes:
        # Characters that are no token of their own come byte by byte.
        byte = _BYTE.match(self._vocabulary.get_text(token))
        if byte is not None:
            return bytes([int(byte[1], 16)])
        text: str = self._vocabulary.token_to_piece(token, 0, False)
        return text.encode()

    def conversation(self, turns: Sequence[Turn]) -> tuple[str, list[str]]:
        """As speeches under their speakers' names, which end with the speech."""
        said = [f"{_SPEAKERS[turn.role]}{turn.content}" for turn in turns]
        return "\n".join([*said, "Assistant:"]), ["\nUser:", "\nAssistant:"]

    def begin(self, place: int, tokens: Sequence[int]) -> Array:
        """Read a new text, piece by piece."""
        self._state.memory_seq_rm(place, -1, -1)
        for start in range(0, len(tokens), _READ):
            part = tokens[start : start + _READ]
            self._batch.clear()
            for number, token in enumerate(part):
                self._batch.add(token, start + number, [place], number == len(part) - 1)
            self._state.decode(self._batch)
        self._read[place] = len(tokens)
        return self._logits(len(part) - 1)

    def step(self, tokens: Mapping[int, int]) -> Mapping[int, Array]:
        """Read a token in each of some places."""
        self._batch.clear()
        for place, token in tokens.items():
            self._batch.add(token, self._read[place], [place], True)
            self._read[place] += 1
        self._state.decode(self._batch)
        return {place: self._logits(number) for number, place in enumerate(tokens)}

    def _logits(self, number: int) -> Array:
        logits: Any = self._state.get_logits_ith(number)
        return np.fromiter(logits, np.float64, self.vocabulary)


def loaded(options: Options) -> TextServing:
    """The model with its weights."""
    return TextServing(
        options.name, Gemma(WEIGHTS, options.concurrency), _FINGERPRINT, options.waiting_max
    )


if __name__ == "__main__":
    serve(loaded, name=NAME, concurrency=4, waiting_max=32)
