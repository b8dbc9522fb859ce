// The account: keys, limits, webhooks, and what has happened to it.

import { path } from '../path.js';
import type {
  AccountChange,
  AccountLimitsRequest,
  AccountLimitsView,
  AccountListView,
  AccountView,
  ApiKeyListView,
  ApiKeyRequest,
  ApiKeyRotation,
  ApiKeyView,
  AuditLogView,
  DeletedWebhookView,
  DeliveryDetailView,
  DeliveryListView,
  DeliveryView,
  EventListView,
  FailureListView,
  FailureView,
  Health,
  MetricsView,
  NewApiKeyView,
  NewWebhookView,
  RotatedApiKeyView,
  ServiceStatusView,
  StatusView,
  WebhookEventView,
  WebhookListView,
  WebhookRequest,
  WebhookUpdate,
  WebhookView,
} from '../schema.js';
import type { CallOptions } from '../transport.js';
import { Group, type PageQuery } from './group.js';

export interface AuditQuery extends PageQuery {
  start_time?: Date | string;
  end_time?: Date | string;
  type?: string;
  level?: string;
}

export interface FailureQuery extends PageQuery {
  task_id?: string;
  severity?: string;
  /** As `30m`, `24h`, `7d`. */
  timeframe?: string;
  resolved?: boolean;
}

export class Account extends Group {
  get(options?: CallOptions): Promise<AccountView> {
    return this.read('/account', undefined, options);
  }

  update(changes: AccountChange, options?: CallOptions): Promise<AccountView> {
    return this.call('PATCH', '/account', { ...options, body: changes });
  }

  limits(options?: CallOptions): Promise<AccountLimitsView> {
    return this.read('/account/limits', undefined, options);
  }

  /** Replaces all of them. */
  setLimits(limits: AccountLimitsRequest, options?: CallOptions): Promise<AccountLimitsView> {
    return this.call('PUT', '/account/limits', { ...options, body: limits });
  }

  /** What has happened after a sequence, oldest first; `client.events` tells it as it comes. */
  events(query?: { after?: number; types?: readonly string[]; limit?: number }, options?: CallOptions): Promise<EventListView> {
    return this.read('/events', query, options);
  }

  auditLogs(query?: AuditQuery, options?: CallOptions): Promise<AuditLogView> {
    return this.read('/audit/logs', query, options);
  }

  errors(query?: FailureQuery, options?: CallOptions): Promise<FailureListView> {
    return this.read('/errors', query, options);
  }

  error(errorId: string, options?: CallOptions): Promise<FailureView> {
    return this.read(path`/errors/${errorId}`, undefined, options);
  }

  /** Note what was done about it. */
  resolveError(errorId: string, resolution: string, options?: CallOptions): Promise<FailureView> {
    return this.call('PATCH', path`/errors/${errorId}`, { ...options, body: { resolution } });
  }
}

/** Keys of the account. All but `current` needs a key with the scope `keys`. */
export class ApiKeys extends Group {
  create(key: ApiKeyRequest, options?: CallOptions): Promise<NewApiKeyView> {
    return this.send('/api-keys', key, options);
  }

  /** The client's own by default. */
  get(keyId = 'current', options?: CallOptions): Promise<ApiKeyView> {
    return this.read(path`/api-keys/${keyId}`, undefined, options);
  }

  list(query?: PageQuery & { state?: ApiKeyView['state'] }, options?: CallOptions): Promise<ApiKeyListView> {
    return this.read('/api-keys', query, options);
  }

  each(query?: PageQuery & { state?: ApiKeyView['state'] }, options?: CallOptions): AsyncGenerator<ApiKeyView, void> {
    return this.every('api_keys', query, (page) => this.list({ ...query, ...page }, options));
  }

  /** A new key in place of one that ends after a while. */
  rotate(keyId = 'current', rotation: ApiKeyRotation = {}, options?: CallOptions): Promise<RotatedApiKeyView> {
    return this.send(path`/api-keys/${keyId}/rotate`, rotation, options);
  }

  revoke(keyId: string, options?: CallOptions): Promise<ApiKeyView> {
    return this.call('DELETE', path`/api-keys/${keyId}`, options);
  }
}

