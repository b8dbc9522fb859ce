"""Document 004, OpenRuntime: every request that it prints, with the answer that it prints."""

from conformance.exchanges import Document, Exchange, Socket

_STATUSES = ("pending", "running", "completed", "failed", "cancelled")

_TASK_ANSWER = """
{
  "task_id": "task_1234567890",
  "status": "completed",
  "result": {
    "execution_time": 0.523,
    "device_used": "device_0",
    "output": { ... }
  },
  "execution_time": 0.523,
  "timestamp": "2024-01-01T00:00:00Z"
}
"""
_ERROR = """
{
  "status": "error",
  "data": { ... },
  "error": "error message if applicable",
  "timestamp": "2024-01-01T00:00:00Z"
}
"""
_COMPLETED = {"status": ("completed",)}
_REFUSED = {"status": ("error",)}


def _operation(name: str, size: int = 1000) -> Exchange:
    """One of the words that the document lists for `operation`, with the parameters that it prints."""
    body = f'{{"operation": "{name}", "parameters": {{"size": {size}, "iterations": 10}}}}'
    return Exchange("POST /tasks", body=body, answer=_TASK_ANSWER, words=_COMPLETED)


def _preference(device: str) -> Exchange:
    body = (
        '{"operation": "compute", "parameters": {"size": 1000}, '
        f'"device_preference": "{device}"}}'
    )
    return Exchange("POST /tasks", body=body, answer=_TASK_ANSWER, words=_COMPLETED)


_SYSTEM = (
    Exchange(
        "GET /",
        answer="""
{
  "name": "OpenRuntime",
  "version": "2.0.0",
  "status": "running"
}
""",
        words={"name": ("OpenRuntime",), "version": ("2.0.0",), "status": ("running",)},
    ),
    Exchange(
        "GET /health",
        answer="""
{
  "status": "healthy",
  "timestamp": "2024-01-01T00:00:00Z",
  "service": "OpenRuntime",
  "version": "2.0.0",
  "devices": 1,
  "metrics": {
    "gpu_utilization": 45.2,
    "memory_usage": 32.1,
    "active_tasks": 2,
    "ai_tasks_processed": 150
  }
}
""",
        words={"status": ("healthy",), "service": ("OpenRuntime",)},
    ),
    Exchange(
        "GET /metrics",
        answer="""
{
  "gpu_utilization": 45.2,
  "memory_usage": 32.1,
  "active_tasks": 2,
  "ai_tasks_processed": 150,
  "uptime": "2h 15m",
  "timestamp": "2024-01-01T00:00:00Z"
}
""",
    ),
    Exchange(
        "GET /devices",
        answer="""
{
  "devices": [
    {
      "id": "device_0",
      "name": "Apple M1 Max",
      "type": "gpu",
      "status": "available",
      "capabilities": ["metal", "mlx", "unified_memory"],
      "memory_total": 34359738368,
      "memory_available": 25769803776
    }
  ]
}
""",
        filled=("devices", "devices[].capabilities"),
        keeps={"device": "devices[0].id"},
    ),
)

_TASKS = (
    Exchange(
        "POST /tasks",
        body="""
{
  "operation": "matrix_multiply",
  "parameters": {
    "size": 1000,
    "iterations": 10
  },
  "device_preference": "auto",
  "priority": 1
}
""",
        answer=_TASK_ANSWER,
        words=_COMPLETED,
    ),
    # The examples in Python, cURL and JavaScript send this one.
    Exchange(
        "POST /tasks",
        body='{"operation": "matrix_multiply", "parameters": {"size": 1000}}',
        answer=_TASK_ANSWER,
        words=_COMPLETED,
    ),
    *(_operation(name) for name in ("compute", "vector_operations")),
    # Its sizes are 10^6 bytes: making, copying and hashing a thousand of them takes a busy machine most of a minute.
    _operation("memory_bandwidth", size=50),
    *(_preference(device) for device in ("gpu", "cpu", "{device}")),
    Exchange(
        "GET /tasks/enhanced",
        answer="""
{
  "tasks": [
    {
      "task_id": "task_1234567890",
      "operation": "matrix_multiply",
      "status": "completed",
      "performance_metrics": {
        "execution_time_ms": 523,
        "memory_used_mb": 256.5,
        "gpu_utilization": 87.3
      },
      "timestamp": "2024-01-01T00:00:00Z"
    }
  ],
  "total_count": 1250,
  "timestamp": "2024-01-01T00:00:00Z"
}
""",
        words={"tasks[].status": _STATUSES},
        filled=("tasks",),
    ),
    Exchange(
        "GET /tasks/enhanced?limit=1&offset=1",
        answer='{"tasks": [{"task_id": "task_1234567890"}], "total_count": 1250}',
        filled=("tasks",),
    ),
)

