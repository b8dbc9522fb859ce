"""What runs in the job: opens the function, calls it, and leaves what it answers as JSON.

It is sent as a file with `values.py` beside it. Exit code 0 also where the function raises: a job that fails leaves no outputs.
"""

import json
import sys
import traceback
from importlib import import_module
from pathlib import Path

_MESSAGE_MAX = 10_000
_TRACEBACK_MAX = 100_000


def main(inputs: Path, outputs: Path) -> None:
    """Call the function in ``inputs``; write ``value.json`` or ``error.json`` into ``outputs``."""
    sys.path.insert(0, str(inputs))
    try:
        name, answer = "value.json", _called(inputs)
    except BaseException as error:  # noqa: BLE001 - whatever somebody's function raises is its answer, SystemExit too
        told = {
            "type": type(error).__qualname__,
            "message": str(error)[:_MESSAGE_MAX],
            "traceback": traceback.format_exc()[-_TRACEBACK_MAX:],
        }
        name, answer = "error.json", json.dumps(told).encode()
    (outputs / name).write_bytes(answer)


def _called(inputs: Path) -> bytes:
    # Lies beside this file in the job.
    values = import_module("values")
    wanted = json.loads((inputs / "python.json").read_text())
    if list(sys.version_info[:2]) != wanted:
        raise RuntimeError(
            f"the image has Python {sys.version_info[0]}.{sys.version_info[1]}, and the function comes from "
            f"{wanted[0]}.{wanted[1]}: pass an image= with that one"
        )
    import cloudpickle

    function = cloudpickle.loads((inputs / "function.pkl").read_bytes())
    args, kwargs = values.decode((inputs / "call.json").read_bytes())
    encoded: bytes = values.encode(function(*args, **kwargs))
    return encoded


if __name__ == "__main__":
    main(Path(__file__).parent, Path(sys.argv[1]))
