"""Document 000, Bolt: every request that it prints, with the answer that it prints."""

from conformance.exchanges import Document, Exchange

GPU = Exchange(
    "GET /api/resources/gpu",
    answer="""
{
    "utilization": 45.2,
    "memory": {
        "total": 1.5,
        "used": 1.5,
        "free": 1.5
    },
    "temperature": 45.2,
    "powerUsage": 45.2,
    "advanced": {
        "averageLoad": 45.2,
        "uptime": 45.2,
        "processes": [
            {
                "pid": 1.5,
                "memory": 1.5,
                "runtime": 1.5
            }
        ],
        "performance": {
            "throughput": 1.5,
            "latency": 1.5,
            "efficiency": 1.5
        }
    }
}
""",
)

# As `/ws?dialect=bolt` tells it, and as a task is shown.
PROGRESS = Exchange(
    "GET /api/task/{task_id}",
    answer="""
{
    "taskId": "text",
    "progress": 1.5,
    "status": "running",
    "metrics": {
        "quality": 1.5,
        "latency": 1.5,
        "resourceUsage": 1.5,
        "prediction": {
            "timeRemaining": 1.5,
            "resourceNeeded": 1.5
        }
    }
}
""",
    words={"status": ("pending", "running", "complete", "error")},
)

# Of a coordinator that limits accounts and addresses, by a client that asks too often.
LIMITED = Exchange(
    "GET /api/resources/gpu",
    status=429,
    answer="""
{
    "error": "rate_limit_exceeded",
    "message": "Rate limit exceeded",
    "retryAfter": 3600,
    "limits": {
        "user": {
            "limit": 1000,
            "remaining": 0,
            "reset": "2024-01-01T00:00:00Z"
        },
        "ip": {
            "limit": 10000,
            "remaining": 500,
            "reset": "2024-01-01T00:00:00Z"
        }
    }
}
""",
    words={"error": ("rate_limit_exceeded",)},
)

_LOG_TYPES = ("task", "api", "system")
_LOG_LEVELS = ("info", "warning", "error")
_LOGS = """
{
    "logs": [
        {
            "timestamp": "2024-01-01T00:00:00Z",
            "type": "task",
            "level": "info",
            "message": "text",
            "details": { ... }
        }
    ],
    "metadata": {
        "total": 1,
        "filtered": 1,
        "timeRange": "text"
    }
}
"""
_ERRORS = """
{
    "errors": [
        {
            "id": "text",
            "timestamp": "2024-01-01T00:00:00Z",
            "context": { ... },
            "stack": "text",
            "resolution": "text"
        }
    ]
}
"""
_ERROR = '{"error": "text", "message": "text"}'
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}

_RECORDS = (
    Exchange(
        "GET /api/audit/logs",
        answer=_LOGS,
        words={"logs[].type": _LOG_TYPES, "logs[].level": _LOG_LEVELS},
        filled=("logs",),
    ),
    *(Exchange(f"GET /api/audit/logs?type={each}", answer=_LOGS) for each in _LOG_TYPES),
    *(Exchange(f"GET /api/audit/logs?level={each}", answer=_LOGS) for each in _LOG_LEVELS),
    Exchange(
        "GET /api/audit/logs?startTime=2024-01-01T00:00:00Z&endTime=2090-01-01T00:00:00Z"
        "&type=api&level=warning",
        answer=_LOGS,
        words={"logs[].type": ("api",), "logs[].level": ("warning",)},
        filled=("logs",),
    ),
    Exchange("GET /api/errors/log", answer=_ERRORS),
    *(
        Exchange(f"GET /api/errors/log?severity={each}", answer=_ERRORS)
        for each in ("low", "medium", "high")
    ),
    Exchange("GET /api/errors/log?taskId=task_0&severity=low&timeframe=24h", answer=_ERRORS),
)