# Its table of error codes, in its common response format.
_ERRORS = (
    Exchange("POST /tasks", body='{"operation": ', status=400, answer=_ERROR, words=_REFUSED),
    Exchange(
        "POST /tasks",
        body='{"operation": "nothing", "parameters": {}}',
        status=422,
        answer=_ERROR,
        words=_REFUSED,
    ),
    Exchange(
        "POST /tasks",
        body='{"operation": "compute", "parameters": {}, "priority": 11}',
        status=422,
        answer=_ERROR,
        words=_REFUSED,
    ),
    Exchange(
        "POST /tasks",
        body='{"operation": "compute"}',
        status=422,
        answer=_ERROR,
        words=_REFUSED,
    ),
    # On a coordinator without Apple's machines, as a devnet is.
    Exchange(
        "POST /tasks",
        body='{"operation": "mlx_operation", "parameters": {"size": 1000}}',
        status=503,
        answer=_ERROR,
        words=_REFUSED,
    ),
)

_AI = (
    Exchange(
        "GET /ai/agents",
        answer="""
{
  "agents": [
    {
      "role": "DEVELOPER",
      "name": "Code Assistant",
      "description": "Assists with code generation and refactoring",
      "capabilities": ["code_generation", "refactoring", "debugging"]
    },
    {
      "role": "ANALYST",
      "name": "System Analyst",
      "description": "Analyzes system performance and provides insights",
      "capabilities": ["performance_analysis", "optimization", "reporting"]
    }
  ]
}
""",
        filled=("agents", "agents[].capabilities"),
    ),
    Exchange(
        "POST /ai/tasks",
        body="""
{
  "workflow_type": "code_generation",
  "prompt": "Create a Python function to calculate fibonacci numbers",
  "parameters": {
    "language": "python",
    "style": "functional"
  },
  "timeout": 30
}
""",
        answer=r"""
{
  "task_id": "ai_task_123",
  "status": "completed",
  "result": "def fibonacci(n):\n    if n <= 1:\n        return n\n    return fibonacci(n-1) + fibonacci(n-2)",
  "model_used": "gpt-4",
  "tokens_used": 125,
  "execution_time": 2.3
}
""",
        words=_COMPLETED,
    ),
    Exchange(
        "POST /ai/tasks",
        body='{"workflow_type": "code_generation", "prompt": "Create a sorting algorithm"}',
        answer='{"result": "text"}',
    ),
    Exchange(
        "POST /ai/insights",
        body='{"metric_type": "performance", "timeframe": "1h"}',
        answer=r"""
{
  "insights": "Based on the last hour of performance data:\n\n1. GPU utilization averaging 75% indicates healthy workload\n2. Memory usage spike at 14:30 suggests need for optimization\n3. Consider implementing batch processing for similar tasks",
  "metrics": {
    "gpu_utilization": 75.5,
    "memory_usage": 45.2,
    "active_tasks": 3,
    "ai_tasks_processed": 12
  },
  "timestamp": "2024-01-01T00:00:00Z"
}
""",
    ),
)

_SOCKETS = (
    Socket(
        "/ws",
        messages=(
            """
{
  "type": "connected",
  "timestamp": "2024-01-01T00:00:00Z",
  "message": "Connected to OpenRuntime WebSocket"
}
""",
        ),
        words={
            "type": ("connected",),
            "message": ("Connected to OpenRuntime WebSocket",),
        },
    ),
    Socket(
        "/ws",
        messages=(
            '{"type": "connected"}',
            """
{
  "type": "heartbeat",
  "timestamp": "2024-01-01T00:00:00Z",
  "metrics": {
    "gpu_utilization": 45.2,
    "memory_usage": 32.1,
    "active_tasks": 2
  }
}
""",
        ),
        words={"type": ("connected", "heartbeat")},
        # What was asked before, and ends meanwhile.
        skips=("task_update",),
    ),
    # Without a key, as all that the document asks.
    Socket(
        "/ws",
        messages=(
            '{"type": "connected"}',
            """
{
  "type": "task_update",
  "data": {
    "task_id": "task_123",
    "status": "completed",
    "execution_time": 1.23
  }
}
""",
        ),
        words={"type": ("connected", "task_update"), "data.status": _STATUSES},
        meanwhile=Exchange("POST /tasks", body='{"operation": "compute", "parameters": {}}'),
        skips=("heartbeat",),
    ),
)

DOCUMENT = Document(
    number="004",
    name="OpenRuntime",
    exchanges=(*_SYSTEM, *_TASKS, *_ERRORS, *_AI),
    sockets=_SOCKETS,
    key_header="",
)
