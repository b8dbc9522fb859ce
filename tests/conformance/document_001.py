"""Document 001, a task runner: every request that it prints, with the answer that it prints.

Its ids are chosen by clients, and good once in an account: `{unique}` stands behind each. Its files, `/path/to/tasks.csv`,
are in the account's folder on the coordinator; where there is none, those requests differ.
"""

from conformance.document_001_batches import BATCHES, DONE, SCHEDULES
from conformance.exchanges import Document, Exchange

_STATUSES = ("pending", "running", "completed", "failed", "cancelled")
_HEALTH = ("healthy", "degraded", "unhealthy")

_ERROR = """
{
  "success": false,
  "error": {
    "code": "VALIDATION_ERROR",
    "message": "Invalid input parameters",
    "details": {}
  },
  "timestamp": "2025-01-01T00:00:00.000Z"
}
"""


def _error(request: str, status: int, code: str, body: str = "", **more: str) -> Exchange:
    """One of its table of codes, in its error format."""
    return Exchange(
        request,
        body=body,
        status=status,
        answer=_ERROR,
        words={"success": (False,), "error.code": (code,)},
        headers=more,
    )


_TASKS = (
    Exchange(
        "POST /tasks",
        body="""
{
  "id": "task-001-{unique}",
  "prompt": "Write a haiku about programming",
  "messages": [
    {
      "role": "system",
      "content": "You are a creative assistant."
    },
    {
      "role": "user",
      "content": "Write a haiku about programming"
    }
  ],
  "model": "gpt-4",
  "temperature": 0.7,
  "maxTokens": 1000,
  "metadata": {
    "category": "creative",
    "priority": "high"
  },
  "batchId": "batch-001",
  "idempotencyKey": "task-001-unique-key-{unique}"
}
""",
        status=201,
        answer="""
{
  "success": true,
  "data": {
    "id": "task-001",
    "status": "pending",
    "createdAt": "2025-01-01T00:00:00.000Z"
  },
  "message": "Task created successfully"
}
""",
        words={**DONE, "data.status": ("pending",), "message": ("Task created successfully",)},
    ),
    Exchange(
        "GET /tasks/task-001-{unique}",
        until=("data.status", "completed"),
        answer="""
{
  "success": true,
  "data": {
    "id": "task-001",
    "prompt": "Write a haiku about programming",
    "status": "completed",
    "result": {
      "content": "Code flows like a stream...",
      "usage": {
        "promptTokens": 15,
        "completionTokens": 50,
        "totalTokens": 65
      }
    },
    "createdAt": "2025-01-01T00:00:00.000Z",
    "completedAt": "2025-01-01T00:00:05.000Z"
  }
}
""",
        words={
            **DONE,
            "data.status": ("completed",),
            "data.prompt": ("Write a haiku about programming",),
        },
    ),
    # Its response format, of "all responses".
    Exchange(
        "GET /tasks",
        answer="""
{
  "success": true,
  "data": {},
  "message": "Operation completed successfully",
  "timestamp": "2025-01-01T00:00:00.000Z"
}
""",
    ),
    *(
        Exchange(f"GET /tasks?sort={each}&order={order}", answer='{"success": true}')
        for each in ("createdAt", "name")
        for order in ("asc", "desc")
    ),
    Exchange(
        "GET /tasks",
        answer="""
{
  "success": true,
  "data": {
    "tasks": [
      {
        "id": "task-001",
        "status": "completed",
        "createdAt": "2025-01-01T00:00:00.000Z"
      }
    ],
    "pagination": {
      "page": 1,
      "limit": 10,
      "total": 1,
      "totalPages": 1
    }
  }
}
""",
        words={
            **DONE,
            "data.tasks[].status": _STATUSES,
            "data.pagination.page": (1,),
            "data.pagination.limit": (10,),
        },
        filled=("data.tasks",),
    ),
    # Its parameters of lists and pages.
    Exchange(
        "GET /tasks?status=completed&batchId=batch-001&createdAfter=2025-01-01T00:00:00.000Z"
        "&createdBefore=2100-01-01T00:00:00.000Z&page=1&limit=100&sort=createdAt&order=asc",
        answer='{"data": {"tasks": [{"id": "task-001", "status": "completed"}], "pagination": {"limit": 100}}}',
        words={"data.tasks[].status": ("completed",), "data.pagination.limit": (100,)},
        filled=("data.tasks",),
    ),
    Exchange(
        "PATCH /tasks/task-001-{unique}",
        body="""
{
  "prompt": "Updated prompt text",
  "model": "gpt-4-turbo",
  "temperature": 0.8,
  "metadata": {
    "priority": "urgent"
  }
}
""",
        answer='{"success": true, "data": {"id": "task-001", "prompt": "text"}}',
        words={**DONE, "data.prompt": ("Updated prompt text",)},
    ),
    Exchange(
        "POST /tasks/task-001-{unique}/execute",
        answer="""
{
  "success": true,
  "data": {
    "executionId": "exec-001",
    "status": "running"
  },
  "message": "Task execution started"
}
""",
        words={**DONE, "data.status": ("running",), "message": ("Task execution started",)},
    ),
    Exchange(
        "DELETE /tasks/task-001-{unique}",
        answer="""
{
  "success": true,
  "message": "Task deleted successfully"
}
""",
        words={**DONE, "message": ("Task deleted successfully",)},
    ),
    # Its first example.
    Exchange(
        "POST /tasks",
        body="""
{
    "id": "example-task-{unique}",
    "prompt": "Explain quantum computing in simple terms",
    "model": "gpt-4",
    "temperature": 0.7
  }
""",
        status=201,
        answer='{"success": true, "data": {"id": "example-task", "status": "pending"}}',
        words=DONE,
    ),
    Exchange(
        "DELETE /tasks/example-task-{unique}",
        answer='{"success": true, "message": "Task deleted successfully"}',
        words=DONE,
    ),
)

