"""Routes that FastAPI analyses when somebody asks for them, and not all of them at each start.

What an endpoint takes and answers becomes some hundreds of validators: two thirds of the CPU that it takes to make the
application, for routes of which most processes see few. The OpenAPI document needs them all, so who reads it (as
the tests do, for each route) finds out where one of them is wrong.
"""

from collections.abc import Callable, Iterable
from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import compile_path


class LateRoute(APIRoute):
    """A route that knows its path and its methods; the rest is made with the first use of it.

    Args:
        documentation: as for `APIRoute`.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: Iterable[str] | None = None,
        **documentation: Any,
    ) -> None:
        self.path, self.endpoint = path, endpoint
        self.methods = {method.upper() for method in methods or ("GET",)}
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self._late: Callable[[], None] = lambda: super(LateRoute, self).__init__(
            path, endpoint, methods=self.methods, **documentation
        )

    def __getattr__(self, name: str) -> Any:
        """An attribute that is not there yet."""
        # While it is being made, what is not there is not.
        late = self.__dict__.pop("_late", None)
        if late is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        try:
            late()
        except BaseException:
            # Who asks again is told again what is wrong with it.
            self._late = late
            raise
        return getattr(self, name)
