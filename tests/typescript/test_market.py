"""A program in TypeScript in a real market: jobs in containers, a receipt with money in it, a model that streams."""

import os
from pathlib import Path

import pytest

from acceptance.network import running_devnet
from typescript.programs import run_program

pytestmark = [pytest.mark.processes, pytest.mark.engine, pytest.mark.nightly]

_PROGRAM = """
import { BoltClient, NotSettledError, verifyReceipt } from '@neurogrid/sdk';

const client = new BoltClient();
const submitted = await client.submitTask({ model: 'bard-1m', input: 'To be, or not' });
const percents: number[] = [];
submitted.on('progress', (percent) => percents.push(percent));
const { result } = await submitted.wait();
console.log('asked', percents.at(-1), (result ?? '').length > 0);

const code = "open('/outputs/said', 'w').write('hello')\\nfor at in range(5): print(at, flush=True)";
const task = await client.tasks.create({
  docker_image: 'neurogrid/job:1',
  command: ['python', '-c', code],
  resource_requirements: { cpu_cores: 1, ram_gb: 0.5 },
  max_price_per_hour: '1.00',
});
let log = '';
for await (const piece of client.tasks.followLogs(task.id)) log += piece;
console.log('log', JSON.stringify(log));
const output = await client.tasks.output(task.id, 'said');
console.log('output', new TextDecoder().decode(output));

async function receipt(): Promise<string> {
  for (;;) {
    try {
      return await client.tasks.receipt(task.id);
    } catch (error) {
      if (!(error instanceof NotSettledError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}
const found = await verifyReceipt(await receipt(), { taskId: task.id });
console.log('receipt', found.result.outcome, found.paidMicroUsdc > 0);

let text = '';
const messages = [{ role: 'user' as const, content: 'To be?' }];
for await (const { choices } of client.models.streamChat({ model: 'bard-1m', messages, max_tokens: 20 })) {
  text += choices[0]?.delta.content ?? '';
}
console.log('chat', text.length > 0);
"""


def test_a_task_its_receipt_and_a_chat_in_a_real_market(package: Path, tmp_path: Path) -> None:
    with running_devnet(tmp_path / "D", nodes=2) as devnet:
        devnet.until_all_here()
        network = devnet.network
        there = {"NEUROGRID_API_URL": network.api_url, "NEUROGRID_API_KEY": network.api_key}
        ended = run_program(tmp_path, package, {**os.environ, **there}, _PROGRAM)
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        "asked 100 true",
        'log "0\\n1\\n2\\n3\\n4\\n"',
        "output hello",
        "receipt completed true",
        "chat true",
    ]
