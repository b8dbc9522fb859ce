"""Streamed answers of a model by `/v1`, beside its container's own port and LiteLLM's proxy in front of the same container, in turns.

Two models: `bard-1m`, our smallest, whose container wants all of a machine without a GPU, and one that writes a word each 20 ms and costs
the machine nothing, as one on a GPU does. All three ways are asked the same, by the same client, on connections that are open before
the clock runs. Before that, with no replica anywhere, the first request of all: a cold start.
"""

from pathlib import Path
from statistics import median

import psutil
import trio

from .cold_start import cold_start
from .market import Market
from .model_load import Answered, Load, Side, ask, load, p50_p95
from .replica_market import LITELLM, PACED, direct, keep_replicas, litellm, ours
from .report import Figure, beside

_MODELS = (PACED, "bard-1m")
_CLIENTS = 8
_ROUNDS = 40
_TOKENS = 16
_LOADS = 3
# Of each client, of so many tokens.
_ANSWERS = 2
_LOAD_TOKENS = 128
_MIB = 1024**2


def measure(market: Market, directory: Path) -> list[Figure]:
    """Cold starts, then all sides in turn for each model."""
    keep_replicas(market)
    figures = []
    for model in _MODELS:
        print(f"{model}: cold start ...", flush=True)
        figures += cold_start(market, ours(market), model)
        with litellm(directory, market, model) as beside_us:
            sides = [direct(market, model), ours(market)]
            if beside_us is not None:
                sides.append(beside_us)
            print(f"{model}: one client, then {_CLIENTS} ...", flush=True)
            figures += trio.run(_in_turns, model, sides)
    return figures


async def _in_turns(model: str, sides: list[Side]) -> list[Figure]:
    single: dict[str, list[Answered]] = {side.name: [] for side in sides}
    loads: dict[str, list[Load]] = {side.name: [] for side in sides}
    cpu_ms: dict[str, list[float]] = {side.name: [] for side in sides}
    for side in sides:
        # What is opened at the first request of all.
        await load(side, model, _TOKENS, _CLIENTS, 1)
    for _ in range(_ROUNDS):
        for side in sides:
            single[side.name].append(await ask(side, model, _TOKENS))
    for _ in range(_LOADS):
        for side in sides:
            before_s = _cpu_s(side)
            one = await load(side, model, _LOAD_TOKENS, _CLIENTS, _ANSWERS)
            loads[side.name].append(one)
            cpu_ms[side.name].append((_cpu_s(side) - before_s) / one.tokens * 1000)
    memory_mib = {side.name: sum(map(_private_mib, side.pids)) for side in sides}
    return [
        *_first_tokens(model, "", single),
        *_first_tokens(model, "_at_8", _answers_of(loads)),
        _figure(f"token_rate_ratio_{model}", "of direct", _rates(loads), _LOADS),
        _figure(f"token_cpu_ms_{model}", "ms", {n: median(of) for n, of in cpu_ms.items()}, _LOADS),
        _figure(f"token_way_mib_{model}", "MiB", memory_mib, 1),
        beside(
            f"tokens_per_s_{model}",
            *(_rate(loads["ours"]), "1/s", "the container itself", _rate(loads["direct"])),
            _LOADS,
        ),
    ]


def _first_tokens(model: str, suffix: str, by_side: dict[str, list[Answered]]) -> list[Figure]:
    """How much later the first token comes than from the container itself."""
    floor = p50_p95(by_side["direct"])
    figures = []
    for index, percent in enumerate(("p50", "p95")):
        added = {name: p50_p95(of)[index] - floor[index] for name, of in by_side.items()}
        name = f"added_ttft_{percent}{suffix}_ms_{model}"
        figures.append(_figure(name, "ms", added, len(by_side["ours"])))
        figures.append(
            beside(
                f"ttft_{percent}{suffix}_ms_{model}",
                *(floor[index] + added["ours"], "ms", "the container itself", floor[index]),
                len(by_side["ours"]),
            )
        )
    return figures


def _answers_of(loads: dict[str, list[Load]]) -> dict[str, list[Answered]]:
    return {name: [each for one in of for each in one.answers] for name, of in loads.items()}


def _rates(loads: dict[str, list[Load]]) -> dict[str, float]:
    """Of the container's own rate, each side's in the same turn."""
    floor = loads["direct"]
    return {
        name: median(one.per_s / own.per_s for one, own in zip(of, floor, strict=True))
        for name, of in loads.items()
    }


def _rate(loads: list[Load]) -> float:
    return median(one.per_s for one in loads)


def _figure(name: str, unit: str, by_side: dict[str, float], n: int) -> Figure:
    """Ours beside LiteLLM's, where that could be had."""
    if LITELLM in by_side:
        return beside(name, by_side["ours"], unit, LITELLM, by_side[LITELLM], n)
    return Figure(name, round(by_side["ours"], 3), unit, f"{LITELLM} (not here)", None, None, n)


def _cpu_s(side: Side) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in side.pids]
    return sum(each.user + each.system for each in times)


def _private_mib(pid: int) -> float:
    return float(psutil.Process(pid).memory_full_info().uss) / _MIB
