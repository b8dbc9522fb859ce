"""Document 003, an SDK's API reference: every call of a client that it prints. What providers call is in a file of its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from conformance.sdk_calls import Call, SdkDocument
from neurogrid import Client

_STATUSES = '("pending", "running", "completed", "failed", "cancelled")'
_CREATE = """
task = client.tasks.create(
    name="Task Name",
    type="gpu",  # or "cpu"
    resource_requirements={
        "cpu_cores": 4,
        "gpu_memory_gb": 8,
        "ram_gb": 16,
        "storage_gb": 50
    },
    docker_image="your-registry/image:tag",
    command=["python", "script.py"],
    max_price_per_hour="10.00",  # USDC
    timeout_seconds=3600,
    priority="high"  # or "normal", "low"
)
"""
_SMALL = {
    'type="gpu"': 'type="cpu"',
    '"cpu_cores": 4': '"cpu_cores": 0.5',
    '"gpu_memory_gb": 8': '"gpu_memory_gb": 0',
    '"ram_gb": 16': '"ram_gb": 0.2',
    '"storage_gb": 50': '"storage_gb": 0.05',
    '"your-registry/image:tag"': '"{image}"',
    '["python", "script.py"]': '["sh", "-c", "sleep 2; echo done"]',
}
# Nobody does it for so little, so it waits.
_WAITING = """
task_id = client.tasks.create(
    docker_image=task.docker_image, command=task.command, max_price_per_hour="0.000001",
    timeout_seconds=60, wait_for_node=True,
    resource_requirements={"cpu_cores": 0.5, "ram_gb": 0.2, "storage_gb": 0.05},
).id
"""
_ERRORS = """
from robocompute.exceptions import (
    InsufficientFundsError,
    TaskNotFoundError,
    ProviderUnavailableError,
    AuthenticationError,
    RateLimitError
)

try:
    task = client.tasks.create(...)
except InsufficientFundsError as e:
    print(f"Insufficient funds: {e.details}")
except TaskNotFoundError as e:
    print(f"Task {e.task_id} not found")
except RateLimitError as e:
    print(f"Rate limit exceeded. Retry after {e.retry_after} seconds")
"""
_OURS = {"from robocompute.exceptions": "from neurogrid.exceptions"}
_PRINTED_CALL = "client.tasks.create(...)"


@contextmanager
def _clients(url: str, key: str) -> Iterator[Mapping[str, Any]]:
    with Client(key, url) as client, Client("ng_nobody", url) as stranger:
        yield {"client": client, "stranger": stranger}


DOCUMENT = SdkDocument(
    number="003",
    name="RoboCompute SDK, clients",
    made=_clients,
    calls=(
        Call(
            "balance = client.wallet.get_balance()",
            # Returns: {"usdc_balance": "1000.50", "usdt_balance": "500.25"}
            shows=(
                'isinstance(balance["usdc_balance"], str) and float(balance["usdc_balance"]) > 0',
                'isinstance(balance["usdt_balance"], str) and float(balance["usdt_balance"]) >= 0',
            ),
        ),
        # As it is printed, where the market has such a machine and the account so much; else by the printed error.
        Call(
            _CREATE,
            may_raise="ProviderUnavailableError",
            shows=('task.status == "pending"',),
            then="client.tasks.cancel(task.id)",
        ),
        Call(
            _CREATE,
            apart=_SMALL,
            shows=(
                f"task.status in {_STATUSES}",
                'task.name == "Task Name" and task.priority == "high"',
                "task.max_price_per_hour == 10 and task.timeout_seconds == 3600",
                "task.resource_requirements.cpu_cores == 0.5",
                'task.command == ["sh", "-c", "sleep 2; echo done"]',
            ),
            then="task_id = task.id",
        ),
        Call(
            "task = client.tasks.get(task_id)",
            shows=("task.id == task_id", f"task.status in {_STATUSES}"),
        ),
        Call(
            """
for update in client.tasks.stream(task_id):
    print(f"Status: {update.status}, Progress: {update.progress}%")
""",
            shows=(
                'printed[0] == "Status: pending, Progress: 0.0%"',
                'printed[-1] == "Status: completed, Progress: 100.0%"',
                'update.type == "task.completed"',
            ),
        ),
        Call(
            """
