"""From no replica at all to a first token, phase by phase: the coordinator's own timeline, and the engine's of the container."""

import time
from datetime import datetime
from itertools import pairwise
from typing import Any

import docker
import trio

from .market import Market
from .model_load import Side, ask
from .report import Figure

_TOKENS = 8


def cold_start(market: Market, side: Side, model: str) -> list[Figure]:
    """One request to a model that has none; milliseconds of each phase, which add up to the whole."""
    began_s = time.time()
    answered = trio.run(ask, side, model, _TOKENS)
    first_s = began_s + answered.first_ms / 1000
    moments = [("", began_s), *_moments(market, model, answered.last), ("first token", first_s)]
    figures = [
        _figure(f"cold_{name.replace(' ', '_')}_ms_{model}", before, at)
        for (_, before), (name, at) in pairwise(in_order(moments))
    ]
    return [*figures, _figure(f"cold_start_ms_{model}", began_s, first_s)]


def in_order(moments: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The same, none before the one before it or after the last: what others' clocks say is off by some milliseconds."""
    since, until = moments[0][1], moments[-1][1]
    ordered = []
    for name, moment in moments:
        since = max(since, min(moment, until))
        ordered.append((name, since))
    return ordered


def _moments(market: Market, model: str, last: dict[str, Any]) -> list[tuple[str, float]]:
    """What had happened by when, Unix time."""
    tasks = market.api.get("/api/v1/tasks", params={"limit": 50}).json()["data"]["tasks"]
    (found,) = [one for one in tasks if one["name"] == f"replica of {model}"]
    replica = market.task(found["id"])
    at = _timeline(replica)
    client = docker.from_env()
    try:
        container = client.containers.get(f"neurogrid-{replica['leases'][-1]['id']}").attrs
    finally:
        client.close()
    use = _timeline(market.task(last["neurogrid"]["task_id"]))
    return [
        ("replica wanted", at["task.created"]),
        ("auction", at["task.awarded"]),
        ("accepted and escrow", at["task.starting"]),
        ("image and sandbox", _unix_s(container["Created"])),
        ("container start", _unix_s(container["State"]["StartedAt"])),
        ("server load and health", at["task.ready"]),
        ("lease for use wanted", use["task.created"]),
        # Its node serves ahead of its escrow (ADR 84), which opens beside the first token.
        ("lease for use", use["task.starting"]),
    ]


def _timeline(task: dict[str, Any]) -> dict[str, float]:
    """The last moment of each kind of event."""
    return {
        entry["event"]: datetime.fromisoformat(entry["at"]).timestamp()
        for entry in task["timeline"]
    }


def _unix_s(text: str) -> float:
    """Of the engine's times, which have nanoseconds."""
    return datetime.fromisoformat(f"{text[:26].rstrip('Z')}+00:00").timestamp()


def _figure(name: str, since_s: float, until_s: float) -> Figure:
    return Figure(name, round((until_s - since_s) * 1000), "ms", "-", None, None, 1)