_FIGURES = (
    Exchange(
        "GET /metrics",
        answer="""
{
  "success": true,
  "data": {
    "tasks": {
      "total": 150,
      "completed": 145,
      "failed": 3,
      "pending": 2,
      "running": 0
    },
    "performance": {
      "averageExecutionTime": 2.5,
      "successRate": 0.98,
      "throughput": 15.2
    },
    "system": {
      "cpuUsage": 0.35,
      "memoryUsage": 0.67,
      "activeConnections": 12
    }
  }
}
""",
        words=DONE,
    ),
    Exchange(
        "GET /metrics/tasks?period=hour&status=completed&model=gpt-4",
        answer='{"success": true, "data": {}}',
        words=DONE,
    ),
    *(
        Exchange(
            f"GET /metrics/tasks?period={period}",
            answer='{"success": true, "data": {}}',
            words=DONE,
        )
        for period in ("day", "week", "month")
    ),
    *(
        Exchange(
            f"GET /metrics/tasks?status={status}",
            answer='{"success": true, "data": {}}',
            words=DONE,
        )
        for status in ("pending", "running", "completed", "failed")
    ),
    Exchange(
        "GET /status",
        answer="""
{
  "success": true,
  "data": {
    "status": "healthy",
    "version": "1.0.0",
    "uptime": 86400,
    "services": {
      "database": "healthy",
      "openai": "healthy",
      "scheduler": "healthy"
    },
    "lastHealthCheck": "2025-01-01T00:00:00.000Z"
  }
}
""",
        words={
            **DONE,
            "data.status": ("healthy",),
            "data.services.database": _HEALTH,
            "data.services.openai": _HEALTH,
            "data.services.scheduler": _HEALTH,
        },
    ),
    Exchange(
        "GET /status/services/database",
        answer="""
{
  "success": true,
  "data": {
    "service": "database",
    "status": "healthy",
    "details": {
      "connectionCount": 5,
      "queryTime": 0.02,
      "lastError": null
    }
  }
}
""",
        words={**DONE, "data.service": ("database",), "data.status": ("healthy",)},
    ),
)

# Its two tables of codes. 500 and 503 can't be asked for; tests/coordinator/test_runner.py provokes them.
_ERRORS = (
    _error("POST /tasks", 400, "VALIDATION_ERROR", '{"prompt": 7}'),
    _error("GET /tasks?limit=101", 400, "VALIDATION_ERROR"),
    _error("GET /tasks", 401, "UNAUTHORIZED", Authorization="Bearer not_a_key"),
    _error("GET /tasks/no-such-task", 404, "TASK_NOT_FOUND"),
    _error("GET /batches/no-such-batch", 404, "BATCH_NOT_FOUND"),
    _error("POST /scheduled-tasks/sched-000/enable", 404, "SCHEDULED_TASK_NOT_FOUND"),
    _error(
        "PATCH /scheduled-tasks/{schedule}",
        400,
        "INVALID_CRON_EXPRESSION",
        '{"schedule": "0 99 * * *"}',
    ),
    _error("POST /tasks", 400, "MODEL_NOT_SUPPORTED", '{"prompt": "a", "model": "no-such-model"}'),
)

DOCUMENT = Document(
    number="001",
    name="GPT task runner",
    exchanges=(*_TASKS, *BATCHES, *SCHEDULES, *_FIGURES, *_ERRORS),
    prefix="/runner/api/v1",
)
