import { ConfigurationError } from './errors.js';

/** How often and how soon something is tried again. Times are milliseconds. */
export interface RetryOptions {
  /** Attempts in all, the first included. Of the live connection: attempts in a row. */
  maxAttempts?: number;
  backoff?: {
    initial?: number;
    multiplier?: number;
    maxDelay?: number;
  };
}

/** The live connection. Times are milliseconds. */
export interface WebSocketConfig {
  heartbeat?: {
    /** Between two pings. */
    interval?: number;
    /** Without a word from the coordinator for so long after a ping, the connection is made anew. */
    timeout?: number;
  };
  reconnect?: RetryOptions;
}

export interface Behaviour {
  retry?: RetryOptions;
  /** Milliseconds: how long an answer may take; and what `submitTask` gives a task that says nothing itself. */
  timeout?: number;
  /** 0 to 1: what `submitTask` asks of a task that says nothing itself. Left out: the model's own. */
  quality?: number;
  websocket?: WebSocketConfig;
}

/** A key or a token; or what gives one, asked before every attempt. */
export type Credential = string | (() => string | null | Promise<string | null>);

export interface ClientOptions {
  /** Left out: `NEUROGRID_API_KEY` of the environment, where there is one; null: none is sent. */
  apiKey?: Credential | null;
  /** Left out: `NEUROGRID_API_URL` of the environment; in browsers the page's own origin. */
  baseUrl?: string;
  options?: Behaviour;
  /** In place of the platform's own. */
  fetch?: typeof globalThis.fetch;
  /** In place of the platform's own; Node.js has one from 22 on. */
  WebSocket?: WebSocketConstructor;
}

export type WebSocketConstructor = new (url: string) => WebSocket;

/** Options with every default. */
export interface Settings {
  readonly baseUrl: string;
  readonly credential: Credential | null;
  readonly timeout: number;
  /** Of tasks; null: nothing was said. */
  readonly taskTimeout: number | null;
  readonly quality: number | null;
  readonly retry: Backoff;
  readonly heartbeat: { readonly interval: number; readonly timeout: number };
  readonly reconnect: Backoff;
  readonly fetch: typeof globalThis.fetch;
  readonly WebSocket: WebSocketConstructor | null;
}

export interface Backoff {
  readonly maxAttempts: number;
  readonly initial: number;
  readonly multiplier: number;
  readonly maxDelay: number;
}

const RETRY: Backoff = { maxAttempts: 5, initial: 250, multiplier: 2, maxDelay: 30_000 };
const RECONNECT: Backoff = { maxAttempts: 10, initial: 500, multiplier: 2, maxDelay: 30_000 };
const TIMEOUT = 30_000;
// The coordinator says something every 5 s by itself.
const HEARTBEAT = { interval: 15_000, timeout: 15_000 };

interface Surroundings {
  process?: { env?: Record<string, string | undefined> };
  location?: { origin?: string };
  WebSocket?: WebSocketConstructor;
}

/**
 * Every setting, of what was given, the environment and the defaults.
 *
 * @throws ConfigurationError where no address is given, or something is no number that it can be.
 */
export function settings(given: ClientOptions, around: Surroundings = globalThis): Settings {
  const env = around.process?.env ?? {};
  const { options = {}, fetch = globalThis.fetch } = given;
  const heartbeat = { ...HEARTBEAT, ...defined(options.websocket?.heartbeat) };
  positive(heartbeat.interval, 'options.websocket.heartbeat.interval');
  positive(heartbeat.timeout, 'options.websocket.heartbeat.timeout');
  if (options.timeout !== undefined) positive(options.timeout, 'options.timeout');
  if (options.quality !== undefined && !(options.quality >= 0 && options.quality <= 1)) {
    throw new ConfigurationError(`options.quality is ${options.quality}: it goes from 0 to 1`);
  }
  return {
    baseUrl: address(given.baseUrl ?? env['NEUROGRID_API_URL'] ?? around.location?.origin),
    credential: given.apiKey === undefined ? (env['NEUROGRID_API_KEY'] ?? null) : given.apiKey,
    timeout: options.timeout ?? TIMEOUT,
    taskTimeout: options.timeout ?? null,
    quality: options.quality ?? null,
    retry: backoff(RETRY, options.retry, 'options.retry'),
    heartbeat,
    reconnect: backoff(RECONNECT, options.websocket?.reconnect, 'options.websocket.reconnect'),
    // Browsers' own refuses to be called as a method of something else.
    fetch: (...call) => fetch(...call),
    WebSocket: given.WebSocket ?? around.WebSocket ?? null,
  };
}

function backoff(usual: Backoff, given: RetryOptions | undefined, name: string): Backoff {
  const { maxAttempts = usual.maxAttempts } = given ?? {};
  const found = { ...usual, ...defined(given?.backoff), maxAttempts };
  if (!Number.isSafeInteger(maxAttempts) || maxAttempts < 1) {
    throw new ConfigurationError(`${name}.maxAttempts is ${maxAttempts}: it is a whole number, at least 1`);
  }
  positive(found.initial, `${name}.backoff.initial`);
  positive(found.multiplier, `${name}.backoff.multiplier`);
  positive(found.maxDelay, `${name}.backoff.maxDelay`);
  return found;
}

/** What was given, less what was given as undefined. */
function defined<T extends object>(given: T | undefined): Partial<T> {
  return Object.fromEntries(Object.entries(given ?? {}).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function positive(value: number, name: string): void {
  if (!(value > 0 && Number.isFinite(value))) {
    throw new ConfigurationError(`${name} is ${value}: it has to be more than 0`);
  }
}

function address(text: string | undefined): string {
  if (!text || text === 'null') {
    throw new ConfigurationError('no coordinator to talk to: give baseUrl, or set NEUROGRID_API_URL');
  }
  let url;
  try {
    url = new URL(text);
  } catch (error) {
    throw new ConfigurationError(`baseUrl is no URL: ${text}`, { cause: error });
  }
  if (!['http:', 'https:'].includes(url.protocol) || url.search || url.hash) {
    throw new ConfigurationError(`baseUrl is ${text}: give it as https://host, without ? and #`);
  }
  return url.href.replace(/\/+$/, '');
}
