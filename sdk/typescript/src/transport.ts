import { apiError, ConfigurationError, ConflictError, ConnectionFailedError, RequestTimeoutError, TooLargeError, type ApiError } from './errors.js';
import type { Settings } from './options.js';
import { isAstray } from './path.js';
import { delayAfter, pause } from './retry.js';
import { readEvents, type ServerSentEvent } from './sse.js';

export type Query = Readonly<Record<string, string | number | boolean | Date | readonly string[] | null | undefined>>;

export interface RequestOptions {
  query?: Query | undefined;
  /** Sent as JSON, unless it is something that `fetch` takes itself (a `Blob`, bytes, a form). */
  body?: unknown;
  headers?: Readonly<Record<string, string>> | undefined;
  signal?: AbortSignal | null | undefined;
  /**
   * The same key with the same request does nothing twice. POST and PATCH get one of their own where none is
   * given; null: none is sent, and what may have arrived is not sent again.
   */
  idempotencyKey?: string | null | undefined;
  /** Milliseconds; the client's by default. Of a stream the longest silence; 45 s by default. */
  timeout?: number | undefined;
}

/** What every call takes beside its own arguments. */
export type CallOptions = Pick<RequestOptions, 'signal' | 'idempotencyKey' | 'timeout'>;

export interface StreamOptions extends RequestOptions {
  method?: string | undefined;
  /** The last event's id: the stream goes on after it. */
  after?: string | null | undefined;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD';

// The coordinator's fault, and passing: a restart, a gateway without its upstream, an overload.
const PASSING = [502, 503, 504];
// What an answer without a body, as to HEAD, means.
const CODES: Readonly<Record<number, string>> = { 401: 'UNAUTHORIZED', 403: 'FORBIDDEN', 404: 'NOT_FOUND' };
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const ERROR_BYTES_MAX = 1024 * 1024;
// Streams carry a comment at least every 15 s; three times that is a dead connection.
const SILENCE_MS = 45_000;
// A stream that was there for so long has not failed when it ends.
const STEADY_MS = 10_000;

/** Requests to one coordinator: bounded retries, errors as exceptions, answers as values. */
export class Transport {
  readonly settings: Settings;

  constructor(settings: Settings) {
    this.settings = settings;
  }

  /** The address of a path. */
  url(path: string, query: Query = {}): string {
    if (isAstray(path)) throw new ConfigurationError(`${path}: an id is empty, or dots`);
    const url = new URL(this.settings.baseUrl + path);
    for (const [name, value] of Object.entries(query)) {
      if (value === null || value === undefined) continue;
      url.searchParams.set(name, value instanceof Date ? value.toISOString() : String(value));
    }
    return url.href;
  }

  /** The key or token of now; null: there is none. */
  async credential(): Promise<string | null> {
    const { credential } = this.settings;
    return typeof credential === 'function' ? await credential() : credential;
  }

