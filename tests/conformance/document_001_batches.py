"""Document 001's batches and scheduled tasks, with the file that they name; see `document_001`."""

from pathlib import Path

from conformance.exchanges import Exchange

DONE = {"success": (True,)}


def put_file(folder: Path) -> None:
    """Put the file that it names into an account's folder."""
    place = folder / "path/to"
    place.mkdir(parents=True, exist_ok=True)
    (place / "tasks.csv").write_text(
        "id,prompt\nfirst,Write a haiku about programming\nsecond,Write a short story about AI\n"
    )


BATCHES = (
    Exchange(
        "POST /batches",
        body="""
{
  "id": "batch-001-{unique}",
  "name": "Creative Writing Tasks",
  "description": "A collection of creative writing tasks",
  "tasks": [
    {
      "id": "task-001",
      "prompt": "Write a haiku about programming"
    },
    {
      "id": "task-002",
      "prompt": "Write a short story about AI"
    }
  ],
  "config": {
    "model": "gpt-4",
    "temperature": 0.7,
    "maxConcurrency": 5
  }
}
""",
        status=201,
        answer="""
{
  "success": true,
  "data": {
    "id": "batch-001",
    "status": "pending",
    "taskCount": 2,
    "createdAt": "2025-01-01T00:00:00.000Z"
  }
}
""",
        words={**DONE, "data.status": ("pending",), "data.taskCount": (2,)},
    ),
    Exchange(
        "POST /batches/batch-001-{unique}/execute",
        answer="""
{
  "success": true,
  "data": {
    "executionId": "batch-exec-001",
    "status": "running"
  },
  "message": "Batch execution started"
}
""",
        words={**DONE, "data.status": ("running",), "message": ("Batch execution started",)},
    ),
    Exchange(
        "GET /batches/batch-001-{unique}",
        until=("data.status", "completed"),
        answer="""
{
  "success": true,
  "data": {
    "id": "batch-001",
    "name": "Creative Writing Tasks",
    "status": "completed",
    "progress": {
      "total": 2,
      "completed": 2,
      "failed": 0,
      "pending": 0
    },
    "tasks": [
      {
        "id": "task-001",
        "status": "completed",
        "result": "..."
      }
    ],
    "createdAt": "2025-01-01T00:00:00.000Z",
    "completedAt": "2025-01-01T00:00:10.000Z"
  }
}
""",
        words={
            **DONE,
            "data.status": ("completed",),
            "data.tasks[].status": ("completed",),
            "data.progress.completed": (2,),
        },
        filled=("data.tasks",),
    ),
    # Its second example.
    Exchange(
        "POST /batches",
        body="""
{
    "id": "csv-batch-{unique}",
    "name": "CSV Processing",
    "inputFile": "/path/to/tasks.csv",
    "config": {
      "model": "gpt-3.5-turbo",
      "maxConcurrency": 10
    }
  }
""",
        status=201,
        answer='{"success": true, "data": {"id": "csv-batch", "status": "pending", "taskCount": 2}}',
        words=DONE,
    ),
)

SCHEDULES = (
    Exchange(
        "POST /scheduled-tasks",
        body="""
{
  "name": "Daily Report Generator",
  "schedule": "0 9 * * *",
  "inputFile": "/path/to/tasks.csv",
  "outputFile": "/path/to/results.csv",
  "isDryRun": false,
  "config": {
    "model": "gpt-4",
    "temperature": 0.7,
    "maxRetries": 3
  }
}
""",
        status=201,
        answer="""
{
  "success": true,
  "data": {
    "id": "sched-001",
    "name": "Daily Report Generator",
    "schedule": "0 9 * * *",
    "isActive": true,
    "createdAt": "2025-01-01T00:00:00.000Z",
    "nextRun": "2025-01-02T09:00:00.000Z"
  }
}
""",
        words={**DONE, "data.schedule": ("0 9 * * *",), "data.isActive": (True,)},
        keeps={"schedule": "data.id"},
    ),
    Exchange(
        "GET /scheduled-tasks?isActive=true&name=report",
        # Its time of the last run is null before there was one.
        answer="""
{
  "success": true,
  "data": {
    "tasks": [
      {
        "id": "sched-001",
        "name": "Daily Report Generator",
        "schedule": "0 9 * * *",
        "isActive": true,
        "lastRun": null,
        "nextRun": "2025-01-02T09:00:00.000Z"
      }
    ]
  }
}
""",
        words={**DONE, "data.tasks[].isActive": (True,)},
        filled=("data.tasks",),
    ),
    Exchange(
        "POST /scheduled-tasks/{schedule}/enable",
        answer="""
{
  "success": true,
  "data": {
    "id": "sched-001",
    "isActive": true
  },
  "message": "Scheduled task enabled"
}
""",
        words={**DONE, "data.isActive": (True,), "message": ("Scheduled task enabled",)},
    ),
    Exchange(
        "POST /scheduled-tasks/{schedule}/disable",
        answer='{"success": true, "data": {"id": "sched-001", "isActive": false}, "message": "text"}',
        words={**DONE, "data.isActive": (False,)},
    ),
    Exchange(
        "PATCH /scheduled-tasks/{schedule}",
        body="""
{
  "name": "Updated Task Name",
  "schedule": "0 12 * * *",
  "isActive": false
}
""",
        answer='{"success": true, "data": {"name": "text", "schedule": "text", "isActive": false}}',
        words={**DONE, "data.name": ("Updated Task Name",), "data.schedule": ("0 12 * * *",)},
    ),
)
