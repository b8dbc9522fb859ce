"""Document 000's programs: run as they are printed, but for the package's name and the key."""

from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import World
from coordinator.served import ServedWorld, served_in_thread
from neurogrid_coordinator.server.request_rules import RequestRules
from typescript.programs import run_program

# Word by word, as the document prints it.
SDK = """\
import { BoltClient } from '@bolt/sdk';

const client = new BoltClient({
    apiKey: 'your-api-key',
    options: {
        retry: {
            maxAttempts: 3,
            backoff: {
                initial: 1000,
                multiplier: 2,
                maxDelay: 10000
            }
        },
        timeout: 30000,
        quality: 0.95
    }
});

// Error handling
try {
    const task = await client.submitTask({
        model: 'gpt-4',
        input: 'Hello, world!'
    });
    
    task.on('error', (error) => {
        console.error('Task error:', error);
        // Implement retry logic
    });
    
    task.on('progress', (progress) => {
        console.log(`Progress: ${progress}%`);
    });
    
    const result = await task.wait();
} catch (error) {
    if (error.code === 'RATE_LIMIT_EXCEEDED') {
        const retryAfter = error.retryAfter;
        // Implement retry after delay
    }
}
"""
HEARTBEAT = """\
client.on('connect', () => {
    setInterval(() => {
        client.ping();
    }, config.heartbeat.interval);
});

client.on('pong', () => {
    lastPong = Date.now();
});
"""
# What the second one takes for granted.
BEFORE_HEARTBEAT = """\
import { BoltClient } from '@neurogrid/sdk';
const config = { heartbeat: { interval: 20 } };
const client = new BoltClient();
let lastPong = 0;
"""
AFTER_HEARTBEAT = """\
const begin = Date.now();
client.on('pong', () => {
  console.log(lastPong >= begin ? 'answered' : 'before');
  process.exit(0);
});
"""


def ours(code: str, key: str) -> str:
    """A printed program with the names of here."""
    assert code.count("'@bolt/sdk'") == code.count("'your-api-key'") == 1
    return code.replace("@bolt/sdk", "@neurogrid/sdk").replace("your-api-key", key)


def test_the_sdks_program_submits_follows_and_waits(
    tmp_path: Path, package: Path, environment: dict[str, str], coordinator: ServedWorld
) -> None:
    code = ours(SDK, environment["NEUROGRID_API_KEY"])
    # The last line of what is tried.
    assert code.count("const result = await task.wait();") == 1
    shown = "const result = await task.wait();\n    console.log('Result:', result.result);"
    code = code.replace("const result = await task.wait();", shown)
    ended = run_program(tmp_path, package, without_key(environment), code)
    assert (ended.returncode, ended.stderr) == (0, "")
    *progress, last = ended.stdout.splitlines()
    assert last == "Result:  or not to be"
    assert progress[-1] == "Progress: 100%"

    async def asked(world: World) -> dict[str, Any]:
        path = "/api/v1/tasks?kind=model&limit=1"
        client = world.client(environment["NEUROGRID_API_KEY"])
        task = (await client.get(path)).json()["data"]["tasks"][0]
        whole: dict[str, Any] = (await client.get(f"/api/v1/tasks/{task['id']}")).json()["data"]
        return whole

    # `timeout` and `quality` of the client are those of its tasks.
    task = coordinator.run(asked)
    assert task["timeout_seconds"] == 30
    assert task["model_request"]["parameters"]["temperature"] == pytest.approx(0.05)


def test_the_sdks_program_hears_of_too_many_requests(
    tmp_path_factory: pytest.TempPathFactory, package: Path, environment: dict[str, str]
) -> None:
    rules = RequestRules({"free": 1}, "free")
    folder = tmp_path_factory.mktemp("limited")
    with served_in_thread(folder / "api", requests=rules) as served:
        alice = served.run(lambda world: world.customer("alice"))
        served.run(lambda world: world.client(alice.key).get("/api/v1/account"))
        there = {**without_key(environment), "NEUROGRID_API_URL": served.address}
        line = "const retryAfter = error.retryAfter;"
        code = ours(SDK, alice.key)
        assert code.count(line) == 1
        shown = f"{line}\n        console.log('After', typeof retryAfter, retryAfter > 0);"
        ended = run_program(folder, package, there, code.replace(line, shown))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "After number true\n", "")


def test_the_heartbeats_program_is_answered(
    tmp_path: Path, package: Path, environment: dict[str, str]
) -> None:
    code = BEFORE_HEARTBEAT + HEARTBEAT + AFTER_HEARTBEAT
    ended = run_program(tmp_path, package, environment, code)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "answered\n", "")


def without_key(environment: dict[str, str]) -> dict[str, str]:
    """So that what a program finds is the key that it names itself."""
    return {name: value for name, value in environment.items() if name != "NEUROGRID_API_KEY"}