  /** Send a request; `data` of the answer, or the whole of an answer that has none. */
  async request<T>(method: Method, path: string, given: RequestOptions = {}): Promise<T> {
    return this.#repeat(given, async (options, watch) => {
      const answer = await this.#send(method, path, options, watch);
      const text = await readText(answer, ANSWER_BYTES_MAX);
      if (text === '') return undefined as T;
      let body: unknown;
      try {
        body = JSON.parse(text);
      } catch (error) {
        throw new ConnectionFailedError(`${answer.url} does not answer like a NeuroGrid coordinator`, {
          cause: error,
        });
      }
      return (isEnvelope(body) ? body.data : body) as T;
    });
  }

  /** Send a request; the answer as it came, of which only the head has been read. */
  async send(method: Method, path: string, given: RequestOptions = {}): Promise<Response> {
    return this.#repeat(given, (options, watch) => this.#send(method, path, options, watch));
  }

  /** Send a request; the whole body of its answer, which may take long as long as something comes. */
  async bytes(path: string, given: RequestOptions = {}, bytesMax = ANSWER_BYTES_MAX): Promise<Uint8Array<ArrayBuffer>> {
    return this.#repeat(given, async (options, watch) => {
      const answer = await this.#send('GET', path, options, watch);
      return readBytes(answer, bytesMax, () => {
        watch.restart();
      });
    });
  }

  /** As `bytes`, of a text. */
  async text(path: string, options?: RequestOptions): Promise<string> {
    return new TextDecoder().decode(await this.bytes(path, options));
  }

  /**
   * The events of a stream, until its `end`. One that breaks off is taken up again after the last event that came;
   * one that was asked for by another method than GET is not.
   */
  async *stream(path: string, options: StreamOptions = {}): AsyncGenerator<ServerSentEvent, void> {
    const { method = 'GET', signal } = options;
    const { retry } = this.settings;
    let last = options.after ?? null;
    let [failures, hasBegun] = [0, false];
    for (;;) {
      const watch = new Watch(options.timeout ?? SILENCE_MS, signal);
      const begun = Date.now();
      try {
        const headers = { ...options.headers, Accept: 'text/event-stream', ...(last !== null && { 'Last-Event-ID': last }) };
        const answer = await this.#send(method as Method, path, { ...options, headers }, watch);
        for await (const event of readEvents(textOf(answer, watch))) {
          [failures, hasBegun] = [0, true];
          last = event.id ?? last;
          if (event.event === 'end') return;
          // Whoever reads may take as long as it likes.
          watch.rest();
          yield event;
          if (event.data === '[DONE]') return;
        }
        throw new ConnectionFailedError('the stream broke off');
      } catch (error) {
        const failure = watch.explained(error);
        // Streams end after an hour by themselves, and may have had nothing to say.
        if (Date.now() - begun >= STEADY_MS) failures = 0;
        failures += 1;
        // What was refused has done nothing; what broke off may have.
        const mayRepeat = method === 'GET' || (!hasBegun && !(failure instanceof ConnectionFailedError));
        const wait = mayRepeat ? this.#waitAfter(failure, failures) : null;
        if (wait === null || failures >= retry.maxAttempts) throw failure;
        watch.rest();
        await pause(wait, signal);
      } finally {
        watch.rest();
      }
    }
  }

  async #repeat<T>(
    given: RequestOptions,
    attempt: (options: RequestOptions, watch: Watch) => Promise<T>,
  ): Promise<T> {
    const { retry, timeout } = this.settings;
    // One key for every attempt, so that nothing is done twice.
    const options = { ...given, idempotencyKey: given.idempotencyKey === undefined ? newKey() : given.idempotencyKey };
    for (let failures = 1; ; failures += 1) {
      const watch = new Watch(options.timeout ?? timeout, options.signal);
      try {
        return await attempt(options, watch);
      } catch (error) {
        const failure = watch.explained(error);
        const mayRepeat = options.idempotencyKey !== null || !(failure instanceof ConnectionFailedError);
        // The first attempt may still be under way, and its answer is this one's in a moment.
        const isUnderWay = failures > 1 && failure instanceof ConflictError && failure.code === 'CONFLICT';
        const usual = mayRepeat ? this.#waitAfter(failure, failures) : null;
        const wait = isUnderWay ? delayAfter(failures, retry) : usual;
        if (wait === null || failures >= retry.maxAttempts) throw failure;
        watch.rest();
        await pause(wait, options.signal);
      } finally {
        watch.rest();
      }
    }
  }

  /** Milliseconds until it may be tried again; null: it is not. */
  #waitAfter(failure: unknown, failures: number): number | null {
    const { retry } = this.settings;
    if (failure instanceof ConnectionFailedError) return delayAfter(failures, retry);
    const { status, retryAfter } = failure as Partial<ApiError>;
    if (status !== 429 && !PASSING.includes(status ?? 0)) return null;
    if (retryAfter === undefined) return delayAfter(failures, retry);
    // Who asks for a longer pause is not waited for: the caller decides.
    return retryAfter * 1000 > retry.maxDelay ? null : Math.max(retryAfter * 1000, delayAfter(failures, retry));
  }

  async #send(method: Method, path: string, options: RequestOptions, watch: Watch): Promise<Response> {
    const headers = headersOf(method, options, await this.credential());
    const body = bodyOf(options.body, headers);
    watch.signal.throwIfAborted();
    const answer = await this.settings.fetch(this.url(path, options.query), {
      method,
      headers,
      body,
      signal: watch.signal,
    });
    if (!answer.ok) throw await errorOf(answer);
    return answer;
  }
}

/** One attempt's clock: its signal ends the attempt with the caller's, or after too long a silence. */
class Watch {
  readonly #late = new AbortController();
  readonly #outer: AbortSignal | null;
  readonly #ms: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Also of what is read later, with the caller's signal alone. */
  readonly signal: AbortSignal;

