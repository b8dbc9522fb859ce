"""Routes are analysed when they are first asked for."""

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.exceptions import FastAPIError
from starlette.testclient import TestClient

from neurogrid_coordinator.api.late_routes import LateRoute


class NoModel:
    """Of this nobody can make a validator."""


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    app.router.route_class = LateRoute

    @app.get("/double/{number}")
    async def double(number: int) -> dict[str, int]:
        return {"double": 2 * number}

    @app.post("/double/{number}", response_model=NoModel)
    async def wrong(number: int) -> Any:
        return number

    return app


def analysed(app: FastAPI) -> list[bool]:
    """Of the late ones, in their order."""
    return [
        "dependant" in vars(route) for route in app.router.routes if isinstance(route, LateRoute)
    ]


def test_a_route_is_analysed_when_somebody_asks_for_it(app: FastAPI) -> None:
    client = TestClient(app)
    assert client.get("/nothing").status_code == 404
    assert client.put("/double/1").status_code == 405
    assert analysed(app) == [False, False]
    assert client.get("/double/21").json() == {"double": 42}
    assert client.get("/double/x").status_code == 422
    assert analysed(app) == [True, False]


def test_what_is_wrong_with_a_route_is_said_each_time_and_by_the_document(app: FastAPI) -> None:
    client = TestClient(app)
    for _ in range(2):
        with pytest.raises(FastAPIError, match="NoModel"):
            client.post("/double/21")
    with pytest.raises(FastAPIError, match="NoModel"):
        app.openapi()
    assert client.get("/double/21").status_code == 200
