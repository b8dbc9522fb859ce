import { Emitter } from './emitter.js';
import { ApiError, NotFoundError, type NeuroGridError } from './errors.js';
import { LiveSocket, type SocketMessage } from './socket.js';
import type { BoltStatuses, BoltTask } from './schema.js';
import type { Transport } from './transport.js';

/** Document 000's word for how far a task is. */
export type TaskProgress = Pick<BoltTask, 'taskId' | 'progress' | 'metrics'> & {
  status: 'running' | 'complete' | 'error' | 'pending';
};

export interface ClientEvents {
  /** The live connection is there, and the key was taken; also after each break. */
  connect: undefined;
  disconnect: undefined;
  pong: undefined;
  /** Every 5 s, with figures of the whole market. */
  heartbeat: SocketMessage;
  /** Of each of the account's tasks. */
  progress: TaskProgress;
  /** The live connection was given up. */
  error: Error;
}

/** Who watches a task. */
export interface Watcher {
  readonly taskId: string;
  saw(progress: TaskProgress): void;
  ended(task: BoltTask): void;
  /** It can't be watched any more. */
  lost(error: Error): void;
}

const STATUSES_MAX = 100;
// Where nothing is told live; and, where it is, in case that a word was lost.
const LOOK_MS = 1_000;
const LOOK_BESIDE_MS = 30_000;
const FAILED_LOOKS_MAX = 5;

/** One live connection for all tasks that are watched and all who listen, and none while there are neither. */
export class Live {
  readonly #transport: Transport;
  readonly #watchers = new Map<string, Set<Watcher>>();
  readonly #events = new Emitter<ClientEvents>();
  #socket: LiveSocket | null = null;
  #isConnected = false;
  #looks: ReturnType<typeof setTimeout> | undefined;
  #failedLooks = 0;
  #isLooking = false;
  #isStale = false;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  on<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): () => void {
    this.#events.on(name, listener);
    this.#connect();
    return () => {
      this.off(name, listener);
    };
  }

  off<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): void {
    this.#events.off(name, listener);
    this.#rest();
  }

  ping(): void {
    this.#connect();
    this.#socket?.send({ type: 'ping' });
  }

  watch(watcher: Watcher): void {
    const found = this.#watchers.get(watcher.taskId) ?? new Set();
    this.#watchers.set(watcher.taskId, found.add(watcher));
    this.#connect();
    this.#lookIn(0);
  }

  unwatch(watcher: Watcher): void {
    const found = this.#watchers.get(watcher.taskId);
    found?.delete(watcher);
    if (found?.size === 0) this.#watchers.delete(watcher.taskId);
    this.#rest();
  }

  close(): void {
    this.#events.clear();
    this.#watchers.clear();
    this.#rest();
  }

  #connect(): void {
    if (this.#socket) return;
    // Who only watches can do without a live connection.
    if (!this.#transport.settings.WebSocket && !this.#events.has()) return;
    this.#socket = new LiveSocket(this.#transport, 'bolt', {
      connected: () => {
        this.#isConnected = true;
        this.#events.emit('connect', undefined);
        // What happened meanwhile.
        this.#lookIn(0);
      },
      message: (message) => {
        this.#take(message);
      },
      closed: (error) => {
        this.#closed(error);
      },
    });
    this.#socket.open();
  }

  #closed(error: NeuroGridError | null): void {
    if (this.#isConnected) this.#events.emit('disconnect', undefined);
    this.#isConnected = false;
    this.#lookIn(LOOK_MS);
    if (!error) return;
    // Whoever listens or watches next has it tried anew.
    this.#socket = null;
    this.#events.emit('error', error);
  }

  #rest(): void {
    if (this.#watchers.size > 0) return;
    clearTimeout(this.#looks);
    if (this.#events.has()) return;
    this.#socket?.close();
    this.#socket = null;
    this.#isConnected = false;
  }

  #take(message: SocketMessage): void {
    if (message.type === 'pong') this.#events.emit('pong', undefined);
    if (message.type === 'heartbeat') this.#events.emit('heartbeat', message);
    if (message.type !== 'progress') return;
    const progress = message as unknown as TaskProgress;
    this.#events.emit('progress', progress);
    if (!this.#watchers.has(progress.taskId)) return;
    // What came of it is not told here.
    if (progress.status === 'complete' || progress.status === 'error') this.#lookIn(0);
    else this.#saw(progress);
  }

  #saw(progress: TaskProgress): void {
    for (const watcher of [...(this.#watchers.get(progress.taskId) ?? [])]) watcher.saw(progress);
  }

  #lookIn(ms: number): void {
    clearTimeout(this.#looks);
    if (this.#watchers.size === 0) return;
    this.#looks = setTimeout(() => void this.#look(), ms);
  }

  async #look(): Promise<void> {
    // One at a time, so that an older answer does not come after a newer one.
    this.#isStale = this.#isLooking;
    if (this.#isLooking) return;
    this.#isLooking = true;
    await this.#lookOnce();
    this.#isLooking = false;
    this.#lookIn(this.#isStale ? 0 : this.#isConnected ? LOOK_BESIDE_MS : LOOK_MS);
  }

  async #lookOnce(): Promise<void> {
    const ids = [...this.#watchers.keys()];
    try {
      for (let at = 0; at < ids.length; at += STATUSES_MAX) {
        const some = ids.slice(at, at + STATUSES_MAX);
        const { statuses, notFound } = await this.#transport.request<BoltStatuses>('GET', '/api/tasks/statuses', {
          query: { ids: some },
        });
        for (const task of statuses) {
          if (task.status === 'complete' || task.status === 'error') await this.#end(task.taskId);
          else this.#saw(task);
        }
        for (const taskId of notFound) this.#forget(taskId);
      }
      this.#failedLooks = 0;
    } catch (error) {
      this.#failedLooks += 1;
      const isFinal = error instanceof ApiError && error.status < 500 && error.status !== 429;
      if (isFinal || this.#failedLooks >= FAILED_LOOKS_MAX) {
        this.#lose(error as Error);
      }
    }
  }

  async #end(taskId: string): Promise<void> {
    const task = await this.#transport.request<BoltTask>('GET', `/api/task/${encodeURIComponent(taskId)}`);
    for (const watcher of this.#removed(taskId)) watcher.ended(task);
    this.#rest();
  }

  #forget(taskId: string): void {
    const error = new NotFoundError({
      code: 'NOT_FOUND',
      message: `there is no task ${taskId} (any more)`,
      status: 404,
      details: { task_id: taskId },
      requestId: '',
    });
    for (const watcher of this.#removed(taskId)) watcher.lost(error);
    this.#rest();
  }

  #removed(taskId: string): Watcher[] {
    const watchers = [...(this.#watchers.get(taskId) ?? [])];
    this.#watchers.delete(taskId);
    return watchers;
  }

  #lose(error: Error): void {
    const watchers = [...this.#watchers.values()].flatMap((each) => [...each]);
    this.#watchers.clear();
    this.#failedLooks = 0;
    for (const watcher of watchers) watcher.lost(error);
    this.#rest();
  }
}
