"""Methods that bend the rules. Each takes one object; its ``key`` is the ledger's control key."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from neurogrid_contracts.ledger.backend import Backend, Method
from neurogrid_contracts.ledger.errors import invalid_params
from neurogrid_contracts.ledger.faults import FaultPlan
from neurogrid_contracts.ledger.params import Options, Params

# Ten years: enough for every deadline, and far from the end of the clock's range.
_WARP_SECONDS_MAX = 10 * 365 * 86_400
_WARP_SLOTS_MAX = 1_000_000_000
# By then every blockhash that the fork left alive is dead.
_RETURN_SLOTS_MAX = 150


def warp(backend: Backend, params: Params) -> Any:
    options = _options(backend, params, {"seconds", "slots"})
    seconds = options.integer("seconds", high=_WARP_SECONDS_MAX) or 0
    slots = options.integer("slots", low=1, high=_WARP_SLOTS_MAX) or 1
    backend.ledger.warp(seconds=seconds, slots=slots)
    return {"slot": backend.ledger.slot, "unix_time": backend.ledger.svm.unix_time}


def fork(backend: Backend, params: Params) -> Any:
    options = _options(backend, params, {"slots", "returnAfterSlots"})
    done = backend.ledger.fork(
        slots=options.integer("slots", low=1) or 1,
        return_after_slots=options.integer("returnAfterSlots", high=_RETURN_SLOTS_MAX),
    )
    return {
        "slot": done.slot,
        "parent": done.parent,
        "dropped": list(done.dropped),
        "signatures": [str(signature) for signature in done.signatures],
    }


def faults(backend: Backend, params: Params) -> Any:
    settings = _checked(backend, params, {each.name for each in fields(FaultPlan)})
    if settings:
        if isinstance(settings.get("methods"), list):
            settings["methods"] = tuple(settings["methods"])
        try:
            plan = FaultPlan(**settings)
        except (ValueError, TypeError) as error:
            raise invalid_params(str(error)) from error
        backend.faults.set(plan)
    return {"plan": asdict(backend.faults.plan), "struck": backend.faults.counts()}


def _options(backend: Backend, params: Params, names: set[str]) -> Options:
    return Options(_checked(backend, params, names))


def _checked(backend: Backend, params: Params, names: set[str]) -> dict[str, Any]:
    """The settings without the key, which was right. A name that is none of ``names`` is refused.

    A misspelt fault that never strikes would make a test worthless.
    """
    given: Mapping[str, Any] = params.mapping(0, "settings") if params.has(0) else {}
    backend.control_key.check(given.get("key"))
    settings = {name: value for name, value in given.items() if name != "key"}
    for name in settings:
        if name not in names:
            known = ", ".join(sorted(names))
            raise invalid_params(f"unknown setting {name[:64]!r}; known: {known}")
    return settings


METHODS = {
    "neurogrid_faults": Method(faults, 1),
    "neurogrid_fork": Method(fork, 1),
    "neurogrid_warp": Method(warp, 1),
}
