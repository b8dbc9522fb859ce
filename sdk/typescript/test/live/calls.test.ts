import { expect, test } from 'vitest';

import {
  ConfigurationError,
  AuthenticationError,
  InvalidRequestError,
  NeuroGridClient,
  NotFoundError,
  NotSettledError,
} from '../../src/index.js';
import type { TaskRequest } from '../../src/schema.js';

const client = new NeuroGridClient();
const task: TaskRequest = {
  name: 'From TypeScript',
  type: 'cpu',
  resource_requirements: { cpu_cores: 1, ram_gb: 1 },
  docker_image: 'neurogrid/job:1',
  command: ['python', '-c', 'print(1)'],
  max_price_per_hour: '1.00',
};

test('a task goes from its submission to its outputs', async () => {
  const made = await client.tasks.create(task);
  const phases: string[] = [];
  for await (const update of client.tasks.updates(made.id)) phases.push(update.phase);
  expect(phases.at(-1)).toBe('completed');
  const ended = await client.tasks.wait(made.id, { timeout: 10_000 });
  expect(ended.status).toBe('completed');
  const [output] = await client.tasks.outputs(made.id);
  expect(output?.path).toBe('result.json');
  const data = await client.tasks.output(made.id, 'result.json');
  expect(JSON.parse(new TextDecoder().decode(data))).toMatchObject({ text: ' or not to be' });
  expect(await client.tasks.logs(made.id)).toBeTypeOf('string');
  for await (const piece of client.tasks.followLogs(made.id)) expect(piece).toBeTypeOf('string');
  await expect(client.tasks.receipt(made.id)).rejects.toThrow(NotSettledError);
  expect((await client.tasks.auctions(made.id)).task_id).toBe(made.id);
});

test('the same key submits once', async () => {
  const options = { idempotencyKey: 'typescript-once' };
  const [first, second] = [await client.tasks.create(task, options), await client.tasks.create(task, options)];
  expect(second.id).toBe(first.id);
  expect((await client.tasks.create(task)).id).not.toBe(first.id);
});

test('all pages of a list are walked through', async () => {
  for (let at = 0; at < 3; at += 1) await client.tasks.create({ ...task, name: 'Walked through' });
  const found: string[] = [];
  for await (const { id } of client.tasks.each({ name: 'Walked through', limit: 2 })) found.push(id);
  expect(new Set(found).size).toBe(3);
});

test.each([
  ['tasks', () => client.tasks.each()],
  ['nodes', () => client.nodes.each()],
  ['providers', () => client.providers.each()],
  ['batches', () => client.batches.each()],
  ['workflows', () => client.workflows.each()],
  ['keys', () => client.apiKeys.each()],
])('every list that comes in pages ends: %s', async (_, each) => {
  const found: object[] = [];
  for await (const item of each()) found.push(item);
  expect(found.length).toBeLessThan(1000);
});

test('a file is uploaded once and comes back as it was', async () => {
  const first = await client.artifacts.upload('an input');
  expect(first.created).toBe(true);
  expect((await client.artifacts.upload(new Blob(['an input']))).created).toBe(false);
  expect(new TextDecoder().decode(await client.artifacts.download(first.sha256))).toBe('an input');
  await client.artifacts.delete(first.sha256);
  await expect(client.artifacts.download(first.sha256)).rejects.toThrow(NotFoundError);
});

test('a model writes, whole and piece by piece', async () => {
  const text = await client.models.generateText({ model: 'small', prompt: 'To be,' });
  expect(text.generated_text).toBe(' or not to be');
  const chat = { model: 'small', messages: [{ role: 'user' as const, content: 'To be?' }] };
  expect((await client.models.chat(chat)).choices[0]?.message.content).toBe(' or not to be');
  const pieces: string[] = [];
  for await (const { choices } of client.models.streamChat(chat)) pieces.push(choices[0]?.delta.content ?? '');
  expect(pieces.join('')).toBe(' or not to be');
  const stream = client.models.streamText({ model: 'small', prompt: 'To be,' });
  let streamed = '';
  for await (const piece of stream) streamed += piece;
  expect(streamed).toBe(' or not to be');
});

