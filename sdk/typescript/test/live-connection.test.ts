// The live connection of document 000, with a coordinator that does as told.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { BoltClient, ConnectionFailedError, TaskFailedError, type TaskProgress } from '../src/index.js';

type Said = Record<string, unknown>;

/** A coordinator's end of `/ws`, and its answers over HTTP. */
class Coordinator {
  static sockets: Socket[] = [];
  tasks: Record<string, Said> = {};
  looks = 0;

  readonly fetch: typeof globalThis.fetch = (url, init) => {
    const { pathname, searchParams } = new URL(url as string);
    if (init?.method === 'POST') return Promise.resolve(Response.json(this.tasks['task_1'], { status: 201 }));
    if (pathname === '/api/tasks/statuses') {
      this.looks += 1;
      const ids = (searchParams.get('ids') ?? '').split(',');
      const statuses = ids.filter((id) => id in this.tasks).map((id) => this.tasks[id]);
      return Promise.resolve(Response.json({ statuses, notFound: ids.filter((id) => !(id in this.tasks)) }));
    }
    return Promise.resolve(Response.json(this.tasks[pathname.split('/').at(-1) ?? '']));
  };
}

class Socket {
  readyState = 0;
  sent: Said[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: (event: { code: number; reason: string }) => void;
  readonly url: string;

  constructor(url: string) {
    this.url = url;
    Coordinator.sockets.push(this);
  }

  send(text: string): void {
    const message = JSON.parse(text) as Said;
    this.sent.push(message);
    if (message['type'] === 'auth') this.say({ type: 'authenticated' });
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  say(message: Said): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  break(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code, reason: '' });
  }

  close(): void {
    this.readyState = 3;
  }
}

const task = (status: string, progress: number, more: Said = {}): Said => ({ taskId: 'task_1', status, progress, metrics: {}, ...more });
const options = {
  baseUrl: 'http://coordinator',
  apiKey: 'ng_key',
  WebSocket: Socket as unknown as typeof WebSocket,
  options: {
    websocket: {
      heartbeat: { interval: 1000, timeout: 500 },
      reconnect: { maxAttempts: 3, backoff: { initial: 100, multiplier: 2, maxDelay: 300 } },
    },
  },
};

let coordinator: Coordinator;

/** The newest connection. */
function socket(): Socket {
  const found = Coordinator.sockets.at(-1);
  if (!found) throw new Error('there is no connection');
  return found;
}

beforeEach(() => {
  vi.useFakeTimers();
  Coordinator.sockets = [];
  coordinator = new Coordinator();
  coordinator.tasks['task_1'] = task('pending', 0);
});
afterEach(() => {
  vi.useRealTimers();
});

async function submitted() {
  const client = new BoltClient({ ...options, fetch: coordinator.fetch });
  return { client, submission: await client.submitTask({ model: 'small', input: 'a' }) };
}

test('progress is told as a number, and the result comes with the end', async () => {
  const { submission } = await submitted();
  const seen: number[] = [];
  submission.on('progress', (percent) => seen.push(percent));
  socket().open();
  await vi.advanceTimersByTimeAsync(1);
  for (const percent of [25, 25, 50]) socket().say({ type: 'progress', ...task('running', percent) });
  const end = submission.wait();
  coordinator.tasks['task_1'] = task('complete', 100, { result: 'done' });
  socket().say({ type: 'progress', ...task('complete', 100) });
  await vi.advanceTimersByTimeAsync(1);
  expect(await end).toMatchObject({ result: 'done' });
  expect(seen).toEqual([25, 50, 100]);
  expect(socket().url).toBe('ws://coordinator/ws?dialect=bolt');
});

test('one connection serves all tasks, and is closed after the last', async () => {
  const { submission } = await submitted();
  void submission.wait();
  void submission.wait();
  socket().open();
  await vi.advanceTimersByTimeAsync(1);
  coordinator.tasks['task_1'] = task('complete', 100);
  socket().say({ type: 'progress', ...task('complete', 100) });
  await vi.advanceTimersByTimeAsync(1);
  expect(Coordinator.sockets).toHaveLength(1);
  expect(socket().readyState).toBe(3);
  expect(vi.getTimerCount()).toBe(0);
});

