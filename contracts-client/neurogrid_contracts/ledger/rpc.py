"""JSON-RPC 2.0: the method table, and from one request object to one response object."""

import logging
from typing import Any

from neurogrid_contracts.ledger import (
    rpc_accounts,
    rpc_cluster,
    rpc_control,
    rpc_history,
    rpc_leaders,
    rpc_send,
    rpc_supply,
)
from neurogrid_contracts.ledger.backend import Backend, Method
from neurogrid_contracts.ledger.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Diverged,
    RpcError,
)
from neurogrid_contracts.ledger.params import Params

_log = logging.getLogger(__name__)

Response = dict[str, Any]

METHODS: dict[str, Method] = {
    **rpc_accounts.METHODS,
    **rpc_cluster.METHODS,
    **rpc_control.METHODS,
    **rpc_history.METHODS,
    **rpc_leaders.METHODS,
    **rpc_send.METHODS,
    **rpc_supply.METHODS,
}


def respond(backend: Backend, request: object) -> Response:
    """Answer one request object. Runs on the owner thread.

    Raises:
        Diverged: the process must end; there is no answer.
    """
    request_id = request.get("id") if isinstance(request, dict) else None
    try:
        return {"jsonrpc": "2.0", "result": _call(backend, request), "id": request_id}
    except RpcError as error:
        return error_response(error, request_id)
    except Diverged:
        raise
    except Exception:  # noqa: BLE001 - a bug in one method must not end the ledger
        _log.exception("call failed: %.500s", request)
        return error_response(RpcError(INTERNAL_ERROR, "Internal error"), request_id)


def _call(backend: Backend, request: object) -> Any:
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        raise RpcError(INVALID_REQUEST, "Invalid request")
    method = METHODS.get(request["method"])
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, "Method not found")
    params = Params(request.get("params"), count_max=method.arguments_max)
    return method.run(backend, params)


def error_response(error: RpcError, request_id: Any = None) -> Response:
    return {"jsonrpc": "2.0", "error": error.to_json(), "id": request_id}
