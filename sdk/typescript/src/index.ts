export { NeuroGridClient, NeuroGridClient as BoltClient } from './client.js';
export * from './errors.js';
export type { ClientEvents, TaskProgress } from './live.js';
export type { Behaviour, ClientOptions, Credential, RetryOptions, WebSocketConfig } from './options.js';
export type * as schema from './schema.js';
export type { ServerSentEvent } from './sse.js';
export { SubmittedTask, type TaskEvents } from './task.js';
export type { CallOptions, Method, Query, RequestOptions, StreamOptions } from './transport.js';
