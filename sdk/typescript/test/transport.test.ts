import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import {
  ConfigurationError,
  ConflictError,
  ConnectionFailedError,
  InvalidRequestError,
  NeuroGridClient,
  RateLimitError,
  RequestTimeoutError,
  ServerError,
  TooLargeError,
  WaitTimeoutError,
  type ClientOptions,
} from '../src/index.js';

type Answer = Response | Error | 'nothing';

/** A client whose requests are answered by these, one after the other; the last one stays. */
function answered(answers: readonly (Answer | (() => Answer))[], options: ClientOptions = {}) {
  const sent: Request[] = [];
  const fetch: typeof globalThis.fetch = (url, init) => {
    sent.push(new Request(url, init));
    const next = answers[Math.min(sent.length, answers.length) - 1];
    const answer = typeof next === 'function' ? next() : next;
    return new Promise((resolve, reject) => {
      init?.signal?.addEventListener('abort', () => { reject(new DOMException('aborted', 'AbortError')); });
      if (answer instanceof Error) reject(answer);
      else if (answer instanceof Response) resolve(answer);
    });
  };
  const client = new NeuroGridClient({ baseUrl: 'http://coordinator', apiKey: 'ng_key', fetch, ...options });
  return { client, sent };
}

const good = (data: unknown) => () => Response.json({ success: true, data, timestamp: '' });
const bad = (status: number, error: unknown, headers: Record<string, string> = {}) => () =>
  Response.json({ success: false, error }, { status, headers });
const lost = () => new TypeError('fetch failed');
const events = (...texts: string[]) => () => new Response(texts.join(''), { headers: { 'Content-Type': 'text/event-stream' } });

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** What a promise comes to, while time passes by itself. */
async function settled<T>(promise: Promise<T>): Promise<T | Error> {
  const found = promise.catch((error: unknown) => error as Error);
  await vi.runAllTimersAsync();
  return found;
}

test('a request that fails in passing is sent again with the same key', async () => {
  const { client, sent } = answered([lost, bad(503, { code: 'UNAVAILABLE', message: 'restarting' }), good({ id: 'task_1' })]);
  expect(await settled(client.tasks.create({ docker_image: 'a', max_price_per_hour: '1' }))).toEqual({ id: 'task_1' });
  const keys = sent.map(({ headers }) => headers.get('Idempotency-Key'));
  expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(new Set(keys).size).toBe(1);
});

test('a repeated request waits for the first one that is still under way', async () => {
  const busy = bad(409, { code: 'CONFLICT', message: 'the same request is being carried out' });
  const { client } = answered([lost, busy, good({ id: 'task_1' })]);
  expect(await settled(client.tasks.create({ docker_image: 'a', max_price_per_hour: '1' }))).toEqual({ id: 'task_1' });
  const { client: other, sent } = answered([busy]);
  expect(await settled(other.tasks.execute('task_1'))).toBeInstanceOf(ConflictError);
  expect(sent).toHaveLength(1);
});

test('a key that no header may have is refused at once', async () => {
  const { client, sent } = answered([good({})], { apiKey: 'ng_two\nlines' });
  expect(await settled(client.nodes.list())).toBeInstanceOf(ConfigurationError);
  expect(sent).toHaveLength(0);
});

test('two calls have two keys, also with the same options', async () => {
  const { client, sent } = answered([good({})]);
  const options = { timeout: 1000 };
  await settled(client.request('POST', '/api/v1/tasks', options));
  await settled(client.request('POST', '/api/v1/tasks', options));
  expect(new Set(sent.map(({ headers }) => headers.get('Idempotency-Key'))).size).toBe(2);
});

test('retries end, and wait longer each time, up to a limit', async () => {
  const backoff = { initial: 1000, multiplier: 10, maxDelay: 2000 };
  const { client, sent } = answered([lost], { options: { retry: { maxAttempts: 4, backoff } } });
  const begin = Date.now();
  expect(await settled(client.nodes.list())).toBeInstanceOf(ConnectionFailedError);
  expect(sent).toHaveLength(4);
  // Half to all of 1, 2 and 2 s.
  expect(Date.now() - begin).toBeGreaterThanOrEqual(2500);
  expect(Date.now() - begin).toBeLessThanOrEqual(5000);
});

test('what is wrong is not sent again', async () => {
  const { client, sent } = answered([bad(422, { code: 'INVALID_REQUEST', message: 'name: too long', details: { field: 'name' } })]);
  const error = await settled(client.nodes.list());
  expect(error).toBeInstanceOf(InvalidRequestError);
  expect(error).toMatchObject({ code: 'INVALID_REQUEST', field: 'name', status: 422 });
  expect(sent).toHaveLength(1);
});

test('too many requests are waited for as long as the coordinator says', async () => {
  const limited = bad(429, { code: 'RATE_LIMITED', message: 'slowly' }, { 'Retry-After': '3' });
  const { client } = answered([limited, good({ total: 0 })]);
  const begin = Date.now();
  expect(await settled(client.nodes.list())).toEqual({ total: 0 });
  expect(Date.now() - begin).toBeGreaterThanOrEqual(3000);
});

test('a pause beyond the longest delay is the caller\'s to decide', async () => {
  const body = { error: 'rate_limit_exceeded', message: 'Rate limit exceeded', retryAfter: 3600 };
  const { client, sent } = answered([() => Response.json(body, { status: 429, headers: { 'X-RateLimit-Retry-After': '3600' } })]);
  const error = await settled(client.submitTask({ model: 'a', input: 'b' }));
  expect(error).toBeInstanceOf(RateLimitError);
  expect(error).toMatchObject({ code: 'RATE_LIMIT_EXCEEDED', retryAfter: 3600 });
  expect(sent).toHaveLength(1);
});

