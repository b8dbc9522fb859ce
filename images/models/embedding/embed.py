"""Turn texts into vectors: read /inputs/request.json, leave /outputs/result.json (docs/models.md has both forms).

The model is all-MiniLM-L6-v2: 384 numbers a text, of length 1, near each other where texts mean alike.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from models.embedding.minilm import MiniLm

INPUTS, OUTPUTS = Path("/inputs"), Path("/outputs")
# So that the vectors of as many texts as a request may have fit into a result.
_DIGITS = 6


def main() -> None:
    """See the module."""
    began_s = time.monotonic()
    request = json.loads((INPUTS / "request.json").read_text())
    model = MiniLm()
    read = [model.encode_beginning(text) for text in request["texts"]]
    vectors = [model.vector(tokens) for tokens in read]
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