  constructor(ms: number, outer: AbortSignal | null | undefined) {
    this.#ms = ms;
    this.#outer = outer ?? null;
    this.signal = outer ? AbortSignal.any([outer, this.#late.signal]) : this.#late.signal;
    this.restart();
  }

  restart(): void {
    this.rest();
    this.#timer = setTimeout(() => {
      this.#late.abort();
    }, this.#ms);
  }

  rest(): void {
    clearTimeout(this.#timer);
  }

  /** What an attempt's failure means. */
  explained(error: unknown): unknown {
     
    if (this.#outer?.aborted) throw this.#outer.reason;
    if (this.#late.signal.aborted) return new RequestTimeoutError(`no answer within ${this.#ms} ms`, { cause: error });
    // What `fetch` throws where there is no connection, or where it breaks.
    if (error instanceof TypeError) {
      return new ConnectionFailedError(`the coordinator was not reached: ${error.message}`, { cause: error });
    }
    return error;
  }
}

/** Random; `crypto.randomUUID` is not there in pages that came without TLS. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function headersOf(method: Method, options: RequestOptions, token: string | null): Headers {
  try {
    const headers = new Headers(options.headers);
    if (token) headers.set('Authorization', `Bearer ${token}`);
    if (options.idempotencyKey && (method === 'POST' || method === 'PATCH')) {
      headers.set('Idempotency-Key', options.idempotencyKey);
    }
    return headers;
  } catch (error) {
    throw new ConfigurationError('the key, the idempotency key or a header has characters that no header may have', {
      cause: error,
    });
  }
}

function bodyOf(body: unknown, headers: Headers): BodyInit | null {
  if (body === undefined || body === null) return null;
  if (isSendable(body)) return body;
  headers.set('Content-Type', 'application/json');
  return JSON.stringify(body);
}

function isSendable(body: unknown): body is BodyInit {
  return (
    body instanceof Blob ||
    body instanceof FormData ||
    body instanceof URLSearchParams ||
    body instanceof ArrayBuffer ||
    ArrayBuffer.isView(body)
  );
}

async function* textOf(answer: Response, watch: Watch): AsyncGenerator<string, void> {
  const reader = answer.body?.getReader();
  if (!reader) return;
  const decoder = new TextDecoder();
  try {
    for (;;) {
      watch.restart();
      const { done, value } = await reader.read();
      if (done) return;
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    // Who stops reading gives the connection back.
    await reader.cancel().catch(() => undefined);
  }
}

async function readText(answer: Response, bytesMax: number): Promise<string> {
  return new TextDecoder().decode(await readBytes(answer, bytesMax));
}

/** The body, up to a limit; `heard` is called for each piece. */
async function readBytes(answer: Response, bytesMax: number, heard?: () => void): Promise<Uint8Array<ArrayBuffer>> {
  const reader = answer.body?.getReader();
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    heard?.();
    size += value.length;
    if (size > bytesMax) {
      await reader.cancel().catch(() => undefined);
      throw new TooLargeError(`${answer.url}: the answer is larger than ${bytesMax} bytes`);
    }
    pieces.push(value);
  }
  return joined(pieces, size);
}

function joined(pieces: readonly Uint8Array<ArrayBuffer>[], size: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function isEnvelope(body: unknown): body is { data: unknown } {
  return isObject(body) && body['success'] === true && Object.hasOwn(body, 'data');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The error of an answer, in whichever of the API's forms it came. */
async function errorOf(answer: Response): Promise<ApiError> {
  let body: unknown;
  try {
    body = JSON.parse(await readText(answer, ERROR_BYTES_MAX));
  } catch {
    body = {};
  }
  const whole = isObject(body) ? body : {};
  // Natively `error` is an object; in document 000's words, and OAuth's, it is the code.
  const error = isObject(whole['error']) ? whole['error'] : whole;
  const code = isObject(whole['error']) ? error['code'] : whole['error'];
  const said = error['message'] ?? whole['error_description'];
  return apiError({
    code: typeof code === 'string' ? code.toUpperCase() : (CODES[answer.status] ?? `HTTP_${answer.status}`),
    message: typeof said === 'string' ? said : `the coordinator answered ${answer.status} ${answer.statusText}`.trim(),
    status: answer.status,
    details: isObject(error['details']) ? error['details'] : detailsOf(error),
    requestId: answer.headers.get('X-Request-Id') ?? '',
    retryAfter: seconds(answer.headers.get('Retry-After')) ?? seconds(answer.headers.get('X-RateLimit-Retry-After')),
  });
}

/** What an answer that has no details says beside code and message. */
function detailsOf(error: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(error).filter(([name]) => !['code', 'message', 'error'].includes(name)));
}

function seconds(header: string | null): number | undefined {
  if (header === null || header === '') return undefined;
  const number = Number(header);
  return Number.isFinite(number) && number >= 0 ? number : undefined;
}
