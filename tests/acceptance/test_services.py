"""A service of a running job, through everything, while everything between is killed."""

from functools import partial

import httpx
import pytest

from acceptance.network import Devnet, until
from neurogrid.errors import NeuroGridError

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# Serves until it is asked to end.
JOB = """
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def do_DELETE(self):
        self.send_response(204)
        self.end_headers()
        self.server.ending = True

server = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler)
server.ending = False
while not server.ending:
    server.handle_request()
"""


def test_a_service_is_reached_and_outlives_the_death_of_all_between(devnet: Devnet) -> None:
    devnet.until_idle()
    task = devnet.submit(
        "python3",
        "-c",
        JOB,
        service={"port": 8080, "health": "/health", "start_seconds": 300},
        timeout_seconds=600,
    )
    task = devnet.until_phase(task.id, "running")

    def is_ready() -> bool:
        service = devnet.client.tasks.get(task.id).service
        return service is not None and service.ready

    until(is_ready, "the service is ready")
    tasks = devnet.client.tasks
    key = {"Authorization": f"Bearer {devnet.network.api_key}"}
    with tasks.forward(task.id) as forward, httpx.Client(headers=key, timeout=60) as http:
        here = f"http://127.0.0.1:{forward.port}/"

        def hello(url: str) -> bool:
            try:
                return http.get(url).content == b"hello"
            except (httpx.TransportError, NeuroGridError):
                return False

        for process in ("", devnet.node_name(task.node_id), "api"):
            if process:
                devnet.until_restarted(process, devnet.kill(process))
            for url in (here, tasks.service_url(task.id)):
                until(partial(hello, url), f"the service answers at {url}")
        assert http.delete(tasks.service_url(task.id)).status_code == 204
    task = devnet.until_settled(task.id)
    assert (task.status, task.service and task.service.ready) == ("completed", False)
    assert len([lease for lease in task.leases if lease.paid]) == 1, "one run, through all of that"
