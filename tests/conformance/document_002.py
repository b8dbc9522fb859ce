"""Document 002, the endpoints' reference: every request that it prints, with the answer that it prints."""

from conformance.exchanges import Document, Exchange

_STATUSES = ("pending", "running", "completed", "failed", "cancelled")
_BOTH = {"region": "data.nodes[0].region", "score": "data.nodes[0].performance_score"}

_NODE = """
{
  "success": true,
  "data": {
    "id": "node_123",
    "status": "online",
    "region": "us-west-1",
    "owner": "user_456",
    "capabilities": ["text-generation", "image-generation"],
    "current_load": 0.65,
    "total_tasks_completed": 1250,
    "uptime": "15d 8h 32m",
    "earnings": {
      "total": "145.50",
      "currency": "USD",
      "last_30_days": "32.10"
    }
  }
}
"""
_NODES = """
{
  "success": true,
  "data": {
    "nodes": [
      {
        "id": "node_123",
        "status": "online",
        "region": "us-west-1",
        "capabilities": ["text-generation", "image-generation"],
        "gpu_info": null,
        "performance_score": 95.5,
        "last_seen": "2024-01-15T10:30:00Z"
      }
    ],
    "total": 150,
    "limit": 50,
    "offset": 0
  }
}
"""
_MODELS = """
{
  "success": true,
  "data": {
    "models": [
      {
        "id": "llama2-7b",
        "name": "LLaMA 2 7B",
        "type": "text",
        "category": "generation",
        "description": "Large language model for text generation",
        "parameters": {
          "size": "7B",
          "context_length": 4096,
          "languages": ["en", "es", "fr", "de"]
        },
        "pricing": {
          "per_token": 0.0001,
          "currency": "USD"
        }
      }
    ]
  }
}
"""
_TEXT = """
{
  "success": true,
  "data": {
    "id": "task_789",
    "model": "llama2-7b",
    "generated_text": "Quantum computing is a revolutionary technology...",
    "usage": {
      "prompt_tokens": 12,
      "completion_tokens": 143,
      "total_tokens": 155
    },
    "node_id": "node_123",
    "execution_time": 2.34,
    "cost": 0.0155
  }
}
"""
_TASKS = """
{
  "success": true,
  "data": {
    "tasks": [
      {
        "id": "task_789",
        "status": "completed",
        "model": "llama2-7b",
        "type": "text-generation",
        "created_at": "2024-01-15T10:30:00Z",
        "completed_at": "2024-01-15T10:30:15Z",
        "cost": 0.0155,
        "node_id": "node_123"
      }
    ],
    "total": 25
  }
}
"""


def refusal(request: str, status: int, code: str, body: str = "") -> Exchange:
    """A request that is refused, in the form that the document prints, with one of its codes."""
    return Exchange(
        request,
        body=body,
        status=status,
        answer="""
{
  "success": false,
  "error": {
    "code": "ERROR_CODE",
    "message": "Human readable error message",
    "type": "ErrorType",
    "details": { ... }
  }
}
""",
        words={"error.code": (code,)},
    )


