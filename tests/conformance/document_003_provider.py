"""Document 003's other half: every call of a provider that it prints, by our SDK, with a real machine and real money.

It needs the wallet of the key's account (NEUROGRID_WALLET_KEY), with 20 USDC and some SOL in it: that stakes, bids, and is
paid by the same account's tasks.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conformance.sdk_calls import Call, SdkDocument
from neurogrid import Client, ConflictError, Provider
from neurogrid.profile import WALLET_KEY_VARIABLE

_AWAITS = f"the wallet of the key's account: {WALLET_KEY_VARIABLE}"
_PATIENCE_S = 60.0
_RESULT = b"what came of it\n"
# Somebody's; it keeps half a USDC.
_ELSEWHERE = "5ZWj7a1f8tWkjBESHKgrLmXshuXxqeY9SYcfbshpAqPG"
_TRANSFER = 'result.status in ("confirmed", "completed") and result.signature'


@contextmanager
def _providers(url: str, key: str) -> Iterator[Mapping[str, Any]]:
    wallet = os.environ.get(WALLET_KEY_VARIABLE)
    if not wallet:
        yield {"provider": None}
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        Client(key, url) as client,
        Provider(key, wallet, url, state_directory=folder) as provider,
    ):
        file = Path(folder) / "result.txt"
        file.write_bytes(_RESULT)
        yield {
            "client": client,
            "provider": provider,
            "result_file": str(file),
            "result_hash": hashlib.sha256(_RESULT).hexdigest(),
            "awarded": _awarding(client, provider),
        }


def _awarding(client: Client, provider: Provider) -> Callable[[str, bool], str]:
    """Has a task submitted that only the document's GPU can run, until that is awarded it; the award's id.

    Args (of what is returned):
        image: of the task.
        starts: whether it is accepted and started, too.
    """

    def awarded(image: str, starts: bool) -> str:
        submitted = client.tasks.create(
            type="gpu",
            resource_requirements={
                "cpu_cores": 0.5,
                "gpu_memory_gb": 8,
                "gpu_model": "RTX 4090",
                "ram_gb": 0.2,
                "storage_gb": 0.05,
            },
            docker_image=image,
            command=["true"],
            max_price_per_hour="10.00",
            timeout_seconds=60,
            wait_for_node=True,
        )
        for task in provider.tasks.offers(timeout_seconds=_PATIENCE_S):
            if not starts:
                return task.id
            try:
                provider.tasks.accept(task.id, resource_id=task.resource_id)
            except ConflictError:
                continue  # too late on a busy machine: it is awarded again
            provider.tasks.wait_for_job(task.id)
            provider.tasks.start(task.id)
            return task.id
        raise TimeoutError(f"{submitted.id} was not awarded to the provider")

    return awarded


def _call(code: str, **more: Any) -> Call:
    return Call(code, needs="provider", awaits=_AWAITS, **more)


DOCUMENT = SdkDocument(
    number="003",
    name="RoboCompute SDK, providers",
    made=_providers,
    calls=(
        # Without stake nobody is awarded anything, so that comes first.
        _call(
            """
result = provider.staking.stake(
    amount="1000.00",
    currency="USDC"
)
""",
            apart={'"1000.00"': '"12.00"'},
            shows=('result.kind == "stake" and result.amount == 12', _TRANSFER),
        ),
        _call(
            "status = provider.staking.get_status()",
            shows=("status.registered and status.staked >= 12", "status.unbonding >= 0"),
        ),
        _call(
            """
result = provider.staking.unstake(
    amount="500.00",
    currency="USDC"
)
""",
            apart={'"500.00"': '"2.00"'},
            shows=('result.kind == "unstake" and result.amount == 2', _TRANSFER),
        ),
        _call(
            """
resource = provider.resources.create(
    resource_type="gpu",
    specifications={
        "model": "NVIDIA RTX 4090",
        "memory_gb": 24
    },
    pricing={"per_hour": "8.00"}
)
""",
            shows=(
                'resource.resource_type == "gpu" and resource.status == "available"',
                'resource.specifications.model == "NVIDIA RTX 4090"',
                "resource.specifications.memory_gb == 24",
                "resource.pricing.per_hour == 8",
            ),
            then="resource_id = resource.id",
        ),
        _call(
            "resource = provider.resources.get(resource_id)",
            shows=("resource.id == resource_id",),
        ),
        _call(
            'resources = provider.resources.list(type="gpu", status="available")',
            shows=("resource_id in [each.id for each in resources.resources]",),
        ),
        _call(
            """
result = provider.resources.update(
    resource_id,
    pricing={"per_hour": "10.00"},
    status="available"
)
""",
            shows=('result.pricing.per_hour == 10 and result.status == "available"',),
        ),
        _call(
            'result = provider.tasks.accept(task_id, resource_id="resource_123")',
            apart={'"resource_123"': "resource_id"},
            first="task_id = awarded(image, False)",
            shows=('result.status == "accepted" and result.resource_id == resource_id',),
        ),
        _call(
            """
result = provider.tasks.start(
    task_id,
    container_id="docker_container_id",
    resource_usage={"cpu_cores": 4, "gpu_memory_gb": 8}
)
""",
            first="provider.tasks.wait_for_job(task_id)",
            shows=('result.status == "running"', 'result.container_id == "docker_container_id"'),
        ),
        _call(
            """
result = provider.tasks.update_progress(
    task_id,
    progress=65,
    metrics={"cpu_usage": 85.5, "gpu_usage": 92.3}
)
""",
            shows=('result.progress == 65 and result.status == "running"',),
        ),
        _call(
            """
result = provider.tasks.complete(
    task_id,
    result_hash="sha256_hash",
    result_storage_url="https://storage.robocompute.xyz/results/...",
    execution_time_seconds=3600
)
""",
            apart={
                '"sha256_hash"': "result_hash",
                '"https://storage.robocompute.xyz/results/..."': "result_file",
                "3600": "0.5",
            },
            first="until(lambda: provider.tasks.get(task_id).metered_seconds > 0.5)",
            shows=(
                'result.outcome == "completed"',
                "provider.tasks.wait_until_paid(task_id).earned > 0",
            ),
        ),
        _call(
            """
result = provider.tasks.fail(
    task_id,
    error_code="EXECUTION_ERROR",
    error_message="Container crashed"
)
""",
            first="task_id = awarded(image, True)",
            shows=(
                'result.outcome == "exit_nonzero"',
                'provider.tasks.wait_until_paid(task_id).status == "closed"',
            ),
        ),
        _call(
            "result = provider.resources.delete(resource_id)",
            shows=('result.status == "offline"',),
        ),
        _call(
            """
summary = provider.earnings.get_summary(
    start_date="2025-01-01",
    end_date="2025-01-31"
)
""",
            shows=(
                'summary.start_date == "2025-01-01" and summary.paid == 0',
                "provider.earnings.get_summary().paid > 0",
            ),
        ),
        _call(
            """
payout = provider.payouts.request(
    amount="500.00",
    currency="USDC",
    wallet_address="YourSolanaWalletAddress"
)
""",
            apart={'"500.00"': '"0.50"', "YourSolanaWalletAddress": _ELSEWHERE},
            shows=('payout.kind == "payout" and payout.status in ("confirmed", "completed")',),
        ),
        _call(
            "history = provider.payouts.get_history(limit=50)",
            shows=("payout.id in [each.id for each in history.payouts]",),
        ),
    ),
)
