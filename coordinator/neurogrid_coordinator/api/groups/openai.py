"""OpenAI's API, over the services of the native one."""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.requests import Request

from ...services.openai_batches import OpenAiBatches
from ...services.openai_files import OpenAiFiles
from ...services.task_answers import FileUrl
from ..direct import Direct
from ..native.links import link_maker
from ..native.task_views import output_url
from ..openai.audio import add_openai_audio_routes
from ..openai.batches import add_openai_batch_routes
from ..openai.errors import error_form
from ..openai.files import add_openai_file_routes
from ..openai.headers import PREFIX
from ..openai.models import add_openai_model_routes
from ..openai.texts import add_openai_text_routes
from ..shared import Shared
from ..streaming import waits_of


def add_openai(app: FastAPI, direct: Direct, shared: Shared) -> None:
    """Add the routes."""
    settings, gate, schemas = shared.settings, shared.gate, shared.schemas
    shared.forms.claim(error_form, PREFIX)
    link = link_maker(shared.links, settings.public_url)
    waits = waits_of(settings.models, shared.world.serving)
    add_openai_text_routes(app, direct, shared.inference, gate, schemas, link, waits)
    add_openai_audio_routes(app, shared.inference, gate, schemas, waits)
    add_openai_model_routes(app, settings.models, gate, schemas, shared.world.serving)
    files = OpenAiFiles(shared.world.database, shared.artifacts)
    batches = OpenAiBatches(
        database=shared.world.database,
        files=files,
        artifacts=shared.artifacts,
        intake=shared.batch_intake,
        batches=shared.batches,
        answers=shared.task_answers,
        discount_percent=settings.models.batch_discount_percent,
    )
    add_openai_file_routes(app, files, gate, schemas)
    add_openai_batch_routes(app, batches, gate, schemas, _file_url(settings.public_url))


def _file_url(public_url: str) -> Callable[[Request], FileUrl]:
    """Absolute URLs, as OpenAI's are: below the one that the operator names, else the one that was asked."""

    def of(request: Request) -> FileUrl:
        host = public_url or str(request.base_url).rstrip("/")
        return lambda task_id, path: output_url(task_id, path, host)

    return of
