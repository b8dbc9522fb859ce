"""Draw a landscape: read /inputs/request.json, leave /outputs/result.json (docs/models.md has both forms).

The model knows no words: of the request the size and the seed count, and the prompt does not.
"""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path

from models.terrain.landscapes import Landscapes

INPUTS, OUTPUTS = Path("/inputs"), Path("/outputs")
_IMAGE = "image.png"


def main() -> None:
    """See the module."""
    began_s = time.monotonic()
    wanted = json.loads((INPUTS / "request.json").read_text())["parameters"]
    seed = secrets.randbits(32) if wanted["seed"] is None else wanted["seed"]
    drawn = Landscapes().picture(wanted["width"], wanted["height"], seed)
    drawn.save(OUTPUTS / _IMAGE)
    result = {
        "image": _IMAGE,
        "width": drawn.width,
        "height": drawn.height,
        "steps": 1,
        "seed": seed,
        "execution_time_s": round(time.monotonic() - began_s, 3),
    }
    (OUTPUTS / "result.json").write_text(json.dumps(result) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
