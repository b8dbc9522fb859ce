"""An image under terms of its makers is built for nobody who has not accepted them."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.build_models import ON_REQUEST, accepted, check_hash, recipes


@pytest.mark.parametrize(
    ("words", "said", "agrees"),
    [
        ((), None, False),
        (("gemma",), None, False),
        (("gemma-terms",), None, True),
        ((), "yes", False),
        ((), "gemma-terms\n", True),
    ],
)
def test_terms_are_shown_and_accepted_by_their_word(
    words: tuple[str, ...], said: str | None, agrees: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accepted("gemma", words, None if said is None else lambda _: said) is agrees
    assert "https://ai.google.dev/gemma/terms" in capsys.readouterr().out


def test_nobody_gets_such_an_image_unasked(tmp_path: Path) -> None:
    usual = {each.tag for each in recipes()}
    assert {each.tag for each in recipes(ON_REQUEST)} - usual == {"neurogrid/model-gemma:1"}
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"others")
    with pytest.raises(ValueError, match=r"model\.bin has the SHA-256 "):
        check_hash(weights, "0" * 64)
