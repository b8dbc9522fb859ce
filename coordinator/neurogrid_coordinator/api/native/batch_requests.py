"""What the native API takes of batches."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from neurogrid_marketplace.fields import Sha256

from ...batches.batch_rules import CONCURRENCY, CONCURRENCY_MAX, RETRIES_MAX
from ...services.batch_intake import CLIENT_ID_CHARS_MAX
from ...services.errors import InvalidRequest
from .model_schemas import ModelRequest
from .operation_schemas import OperationRequest
from .requests import TaskRequest

# Ten thousand tasks with a few hundred bytes each; for more there is CSV.
BODY_BYTES_MAX = 8 * 1024 * 1024
TASKS_MAX = 10_000

TASK_FIELDS = frozenset(
    field.name
    for kind in (TaskRequest, OperationRequest, ModelRequest)
    for field in msgspec.structs.fields(kind)
)
BATCH_RULES = {"csv.sha256": "64 lower-case hex digits"}

TaskFields = Annotated[
    dict[str, Any],
    Meta(
        description="Fields of `POST /tasks`, and `id`: yours, once in the batch. What is missing is the "
        "batch's `defaults`; of `env`, `resource_requirements` and `parameters`, name by name.",
    ),
]
Defaults = Annotated[
    dict[str, Any],
    Meta(description="Fields of `POST /tasks`, of every task that does not have them itself."),
]
Retries = Annotated[
    int, Meta(ge=0, le=RETRIES_MAX, description="How often a task that fails is tried again.")
]
Concurrency = Annotated[
    int,
    Meta(ge=1, le=CONCURRENCY_MAX, description="How many of its tasks may wait or run at a time."),
]


class CsvRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """An artifact that is a CSV file: a task a row, a field a column (docs/batches.md)."""

    sha256: Sha256


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Tasks, in one of three ways, and how they are run."""

    id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=CLIENT_ID_CHARS_MAX)] | None,
        Meta(description="Yours, once in your account; routes take it beside ours."),
    ] = None
    name: Annotated[str, Meta(max_length=200, examples=["Thumbnails"])] = ""
    description: Annotated[str, Meta(max_length=2000)] = ""
    tasks: Annotated[
        Annotated[tuple[TaskFields, ...], Meta(min_length=1, max_length=TASKS_MAX)] | None,
        Meta(description=f"At most {TASKS_MAX}; more come as CSV."),
    ] = None
    csv: CsvRequest | None = None
    input_file: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1024)] | None,
        Meta(
            description="A CSV file in your folder on the coordinator, where its operator has one."
        ),
    ] = None
    defaults: Defaults = {}
    max_concurrency: Concurrency = CONCURRENCY
    parallel: Annotated[
        bool, Meta(description="false: one after the other, whatever `max_concurrency` says.")
    ] = True
    retries: Retries = 0
    max_cost: Annotated[
        Decimal | None,
        Meta(description="USDC, of all tasks together. What does not fit any more fails."),
    ] = None
    execute: Annotated[
        bool, Meta(description="false: it waits for `POST /batches/{batch_id}/execute`.")
    ] = True


class RetryRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What is tried again."""

    cancelled: Annotated[bool, Meta(description="What was cancelled, too.")] = False
    max_cost: Annotated[
        Decimal | None, Meta(description="USDC: another budget, for all of the batch.")
    ] = None


def check_defaults(defaults: Mapping[str, Any], field: str = "defaults") -> None:
    """Refuse what is no field of a task.

    Raises:
        InvalidRequest: names it.
    """
    for name in defaults:
        if name not in TASK_FIELDS:
            where = f"{field}.{name[:80]}"
            raise InvalidRequest(f"{where}: is not a field of a task", where)