export class Webhooks extends Group {
  create(webhook: WebhookRequest, options?: CallOptions): Promise<NewWebhookView> {
    return this.send('/webhooks', webhook, options);
  }

  get(webhookId: string, options?: CallOptions): Promise<WebhookView> {
    return this.read(path`/webhooks/${webhookId}`, undefined, options);
  }

  list(query?: PageQuery & { state?: WebhookView['state'] }, options?: CallOptions): Promise<WebhookListView> {
    return this.read('/webhooks', query, options);
  }

  update(webhookId: string, changes: WebhookUpdate, options?: CallOptions): Promise<WebhookView> {
    return this.call('PATCH', path`/webhooks/${webhookId}`, { ...options, body: changes });
  }

  delete(webhookId: string, options?: CallOptions): Promise<DeletedWebhookView> {
    return this.call('DELETE', path`/webhooks/${webhookId}`, options);
  }

  /** What webhooks can be told of. */
  async events(options?: CallOptions): Promise<readonly WebhookEventView[]> {
    const { events } = await this.read<{ events: WebhookEventView[] }>('/webhook-events', undefined, options);
    return events;
  }

  rotateSecret(webhookId: string, secret?: string, options?: CallOptions): Promise<NewWebhookView> {
    return this.send(path`/webhooks/${webhookId}/rotate-secret`, secret === undefined ? {} : { secret }, options);
  }

  pause(webhookId: string, options?: CallOptions): Promise<WebhookView> {
    return this.send(path`/webhooks/${webhookId}/pause`, undefined, options);
  }

  resume(webhookId: string, options?: CallOptions): Promise<WebhookView> {
    return this.send(path`/webhooks/${webhookId}/resume`, undefined, options);
  }

  /** Send a made-up event, once. */
  test(webhookId: string, event = 'task.completed', options?: CallOptions): Promise<DeliveryView> {
    return this.send(path`/webhooks/${webhookId}/test`, { event }, options);
  }

  deliveries(
    webhookId: string,
    query?: PageQuery & { state?: DeliveryView['state']; event?: string },
    options?: CallOptions,
  ): Promise<DeliveryListView> {
    return this.read(path`/webhooks/${webhookId}/deliveries`, query, options);
  }

  delivery(webhookId: string, deliveryId: string, options?: CallOptions): Promise<DeliveryDetailView> {
    return this.read(path`/webhooks/${webhookId}/deliveries/${deliveryId}`, undefined, options);
  }

  redeliver(webhookId: string, deliveryId: string, options?: CallOptions): Promise<DeliveryView> {
    return this.send(path`/webhooks/${webhookId}/deliveries/${deliveryId}/redeliver`, undefined, options);
  }
}

/** The coordinator itself, and, with an operator's key, all of its accounts. */
export class Operator extends Group {
  /** Needs no key. */
  health(options?: CallOptions): Promise<Health> {
    return this.transport.request('GET', '/health', options);
  }

  status(options?: CallOptions): Promise<StatusView> {
    return this.read('/status', undefined, options);
  }

  service(service: string, options?: CallOptions): Promise<ServiceStatusView> {
    return this.read(path`/status/services/${service}`, undefined, options);
  }

  metrics(options?: CallOptions): Promise<MetricsView> {
    return this.read('/metrics', undefined, options);
  }

  accounts(query?: PageQuery, options?: CallOptions): Promise<AccountListView> {
    return this.read('/operator/accounts', query, options);
  }

  auditLogs(query?: AuditQuery & { account_id?: string }, options?: CallOptions): Promise<AuditLogView> {
    return this.read('/operator/audit/logs', query, options);
  }

  errors(query?: FailureQuery & { account_id?: string }, options?: CallOptions): Promise<FailureListView> {
    return this.read('/operator/errors', query, options);
  }

  error(errorId: string, options?: CallOptions): Promise<FailureView> {
    return this.read(path`/operator/errors/${errorId}`, undefined, options);
  }

  resolveError(errorId: string, resolution: string, options?: CallOptions): Promise<FailureView> {
    return this.call('PATCH', path`/operator/errors/${errorId}`, { ...options, body: { resolution } });
  }
}

