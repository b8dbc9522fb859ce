"""Runs a model's image as a node does, for the tests of those images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import docker

from neurogrid_coordinator.models_config import read_catalogue
from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.model_requests import (
    ModelInput,
    ModelResult,
    read_result,
    request_bytes,
    whole_parameters,
)


def ask(
    folder: Path,
    model_id: str,
    asked: ModelInput,
    parameters: Mapping[str, Json],
    files: Mapping[str, bytes] | None = None,
) -> ModelResult:
    """What a model of the shipped catalogue leaves; its files are in ``folder / "outputs"``."""
    model = read_catalogue("", folder).find(model_id)
    assert model is not None
    inputs, outputs = folder / "inputs", folder / "outputs"
    for each in (inputs, outputs):
        each.mkdir()
        each.chmod(0o777)
    for name, data in (files or {}).items():
        (inputs / name).write_bytes(data)
    whole = whole_parameters(model.type, parameters)
    (inputs / "request.json").write_bytes(request_bytes(model.id, model.type, asked, whole))
    engine = docker.from_env()
    try:
        engine.containers.run(
            model.image,
            list(model.command) or None,
            volumes=[f"{inputs}:/inputs:ro", f"{outputs}:/outputs"],
            network_mode="none",
            read_only=True,
            user="10001:10001",
            cap_drop=["ALL"],
            mem_limit=model.needs.memory_bytes,
            remove=True,
        )
    finally:
        engine.close()
    result = read_result((outputs / "result.json").read_bytes())
    assert result is not None
    return result
