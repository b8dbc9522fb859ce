"""Draw a landscape: read /inputs/request.json, leave /outputs/result.json (docs/models.md has both forms).

The model knows no words: of the request the size and the seed count, and the prompt does not. One step takes noise to a map
of heights, smooth or rough as the seed has it.
"""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path

import numpy as np

from models.terrain.relief import picture

INPUTS, OUTPUTS = Path("/inputs"), Path("/outputs")
_IMAGE = "image.png"
# What the model was trained at: points on each side.
_SIDE = 128


def main() -> None:
    """See the module."""
    # Only the image has these packages.
    import onnxruntime
    from terrain_diffusion import TerrainGenerator

    # It would tell its makers of its use, if it had a network.
    onnxruntime.disable_telemetry_events()
    began_s = time.monotonic()
    wanted = json.loads((INPUTS / "request.json").read_text())["parameters"]
    seed = secrets.randbits(32) if wanted["seed"] is None else wanted["seed"]
    model = TerrainGenerator(device="cpu")
    heights = model.generate(1, shape=_SIDE, difficulty="random", seed=seed)
    drawn = picture(
        np.asarray(heights, dtype=np.float32).reshape(_SIDE, _SIDE),
        wanted["width"],
        wanted["height"],
    )
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