test('events come as they happen', async () => {
  const over = new AbortController();
  const events = client.events({ after: 0, signal: over.signal });
  const types: string[] = [];
  for await (const { type, sequence } of events) {
    if (sequence !== undefined) types.push(type);
    if (type === 'task.completed') break;
  }
  over.abort();
  expect(types).toContain('task.created');
});

test('an error says what is wrong with which field', async () => {
  const error = await client.tasks.create({ ...task, timeout_seconds: -1 }).catch((found: unknown) => found);
  expect(error).toBeInstanceOf(InvalidRequestError);
  expect((error as InvalidRequestError).field).toBe('timeout_seconds');
  const nobody = new NeuroGridClient({ apiKey: 'ng_nobody' });
  await expect(nobody.account.get()).rejects.toThrow(AuthenticationError);
  for (const id of ['', '.', '..']) await expect(client.tasks.get(id)).rejects.toThrow(ConfigurationError);
});

test.each([
  ['account', () => client.account.get()],
  ['limits', () => client.account.limits()],
  ['audit', () => client.account.auditLogs({ limit: 1 })],
  ['errors', () => client.account.errors({ timeframe: '24h' })],
  ['past events', () => client.account.events({ after: 0, types: ['task.completed', 'task.failed'] })],
  ['applications', () => client.applications.list()],
  ['grants', () => client.applications.grants()],
  ['commitments', () => client.nodes.commitments()],
  ['keys', () => client.apiKeys.get()],
  ['key list', () => client.apiKeys.list()],
  ['webhooks', () => client.webhooks.list()],
  ['webhook events', () => client.webhooks.events()],
  ['batches', () => client.batches.list()],
  ['schedules', () => client.schedules.list({ is_active: true })],
  ['workflows', () => client.workflows.list()],
  ['nodes', () => client.nodes.list({ limit: 1 })],
  ['providers', () => client.providers.list({ ram_gb_min: 1 })],
  ['prices', () => client.market.prices()],
  ['constraints', () => client.market.constraints()],
  ['operations', () => client.market.operations()],
  ['stats', () => client.market.stats()],
  ['performance', () => client.market.performance()],
  ['usage', () => client.market.usage()],
  ['gpus', () => client.market.gpus()],
  ['task metrics', () => client.market.taskMetrics()],
  ['balance', () => client.wallet.balance()],
  ['deposits', () => client.wallet.deposits()],
  ['transfers', () => client.wallet.transfers({ limit: 1 })],
  ['bill', () => client.billing.balance()],
  ['history', () => client.billing.history({ start_date: '2026-01-01' })],
  ['history as CSV', () => client.billing.historyCsv()],
  ['invoices', () => client.billing.invoices()],
  ['earnings', () => client.provider.earnings()],
  ['jobs', () => client.provider.jobs()],
  ['payouts', () => client.provider.payouts()],
  ['resources', () => client.provider.resources()],
  ['provided tasks', () => client.provider.tasks()],
  ['models', () => client.models.list({ type: 'text' })],
  ['model', () => client.models.get('makers/large')],
  ['health', () => client.operator.health()],
  ['status', () => client.operator.status()],
  ['metrics', () => client.operator.metrics()],
  ['estimate', () => client.tasks.estimate(task)],
  ['explanation', () => client.tasks.explain(task)],
])('the account is answered: %s', async (_, ask) => {
  expect(await ask()).toBeDefined();
});

test('what is made is changed, run and deleted', async () => {
  const hook = await client.webhooks.create({ url: 'https://hooks.example.org/here', events: ['task.completed'] });
  expect((await client.webhooks.update(hook.id, { events: ['task.failed'] })).events).toEqual(['task.failed']);
  expect((await client.webhooks.pause(hook.id)).state).toBe('paused');
  await client.webhooks.delete(hook.id);
  const key = await client.apiKeys.create({ name: 'short-lived', scopes: ['read'], expires_in_seconds: 3600 });
  expect(key.secret).toMatch(/^ng_/);
  expect((await client.apiKeys.revoke(key.id)).state).toBe('revoked');
  const schedule = await client.schedules.create({ name: 'nightly', task: { ...task }, schedule: '0 3 * * *' });
  expect((await client.schedules.next(schedule.id, { count: 2 })).next_runs).toHaveLength(2);
  await client.schedules.disable(schedule.id);
  await client.schedules.delete(schedule.id);
});
