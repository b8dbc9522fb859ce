"""What the native API takes of workflows: tasks of any kind, by names of their owner's."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ...services.workflows import TASKS_MAX
from .model_schemas import ModelRequest
from .operation_schemas import OperationRequest
from .requests import LocalName, TaskRequest

# What a task of a workflow may be.
TASK_KINDS = (TaskRequest, ModelRequest, OperationRequest)
WORKFLOW_RULES = {"tasks": "a mapping whose names are letters, digits and hyphens"}


class WorkflowRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Tasks that are stored together, all or none."""

    tasks: Annotated[
        dict[LocalName, msgspec.Raw],
        Meta(
            min_length=1,
            max_length=TASKS_MAX,
            description="By names of yours, which `depends_on` and `from_task` may use; each as `POST /tasks` takes it.",
            extra_json_schema={
                "additionalProperties": {
                    "anyOf": [
                        {"$ref": f"#/components/schemas/{kind.__name__}"} for kind in TASK_KINDS
                    ]
                }
            },
        ),
    ]
    name: Annotated[str, Meta(max_length=200, examples=["Train and test"])] = ""