# An application is registered natively: the document says no more than how it gets its tokens.
_ACCESS = (
    Exchange(
        "POST /api/v1/oauth/clients",
        body='{"name": "Bolt", "scopes": ["read", "write", "keys"], "redirect_uris": ["https://app.example/"]}',
        status=201,
        keeps={"client_id": "data.client_id", "client_secret": "data.client_secret"},
    ),
    # The document's own grant needs somebody who allows it in a browser: without, its code is no good.
    Exchange(
        "POST /oauth/token",
        body="grant_type=authorization_code&code=<code>&redirect_uri=https://app.example/"
        "&client_id={client_id}&client_secret={client_secret}",
        headers=_FORM,
        status=400,
        answer='{"error": "invalid_grant"}',
        words={"error": ("invalid_grant",)},
    ),
    Exchange(
        "POST /oauth/token",
        body="grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}",
        headers=_FORM,
        answer='{"access_token": "text", "token_type": "Bearer", "expires_in": 3600, "scope": "text"}',
        words={"token_type": ("Bearer",)},
        keeps={"access_token": "access_token"},
    ),
    Exchange(
        "POST /api/keys/generate",
        body="""
{
    "name": "conformance",
    "permissions": ["read"],
    "expiry": ""
}
""",
        headers={"Authorization": "Bearer {access_token}"},
        status=201,
        answer='{"id": "text", "name": "text", "key": "text", "permissions": ["read"]}',
    ),
    Exchange(
        "POST /api/webhooks/configure",
        body="""
{
    "url": "{webhook_url}",
    "events": ["task.complete"],
    "secret": "your-webhook-secret",
    "security": {
        "signatureAlgorithm": "sha256",
        "headers": {
            "X-Signature": "signature",
            "X-Timestamp": "timestamp"
        }
    },
    "retries": {
        "maxAttempts": 3,
        "backoffSeconds": 10
    }
}
""",
        answer='{"id": "text", "url": "text", "events": ["text"], "security": { ... }, "retries": { ... }}',
    ),
    Exchange("POST /api/keys/generate", body='{"name": ', status=400, answer=_ERROR),
    Exchange("POST /api/keys/generate", body='{"name": "x"}', status=422, answer=_ERROR),
    Exchange("GET /api/resources/none", status=404, answer=_ERROR),
)

# Which models there are is the operator's business: the first that writes is asked.
_TASKS = (
    Exchange("GET /api/v1/models?type=text", keeps={"model": "data.models[0].id"}),
    Exchange(
        "POST /api/task",
        body='{"model": "{model}", "input": "Hello, world!"}',
        status=201,
        answer=PROGRESS.answer,
        words=PROGRESS.words,
        keeps={"first_id": "taskId"},
    ),
    Exchange(
        "GET /api/task/{first_id}",
        answer=PROGRESS.answer,
        words={"status": ("complete",)},
        until=("status", "complete"),
    ),
    Exchange("GET /api/task/{first_id}", answer='{"result": "text"}'),
    Exchange(
        "POST /api/task",
        body="""
{
    "model": "{model}",
    "input": "string",
    "priority": 5,
    "options": {
        "quality": 0.95,
        "timeout": 30000,
        "dependencies": ["{first_id}"],
        "customPriority": {
            "level": 10,
            "reason": "string",
            "deadline": "2090-01-01T00:00:00Z"
        }
    }
}
""",
        status=201,
        answer=PROGRESS.answer,
        words=PROGRESS.words,
        keeps={"task_id": "taskId"},
    ),
    PROGRESS,
    Exchange(
        "GET /api/tasks/statuses?ids={first_id},{task_id}",
        answer=f'{{"statuses": [{PROGRESS.answer}]}}',
        words={"statuses[].status": PROGRESS.words["status"]},
        filled=("statuses",),
    ),
    Exchange(
        "POST /api/tasks/batch",
        body="""
{
    "tasks": [
        {
            "model": "{model}",
            "input": "string",
            "priority": 5
        }
    ],
    "batchOptions": {
        "parallel": true,
        "maxConcurrent": 2,
        "timeoutPerTask": 30000
    }
}
""",
        status=201,
        answer='{"batchId": "text", "taskIds": ["text"]}',
        filled=("taskIds",),
        keeps={"batched_id": "taskIds[0]"},
    ),
    Exchange(
        "GET /api/tasks/statuses?ids={batched_id},{task_id},{first_id}",
        answer=f'{{"statuses": [{PROGRESS.answer}]}}',
        words={"statuses[].status": PROGRESS.words["status"]},
        filled=("statuses",),
    ),
    Exchange("POST /api/tasks/batch", body='{"tasks": []}', status=422, answer=_ERROR),
    Exchange("GET /api/task/task_0", status=404, answer=_ERROR),
    Exchange(
        "POST /api/task", body='{"model": "none-such", "input": "x"}', status=404, answer=_ERROR
    ),
    Exchange("POST /api/task", body='{"model": "{model}"}', status=422, answer=_ERROR),
)

DOCUMENT = Document(number="000", name="Bolt", exchanges=(*_TASKS, GPU, *_ACCESS, *_RECORDS))
