"""Serve all-MiniLM-L6-v2 as OpenAI's API has it: ``python3 -m models.embedding.serve`` (docs/models.md)."""

from __future__ import annotations

from models.embedding.minilm import MiniLm
from models.serving.embedding import EmbeddingServing
from models.serving.frame import Options, serve

NAME = "all-minilm-l6-v2"


def loaded(options: Options) -> EmbeddingServing:
    """The model with its weights."""
    return EmbeddingServing(options, MiniLm())


if __name__ == "__main__":
    serve(loaded, name=NAME, concurrency=1, waiting_max=32)