test('an answer that does not come is given up', async () => {
  const { client } = answered(['nothing'], { options: { timeout: 500, retry: { maxAttempts: 1 } } });
  expect(await settled(client.nodes.list())).toBeInstanceOf(RequestTimeoutError);
});

test('a signal ends a request, and a pause between two', async () => {
  for (const answer of ['nothing', lost] as const) {
    const over = new AbortController();
    const { client, sent } = answered([answer]);
    const asked = client.nodes.list({}, { signal: over.signal }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(1);
    over.abort(new Error('enough'));
    expect(await asked).toEqual(new Error('enough'));
    expect(sent).toHaveLength(1);
  }
});

test('what may have been done, and has no key, is not sent again', async () => {
  const { client, sent } = answered([lost]);
  expect(await settled(client.models.generateText({ model: 'a', prompt: '' }))).toBeInstanceOf(ConnectionFailedError);
  expect(sent).toHaveLength(1);
  expect(sent[0]?.headers.has('Idempotency-Key')).toBe(false);
});

test('a stream that breaks off goes on after the last event that came', async () => {
  const { client, sent } = answered([
    events('id: 1\nevent: a\ndata: {"phase":"queued"}\n\n', ': keep-alive\n\n', 'id: 2\nda'),
    events('id: 2\r\ndata: {"phase":"running"}\r\n\r\n', 'event: end\ndata: {}\n\n'),
  ]);
  const phases: string[] = [];
  const read = async () => {
    for await (const { phase } of client.tasks.updates('task_1')) phases.push(phase);
  };
  await settled(read());
  expect(phases).toEqual(['queued', 'running']);
  expect(sent.map(({ headers }) => headers.get('Last-Event-ID'))).toEqual([null, '1']);
});

test('who reads a stream slowly loses nothing', async () => {
  const { client, sent } = answered([events('data: {"n":1}\n\n', 'data: {"n":2}\n\n', 'event: end\ndata: {}\n\n')]);
  const seen: unknown[] = [];
  const read = async () => {
    for await (const update of client.tasks.updates('task_1')) {
      seen.push(update['n']);
      await new Promise((resolve) => setTimeout(resolve, 100_000));
    }
  };
  await settled(read());
  expect(seen).toEqual([1, 2]);
  expect(sent).toHaveLength(1);
});

test('a file that is larger than it was listed is not taken', async () => {
  const outputs = { outputs: [{ path: 'a', sha256: '', size: 3 }] };
  const { client } = answered([good(outputs), () => new Response('more than three')]);
  expect(await settled(client.tasks.output('task_1', 'a'))).toBeInstanceOf(TooLargeError);
});

test('a streamed answer that breaks off is not asked for again', async () => {
  const chunk = 'data: {"id":"1","choices":[{"index":0,"delta":{"content":"To"},"finish_reason":null}]}\n\n';
  const { client, sent } = answered([events(chunk)]);
  const pieces: unknown[] = [];
  const read = async () => {
    for await (const { choices } of client.models.streamChat({ model: 'a', messages: [] })) pieces.push(choices[0]?.delta.content);
  };
  expect(await settled(read())).toBeInstanceOf(ConnectionFailedError);
  expect(pieces).toEqual(['To']);
  expect(sent).toHaveLength(1);
});

test('an error in the middle of an answer is thrown', async () => {
  const failed = 'data: {"error":{"code":"internal_error","message":"the model failed"}}\n\n';
  const { client } = answered([events(failed)]);
  const read = async () => client.models.streamChat({ model: 'a', messages: [] }).next();
  expect(await settled(read())).toEqual(expect.objectContaining({ message: 'the model failed' }));
});

test('a wait for a task ends when its patience does', async () => {
  const { client } = answered(['nothing']);
  expect(await settled(client.tasks.wait('task_1', { timeout: 2000 }))).toBeInstanceOf(WaitTimeoutError);
});

test('a credential is asked before every attempt', async () => {
  let count = 0;
  const { client, sent } = answered([lost, good({})], { apiKey: () => `token-${(count += 1)}` });
  await settled(client.nodes.list());
  expect(sent.map(({ headers }) => headers.get('Authorization'))).toEqual(['Bearer token-1', 'Bearer token-2']);
});

test('an answer that is none of a coordinator is an error', async () => {
  const page = () => new Response('<html>', { headers: { 'X-Request-Id': 'req_1' } });
  const { client } = answered([page], { options: { retry: { maxAttempts: 1 } } });
  expect(await settled(client.nodes.list())).toBeInstanceOf(ConnectionFailedError);
  const { client: other } = answered([() => new Response('<html>', { status: 500, headers: { 'X-Request-Id': 'req_1' } })]);
  const error = await settled(other.nodes.list());
  expect(error).toBeInstanceOf(ServerError);
  expect(error).toMatchObject({ code: 'HTTP_500', requestId: 'req_1' });
});

test.each([
  [{ baseUrl: 'coordinator' }, 'no URL'],
  [{ baseUrl: 'ftp://coordinator' }, 'https://host'],
  [{ baseUrl: 'http://c', options: { quality: 2 } }, 'options.quality'],
  [{ baseUrl: 'http://c', options: { retry: { maxAttempts: 0 } } }, 'options.retry.maxAttempts'],
  [{ baseUrl: 'http://c', options: { timeout: -1 } }, 'options.timeout'],
])('options that cannot be are refused: %j', (options, words) => {
  expect(() => new NeuroGridClient(options)).toThrow(ConfigurationError);
  expect(() => new NeuroGridClient(options)).toThrow(words);
});