DOCUMENT = Document(
    number="002",
    name="Endpoints reference",
    prefix="/api/v1",
    exchanges=(
        Exchange(
            "GET /nodes",
            answer=_NODES,
            words={"data.nodes[].status": ("online", "offline", "busy")},
            filled=("data.nodes", "data.nodes[].capabilities"),
            keeps={"node": "data.nodes[0].id", **_BOTH},
        ),
        Exchange("GET /nodes?status=online&region={region}&limit=100&offset=0", answer=_NODES),
        Exchange("GET /nodes/{node}", answer=_NODE),
        # Images and recordings have neither tokens nor a context: null.
        Exchange(
            "GET /models",
            answer=_MODELS.replace("4096", "null").replace("0.0001", "null"),
            filled=("data.models",),
        ),
        Exchange("GET /models?type=text&category=generation", answer=_MODELS),
        *(
            Exchange(
                f"GET /models?type={of}",
                answer='{"success": true, "data": {"models": [{ ... }]}}',
                keeps_if_there={f"{of}_model": "data.models[0].id"},
            )
            for of in ("image", "audio")
        ),
        # Where, and how good, follows from the nodes that there are.
        Exchange(
            "POST /models/generate/text",
            body="""
{
  "model": "llama2-7b",
  "prompt": "Explain quantum computing in simple terms",
  "parameters": {
    "max_tokens": 150,
    "temperature": 0.7,
    "top_p": 0.9,
    "stop_sequences": ["\\n\\n"]
  },
  "node_preferences": {
    "region": "{region}",
    "min_performance_score": {score}
  }
}
""",
            answer=_TEXT,
            keeps={"task": "data.id", "model": "data.model"},
        ),
        Exchange(
            "POST /models/generate/image",
            answer="""
{
  "success": true,
  "data": {
    "id": "task_790",
    "model": "stable-diffusion-xl",
    "image_url": "https://cdn.neurogrid.io/images/task_790.png",
    "parameters_used": {
      "width": 1024,
      "height": 1024,
      "steps": 30,
      "seed": 42
    },
    "execution_time": 8.5,
    "cost": 0.05
  }
}
""",
            body="""
{
  "model": "{image_model}",
  "prompt": "A futuristic cityscape at sunset",
  "parameters": {
    "width": 1024,
    "height": 1024,
    "steps": 30,
    "guidance_scale": 7.5,
    "seed": 42
  },
  "negative_prompt": "blurry, low quality"
}
""",
            awaits="a model that makes images in its catalogue",
            unless="image_model",
        ),
        Exchange(
            "POST /models/transcribe",
            form={"model": "{audio_model}", "language": "en"},
            # A number where something was said; null of silence.
            answer="""
{
  "success": true,
  "data": {
    "id": "task_791",
    "model": "whisper-large",
    "transcription": "Hello, this is a test audio file...",
    "language": "en",
    "confidence": null,
    "segments": [
      {
        "start": 0.0,
        "end": 3.2,
        "text": "Hello, this is a test"
      }
    ],
    "execution_time": 1.8,
    "cost": 0.02
  }
}
""",
            awaits="a model that transcribes in its catalogue",
            unless="audio_model",
        ),
        Exchange(
            "GET /tasks?status=completed&model={model}&limit=10",
            answer=_TASKS,
            # A lease for asking the model's replicas is a task of it, too, once it has ended.
            words={
                "data.tasks[].status": _STATUSES,
                "data.tasks[].type": ("text-generation", "cpu"),
            },
            filled=("data.tasks",),
        ),
        Exchange("GET /tasks/{task}", answer='{"success": true, "data": {"id": "task_789"}}'),
        # Hours of work are no whole number.
        Exchange(
            "GET /analytics/stats",
            answer="""
{
  "success": true,
  "data": {
    "total_nodes": 1250,
    "active_nodes": 892,
    "total_tasks_today": 15420,
    "average_response_time": 3.2,
    "network_uptime": 99.8,
    "total_compute_hours": 125000.0
  }
}
""",
        ),
        *(
            Exchange(
                f"GET /analytics/performance?timeframe={of}",
                answer='{"success": true, "data": { ... }}',
            )
            for of in ("1h", "24h", "7d", "30d")
        ),
        Exchange(
            "GET /analytics/usage",
            answer="""
{
  "success": true,
  "data": {
    "current_month": {
      "tasks_completed": 45,
      "total_cost": 12.50,
      "compute_time": "2h 15m",
      "tokens_generated": 25000
    },
    "limits": {
      "monthly_tasks": null,
      "monthly_budget": null
    }
  }
}
""",
        ),
        Exchange("GET /billing/balance", answer='{"success": true, "data": { ... }}'),
        Exchange("GET /billing/history", answer='{"success": true, "data": { ... }}'),
        Exchange(
            "POST /billing/credits",
            body='{"amount": 50.00, "payment_method": "card_123"}',
            awaits="payments by card; it takes USDC (docs/billing.md)",
        ),
        refusal("GET /tasks?limit=0", 422, "INVALID_REQUEST"),
        refusal("GET /tasks/task_none", 404, "NOT_FOUND"),
        refusal(
            "POST /models/generate/text",
            404,
            "MODEL_UNAVAILABLE",
            '{"model": "nobody", "prompt": "Hello"}',
        ),
        refusal(
            "POST /models/generate/text",
            409,
            "NODE_UNAVAILABLE",
            '{"model": "llama2-7b", "prompt": "Hello", "node_preferences": {"region": "nowhere-1"}}',
        ),
    ),
    sockets=(),
)
