"""Pages made from the code's own tables: error codes, events, settings, states."""

from pathlib import Path

from neurogrid import errors as sdk
from neurogrid.cli.exit_codes import EPILOG
from neurogrid_coordinator.api.errors import CODES as REST_CODES
from neurogrid_coordinator.event_kinds import EVENT_KINDS
from neurogrid_marketplace.faults import CONSEQUENCES
from neurogrid_node.doctor.findings import CODES as DOCTOR_CODES

ROOT = Path(__file__).parent.parent.parent
SETTINGS = {
    "node": "node/neurogrid_node/node.toml",
    "coordinator": "coordinator/neurogrid_coordinator/coordinator.toml",
}

# What to do about each code of the REST API.
ADVICE = {
    "INVALID_REQUEST": "Mend what the message names; `details.field` is where.",
    "UNAUTHORIZED": "Send a key: `NEUROGRID_API_KEY`, or `neurogrid login`.",
    "FORBIDDEN": "The key lacks a scope or role; make one with it (`neurogrid api-keys`).",
    "NOT_FOUND": "Check the id; what belongs to others is not found either.",
    "RATE_LIMITED": "Wait `Retry-After` seconds; the SDK does.",
    "INSUFFICIENT_CREDITS": "Deposit, or lower price, time limit or `max_total_cost`.",
    "QUOTA_EXCEEDED": "Raise the account's budget, or wait for the next month.",
    "NODE_UNAVAILABLE": "`neurogrid explain` says which condition to relax; `wait_for_node` queues it.",
    "KEY_EXPIRED": "Make a new key (`neurogrid api-keys`).",
    "TASK_NOT_FOUND": "`neurogrid list` shows your tasks.",
    "BATCH_NOT_FOUND": "Check the batch's id; it may be of another account.",
    "SCHEDULED_TASK_NOT_FOUND": "Check the schedule's id; it may be of another account.",
    "MODEL_UNAVAILABLE": "`neurogrid models list` shows which models there are.",
    "INVALID_CRON_EXPRESSION": "Five fields as cron has them; the message says which one is wrong.",
    "SIGNATURE_REQUIRED": "Sign with the account's wallet: `wallet_key`, or `NEUROGRID_WALLET_KEY`.",
    "SIGNATURE_INVALID": "Sign exactly what is sent, with the account's own wallet.",
    "SIGNATURE_EXPIRED": "Set the machine's clock, and sign anew.",
    "SIGNATURE_REPLAYED": "Sign anew: each signature serves once.",
    "METHOD_NOT_ALLOWED": "The header `Allow` says which methods there are.",
    "CONFLICT": "Look at its present state first; the message says what is in the way.",
    "IDEMPOTENCY_MISMATCH": "Another request with this key was different: use a new key.",
    "EXPIRED": "It was kept for its time and is gone; ask for it anew.",
    "NOT_SETTLED": "Ask again in some seconds; `details.missing` says what the receipt lacks.",
    "DEPENDENCY_UNMET": "A task that it needs has not completed; look at that one first.",
    "PAYLOAD_TOO_LARGE": "Send less, or upload it as a file.",
    "RANGE_NOT_SATISFIABLE": "Ask for bytes that the file has.",
    "UPGRADE_REQUIRED": "This path speaks WebSocket only.",
    "UNAVAILABLE": "Try again after `Retry-After` seconds.",
    "STORE_UNAVAILABLE": "The store of files is away: try again; the operator's log says why.",
    "TASK_FAILED": "`neurogrid logs TASK` shows what its program said.",
    "INTERNAL": "A defect of ours: report it with the answer's request id.",
}


def errors_page() -> str:
    """Every code there is, with what to do about it."""
    parts = [
        (
            "# Troubleshooting, by code\n\nMade from the code's own tables, so that none is missing. Search for the code"
            " that you have.\n\n## Error codes of the REST API\n\n| code | status | in the SDK | what to do |\n|---|---|---|---|\n"
        )
    ]
    for code, (status, _) in REST_CODES.items():
        raised = sdk.api_error(status=status, code=code, message="", details={})
        parts.append(f"| `{code}` | {status} | `{type(raised).__name__}` | {ADVICE[code]} |\n")
    parts.append(
        "\n## How a run ended\n\n| code | whose fault | charged | tried again | what to do |\n|---|---|---|---|---|\n"
    )
    for outcome, then in CONSEQUENCES.items():
        charged, again = ("yes" if yes else "no" for yes in (then.charged, then.retried))
        parts.append(
            f"| `{outcome.upper()}` | {then.fault} | {charged} | {again} | {then.advice} |\n"
        )
    parts.append(
        "\n## Exit codes of `neurogrid`\n\n```text\n" + EPILOG.replace("\b", "").strip() + "\n```\n"
    )
    parts.append(
        "\n## What doctor finds\n\n`neurogrid-node doctor` prints what to do beside each; more is on"
        " [its page](../doctor.md).\n\n| code | severity |\n|---|---|\n"
    )
    parts += [f"| `{name}` | {code.severity.value} |\n" for name, code in DOCTOR_CODES.items()]
    return "".join(parts)


def events_page() -> str:
    """Every event that a client may hear of."""
    rows = "".join(f"| `{name}` | {when} |\n" for name, when in EVENT_KINDS.items())
    return (
        "# Events\n\nHow they are told: [events](../events.md), [webhooks](../webhooks.md).\n\n"
        f"| event | when |\n|---|---|\n{rows}"
    )


def settings_page(daemon: str) -> str:
    """The daemon's template: every key, its default, its unit; a test holds it to what the daemon reads."""
    text = (ROOT / SETTINGS[daemon]).read_text().rstrip()
    return f"# {daemon}.toml\n\nEvery key with its default. A key that is not here is an error.\n\n```toml\n{text}\n```\n"
