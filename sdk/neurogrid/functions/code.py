"""What goes along to the job: the function, by cloudpickle, and all that opens it there."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ConfigurationError

_HERE = Path(__file__).parent


def write_code(function: Callable[..., Any], folder: Path) -> dict[str, Path]:
    """The job's input files but for its arguments: path below /inputs -> file. What is made of the function goes into ``folder``.

    Raises:
        ConfigurationError: cloudpickle is not installed, or can't take the function.
    """
    cloudpickle = _cloudpickle()
    try:
        pickled = cloudpickle.dumps(function)
    # Whatever the function has closed over may refuse in its own words.
    except Exception as error:
        raise ConfigurationError(
            f"the function can't be taken along: {error}. What it uses from outside of it has to be pickled: "
            "open files, locks and clients are made inside"
        ) from error
    pickle, python = folder / "function.pkl", folder / "python.json"
    pickle.write_bytes(pickled)
    python.write_text(json.dumps(sys.version_info[:2]))
    files = {"function.pkl": pickle, "python.json": python}
    files |= {name: _HERE / name for name in ("run.py", "values.py")}
    assert cloudpickle.__file__ is not None
    package = Path(cloudpickle.__file__).parent
    return files | {f"cloudpickle/{file.name}": file for file in sorted(package.glob("*.py"))}


def _cloudpickle() -> ModuleType:
    try:
        import cloudpickle
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "Functions are taken along by a package that is not installed: pip install 'neurogrid[remote]'"
        ) from error
    module: ModuleType = cloudpickle
    return module