test('a failed task rejects who waits and tells who listens', async () => {
  const { submission } = await submitted();
  const errors: Error[] = [];
  submission.on('error', (error) => errors.push(error));
  const end = submission.wait().catch((error: unknown) => error);
  coordinator.tasks['task_1'] = task('error', 10, { error: { code: 'exit_nonzero', message: 'it ended with 1' } });
  await vi.advanceTimersByTimeAsync(5);
  expect(await end).toBeInstanceOf(TaskFailedError);
  expect(await end).toMatchObject({ code: 'EXIT_NONZERO', message: 'it ended with 1', taskId: 'task_1' });
  expect(errors).toEqual([await end]);
  const late: Error[] = [];
  submission.on('error', (error) => late.push(error));
  await vi.advanceTimersByTimeAsync(1);
  expect(late).toEqual(errors);
});

test('what ended while the connection was away is found when it is back', async () => {
  const { submission } = await submitted();
  const end = submission.wait();
  socket().open();
  await vi.advanceTimersByTimeAsync(1);
  socket().break();
  coordinator.tasks['task_1'] = task('complete', 100, { result: 'meanwhile' });
  await vi.advanceTimersByTimeAsync(1000);
  expect(await end).toMatchObject({ result: 'meanwhile' });
});

test('without a WebSocket a task is looked after every second', async () => {
  const { WebSocket: _, ...without } = options;
  vi.stubGlobal('WebSocket', undefined);
  const client = new BoltClient({ ...without, fetch: coordinator.fetch });
  vi.unstubAllGlobals();
  expect(_).toBeDefined();
  const submission = await client.submitTask({ model: 'small', input: 'a' });
  const end = submission.wait();
  await vi.advanceTimersByTimeAsync(2500);
  expect(coordinator.looks).toBe(3);
  coordinator.tasks['task_1'] = task('complete', 100);
  await vi.advanceTimersByTimeAsync(1000);
  expect((await end).status).toBe('complete');
});

test('the connection pings, and is made anew where nothing comes back', async () => {
  const heard: string[] = [];
  const client = new BoltClient({ ...options, fetch: coordinator.fetch });
  for (const name of ['connect', 'disconnect', 'pong'] as const) client.on(name, () => heard.push(name));
  socket().open();
  await vi.advanceTimersByTimeAsync(1000);
  expect(socket().sent.map(({ type }) => type)).toEqual(['auth', 'ping']);
  socket().say({ type: 'pong' });
  await vi.advanceTimersByTimeAsync(1700);
  expect(heard).toEqual(['connect', 'pong', 'disconnect']);
  expect(Coordinator.sockets).toHaveLength(2);
  socket().open();
  await vi.advanceTimersByTimeAsync(1);
  expect(heard.at(-1)).toBe('connect');
  client.close();
  expect(vi.getTimerCount()).toBe(0);
});

test('a connection that can not be made is given up, and told of', async () => {
  const client = new BoltClient({ ...options, fetch: coordinator.fetch });
  const errors: Error[] = [];
  client.on('error', (error) => errors.push(error));
  for (let at = 0; at < 3; at += 1) {
    socket().break();
    await vi.advanceTimersByTimeAsync(300);
  }
  expect(errors[0]).toBeInstanceOf(ConnectionFailedError);
  expect(Coordinator.sockets).toHaveLength(3);
  expect(vi.getTimerCount()).toBe(0);
});

test('a key that opens nothing is not tried again', async () => {
  const client = new BoltClient({ ...options, fetch: coordinator.fetch });
  const errors: Error[] = [];
  client.on('error', (error) => errors.push(error));
  socket().break(4401);
  await vi.advanceTimersByTimeAsync(1000);
  expect(errors).toHaveLength(1);
  expect(Coordinator.sockets).toHaveLength(1);
});

test('a key that is given anew each time is tried again', async () => {
  let key = 'ng_old';
  const client = new BoltClient({ ...options, apiKey: () => key, fetch: coordinator.fetch });
  const stop = client.on('connect', () => undefined);
  socket().break(4401);
  key = 'ng_new';
  await vi.advanceTimersByTimeAsync(300);
  socket().open();
  await vi.advanceTimersByTimeAsync(1);
  expect(socket().sent[0]).toMatchObject({ type: 'auth', token: 'ng_new' });
  stop();
});

test('who listens to the client hears of every task', async () => {
  const client = new BoltClient({ ...options, fetch: coordinator.fetch });
  const seen: TaskProgress[] = [];
  const stop = client.on('progress', (progress) => seen.push(progress));
  socket().open();
  socket().say({ type: 'progress', ...task('running', 5), taskId: 'task_2' });
  stop();
  await vi.advanceTimersByTimeAsync(1);
  expect(seen.map(({ taskId }) => taskId)).toEqual(['task_2']);
  expect(socket().readyState).toBe(3);
});
