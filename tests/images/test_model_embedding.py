"""The image of embeddings makes the vectors that the model's makers publish."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from images.model_image import ask
from models.embedding.encoder import gelu
from neurogrid_marketplace.model_requests import ModelInput

# The page of the model prints these for its example, from PyTorch.
_EXAMPLE = "This is an example sentence"
_FIRST = (0.0677, 0.0635, 0.0487)


@pytest.mark.engine
def test_vectors_are_the_published_ones_and_near_where_texts_mean_alike(tmp_path: Path) -> None:
    cat, kitten, rates = (
        "A cat sits on the mat.",
        "A kitten rests on the rug.",
        "Interest rates rose again in May.",
    )
    # An empty one, and one that is longer than what is read.
    texts = (_EXAMPLE, cat, kitten, rates, "", "word " * 6000)
    result = ask(tmp_path, "all-minilm-l6-v2", ModelInput(texts=texts), {})
    vectors = np.array(result.embeddings)
    assert vectors.shape == (6, 384)
    assert vectors[0][:3] == pytest.approx(_FIRST, abs=1e-4)
    near = vectors @ vectors.T
    assert near.diagonal() == pytest.approx([1] * 6, abs=1e-4)
    assert near[1, 2] > 0.5
    assert near[1, 3] < 0.2
    # Each has a token at its beginning and one at its end.
    assert result.usage.prompt_tokens == 7 + 9 + 9 + 9 + 2 + 256


def test_gelu_is_what_it_is_defined_as() -> None:
    x = np.linspace(-6, 6, 101, dtype=np.float32)
    defined = [each * (1 + math.erf(each / math.sqrt(2))) / 2 for each in x.tolist()]
    assert gelu(x) == pytest.approx(defined, abs=2e-6)
