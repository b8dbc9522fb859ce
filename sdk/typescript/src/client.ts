import { eventsOf, type AccountEvent, type EventOptions } from './account-events.js';
import { Account, ApiKeys, Operator, Webhooks } from './groups/account.js';
import { Applications } from './groups/applications.js';
import { Artifacts } from './groups/artifacts.js';
import { Batches, Schedules, Workflows } from './groups/many.js';
import { Market, Nodes, Providers } from './groups/market.js';
import { Models } from './groups/models.js';
import { Billing, Provider, Wallet } from './groups/money.js';
import { Tasks } from './groups/tasks.js';
import { Live, type ClientEvents } from './live.js';
import { LiveSocket, type SocketHandlers } from './socket.js';
import { settings, type ClientOptions } from './options.js';
import type { BoltTask, BoltTaskRequest } from './schema.js';
import type { ServerSentEvent } from './sse.js';
import { SubmittedTask } from './task.js';
import { Transport, type CallOptions, type Method, type RequestOptions, type StreamOptions } from './transport.js';

/** A coordinator of NeuroGrid. */
export class NeuroGridClient {
  /** What every group of calls is made of. */
  readonly transport: Transport;
  readonly tasks: Tasks;
  readonly artifacts: Artifacts;
  readonly batches: Batches;
  readonly schedules: Schedules;
  readonly workflows: Workflows;
  readonly models: Models;
  readonly nodes: Nodes;
  readonly providers: Providers;
  readonly market: Market;
  readonly wallet: Wallet;
  readonly billing: Billing;
  /** The account as one that offers machines. */
  readonly provider: Provider;
  readonly account: Account;
  readonly apiKeys: ApiKeys;
  readonly webhooks: Webhooks;
  /** Other people's programs, which use the account by OAuth; and signing in by wallet. */
  readonly applications: Applications;
  readonly operator: Operator;
  readonly #live: Live;

  constructor(options: ClientOptions = {}) {
    this.transport = new Transport(settings(options));
    this.tasks = new Tasks(this.transport);
    this.artifacts = new Artifacts(this.transport);
    this.batches = new Batches(this.transport);
    this.schedules = new Schedules(this.transport);
    this.workflows = new Workflows(this.transport);
    this.models = new Models(this.transport);
    this.nodes = new Nodes(this.transport);
    this.providers = new Providers(this.transport);
    this.market = new Market(this.transport);
    this.wallet = new Wallet(this.transport);
    this.billing = new Billing(this.transport);
    this.provider = new Provider(this.transport);
    this.account = new Account(this.transport);
    this.apiKeys = new ApiKeys(this.transport);
    this.webhooks = new Webhooks(this.transport);
    this.applications = new Applications(this.transport);
    this.operator = new Operator(this.transport);
    this.#live = new Live(this.transport);
  }

  get baseUrl(): string {
    return this.transport.settings.baseUrl;
  }

  /**
   * Any request: `data` of the answer, or the whole of an answer that has none.
   *
   * @param path as `/api/v1/nodes`.
   */
  request<T = unknown>(method: Method, path: string, options?: RequestOptions): Promise<T> {
    return this.transport.request<T>(method, path, options);
  }

  /** The events of a stream, as `/api/v1/tasks/{id}/events`, until its end; what breaks off is taken up again. */
  stream(path: string, options?: StreamOptions): AsyncGenerator<ServerSentEvent, void> {
    return this.transport.stream(path, options);
  }

  /**
   * What happens to the account, and which nodes come and go, as it comes, over a live connection that is made anew
   * when it breaks. Events are resumed after the last that was read; changes of nodes in a break are missed.
   */
  events(options?: EventOptions): AsyncGenerator<AccountEvent, void> {
    return eventsOf(this.transport, options);
  }

  /**
   * The live connection itself, for who shows how it is: made anew after each break, until it is closed. Messages are those
   * of docs/events.md; set `after` to their `sequence`, so that none is missed in a break.
   */
  connect(handlers: SocketHandlers): LiveSocket {
    const socket = new LiveSocket(this.transport, 'native', handlers);
    socket.open();
    return socket;
  }

  /**
   * Ask a model, as a task that is followed by its id (document 000).
   *
   * What the request does not say of `quality` and `timeout`, the client's options do.
   */
  async submitTask(request: BoltTaskRequest, options?: CallOptions): Promise<SubmittedTask> {
    const { quality, taskTimeout } = this.transport.settings;
    const usual = { ...(quality !== null && { quality }), ...(taskTimeout !== null && { timeout: taskTimeout }) };
    const body = { ...request, options: { ...usual, ...request.options } };
    const task = await this.transport.request<BoltTask>('POST', '/api/task', { ...options, body });
    return new SubmittedTask(this.#live, task);
  }

  /** Hear of the live connection, and of all tasks. There is one while anybody listens. The answer stops it. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): () => void {
    return this.#live.on(name, listener);
  }

  off<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): void {
    this.#live.off(name, listener);
  }

  /** Ask the coordinator for a `pong`. The connection also pings by itself. */
  ping(): void {
    this.#live.ping();
  }

  /** End the live connection; nobody is told of anything any more. */
  close(): void {
    this.#live.close();
  }
}
