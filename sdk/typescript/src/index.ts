export { NeuroGridClient, NeuroGridClient as BoltClient } from './client.js';
export * from './errors.js';
export type { ClientEvents, TaskProgress } from './live.js';
export type { Behaviour, ClientOptions, Credential, RetryOptions, WebSocketConfig } from './options.js';
export type {
  ApiKeyView as ApiKey,
  BatchRequest,
  BatchView as Batch,
  BoltTask,
  BoltTaskRequest,
  ModelRequest,
  ModelView as Model,
  OperationRequest,
  ScheduleRequest,
  ScheduleView as Schedule,
  TaskRequest,
  TaskSummary,
  TaskView as Task,
  TransferView as Transfer,
  WebhookRequest,
  WebhookView as Webhook,
  WorkflowRequest,
  WorkflowView as Workflow,
} from './schema.js';
export type * as schema from './schema.js';
export type { ServerSentEvent } from './sse.js';
export type { LiveSocket, SocketHandlers, SocketMessage } from './socket.js';
export { SubmittedTask, type TaskEvents } from './task.js';
export type { CallOptions, Method, Query, RequestOptions, StreamOptions } from './transport.js';
export { ReceiptInvalidError, verifyReceipt } from './receipts/index.js';
export type { Expected, Proof, ReceiptItem, VerifiedReceipt } from './receipts/index.js';
export type { AccountEvent, EventOptions } from './account-events.js';
export type { ChatChunk, Recording } from './groups/models.js';
export type { NewTask, TaskQuery, TaskUpdate } from './groups/tasks.js';
export { verifyWebhook, type DeliveryHeaders } from './webhook.js';