tasks = client.tasks.list(
    status="running",
    limit=50,
    offset=0
)
""",
            shows=('all(task.status == "running" for task in tasks)',),
        ),
        Call(
            "logs = client.tasks.get_logs(task_id, lines=100, follow=False)",
            shows=("isinstance(logs, str)",),
        ),
        Call(
            "metrics = client.tasks.get_metrics(task_id)",
            first="until(lambda: client.tasks.get_metrics(task_id).samples)",
            shows=(
                'metrics.status == "completed" and metrics.progress == 100',
                "metrics.summary.cpu_seconds > 0 and metrics.summary.memory_peak_bytes > 0",
                "metrics.samples[-1].memory_bytes >= 0",
            ),
        ),
        Call(
            """
result = client.tasks.update(
    task_id,
    max_price_per_hour="15.00",
    priority="high"
)
""",
            first=_WAITING,
            shows=(
                "result.id == task_id and result.max_price_per_hour == 15",
                'result.priority == "high"',
                # It waited for that.
                'client.tasks.wait(task_id, timeout_s=120).status == "completed"',
            ),
        ),
        Call(
            "result = client.tasks.cancel(task_id)",
            first=_WAITING,
            shows=('result.id == task_id and result.status == "cancelled"',),
        ),
        Call(
            """
deposit = client.wallet.deposit(
    amount="100.00",
    currency="USDC"  # or "USDT"
)
""",
            # Of a wallet that has less.
            may_raise="InsufficientFundsError",
            shows=('deposit.kind == "deposit" and deposit.amount == 100', "deposit.does"),
        ),
        Call(
            """
history = client.billing.get_history(
    start_date="2025-01-01",
    end_date="2025-01-31"
)
""",
            shows=("len(history) <= history.total", "history.totals.paid >= 0"),
            then="""
invoices = client.billing.list_invoices(limit=1).invoices
invoice_id = invoices[0].id if invoices else None
""",
        ),
        Call(
            "invoice = client.billing.get_invoice(invoice_id)",
            needs="invoice_id",
            awaits="an invoice: a month in which the account paid something, and which is over",
            shows=("invoice.id == invoice_id and invoice.total > 0",),
        ),
        Call(
            """
providers = client.providers.search(
    gpu_memory_min=8,
    cpu_cores_min=4,
    max_price=15.00,
    location="us-east"
)
""",
            shows=(
                'all("us-east" in provider.locations for provider in providers)',
                "all(provider.price_per_hour <= 15 for provider in providers)",
            ),
            then="provider_id = client.providers.search(limit=1).providers[0].id",
        ),
        Call(
            "provider = client.providers.get(provider_id)",
            shows=("provider.id == provider_id and provider.nodes",),
        ),
        Call(
            _ERRORS,
            apart=_OURS
            | {
                _PRINTED_CALL: "client.tasks.create("
                'docker_image="{image}", max_price_per_hour="9000000", timeout_seconds=3600)'
            },
            shows=(
                'printed[0].startswith("Insufficient funds: {") and "needed" in printed[0]',
                (
                    "all(issubclass(each, neurogrid.NeuroGridError) for each in (InsufficientFundsError, "
                    "TaskNotFoundError, ProviderUnavailableError, AuthenticationError, RateLimitError))"
                ),
            ),
        ),
        Call(
            _ERRORS,
            apart=_OURS | {_PRINTED_CALL: 'client.tasks.get("task_none")'},
            shows=('printed == ["Task task_none not found"]',),
        ),
        Call(
            _ERRORS,
            apart=_OURS
            | {
                _PRINTED_CALL: "client.tasks.create("
                'docker_image="{image}", max_price_per_hour="1", regions=["nowhere-1"])',
                "except TaskNotFoundError as e:": "except ProviderUnavailableError as e:",
                '(f"Task {e.task_id} not found")': "(e.explanation.matching)",
            },
            shows=('printed == ["0"]',),
        ),
        Call(
            _ERRORS,
            apart=_OURS
            | {
                _PRINTED_CALL: "stranger.tasks.list()",
                "except TaskNotFoundError as e:": "except AuthenticationError as e:",
                '(f"Task {e.task_id} not found")': "(e.code)",
            },
            shows=('printed == ["UNAUTHORIZED"]',),
        ),
        Call(
            _ERRORS,
            needs="limited",
            awaits="an account that may ask no more; a test has one without a network (tests/sdk/test_transport.py)",
        ),
        Call(
            "limits = rate_limits()",
            shows=(
                (
                    'not limits or {name.lower() for name in limits} >= {"x-ratelimit-limit", '
                    '"x-ratelimit-remaining", "x-ratelimit-reset"}'
                ),
                "all(value.isdecimal() for value in limits.values())",
            ),
        ),
    ),
)
