import { IntegrityError, WaitTimeoutError } from '../errors.js';
import { filePath, path } from '../path.js';
import { sha256Of } from '../hash.js';
import type {
  AuctionListView,
  CancelView,
  CheckpointFilesView,
  CheckpointListView,
  EstimateView,
  ExplanationView,
  LogView,
  ModelRequest,
  OperationRequest,
  OutputView,
  TaskChange,
  TaskListView,
  TaskMetricsView,
  TaskRequest,
  TaskSummary,
  TaskView,
} from '../schema.js';
import type { CallOptions } from '../transport.js';
import { Group, type PageQuery } from './group.js';

/** What a task may be asked for: an image of its own, or a model or a computation by name. */
export type NewTask = TaskRequest | ModelRequest | OperationRequest;

export interface TaskQuery extends PageQuery {
  status?: TaskView['status'];
  kind?: TaskView['kind'];
  model?: string;
  /** Occurs in the task's name, in any case. */
  name?: string;
  workflow_id?: string;
  created_after?: Date | string;
  created_before?: Date | string;
  order?: 'asc' | 'desc';
}

/** Something that happened to a task. */
export interface TaskUpdate {
  readonly type: string;
  readonly sequence: number;
  readonly timestamp: string;
  readonly task_id: string;
  readonly status: TaskView['status'];
  readonly phase: string;
  /** Percent. */
  readonly progress: number;
  readonly progress_note: string;
  readonly node_id: string | null;
  readonly cost_usdc: string;
  readonly message: string;
  readonly error: TaskView['error'];
  readonly [field: string]: unknown;
}

const ENDED: readonly TaskView['status'][] = ['completed', 'failed', 'cancelled'];
// As much of a log as the coordinator answers at once.
const LOG_PAGE_BYTES = 1024 * 1024;

/** The account's tasks. */
export class Tasks extends Group {
  /** Submit a task. A lost connection never submits twice: each call has a key of its own, or yours. */
  create(task: NewTask, options?: CallOptions): Promise<TaskView> {
    return this.send('/tasks', task, options);
  }

  get(taskId: string, options?: CallOptions): Promise<TaskView> {
    return this.read(path`/tasks/${taskId}`, undefined, options);
  }

  /** Those that fit, newest first. */
  list(query?: TaskQuery, options?: CallOptions): Promise<TaskListView> {
    return this.read('/tasks', query, options);
  }

  /** All that fit, page after page. */
  each(query?: TaskQuery, options?: CallOptions): AsyncGenerator<TaskSummary, void> {
    return this.every('tasks', query, (page) => this.list({ ...query, ...page }, options));
  }

  /** Change what has not begun. */
  update(taskId: string, changes: TaskChange, options?: CallOptions): Promise<TaskView> {
    return this.call('PATCH', path`/tasks/${taskId}`, { ...options, body: changes });
  }

  /** Execute it once more, changed or not, as a task of its own. */
  execute(taskId: string, changes: TaskChange = {}, options?: CallOptions): Promise<TaskView> {
    return this.send(path`/tasks/${taskId}/execute`, changes, options);
  }

  /** End a task that waits or runs; delete one that has ended. */
  cancel(taskId: string, options?: CallOptions): Promise<CancelView> {
    return this.call('DELETE', path`/tasks/${taskId}`, options);
  }

  /** What it would cost, and when it could begin, if it were submitted now. */
  estimate(task: NewTask, options?: CallOptions): Promise<EstimateView> {
    return this.send('/match/estimate', task, options);
  }

  /** Which nodes could take it, and which of its conditions leaves out how many. */
  explain(task: NewTask, options?: CallOptions): Promise<ExplanationView> {
    return this.send('/match/explain', task, options);
  }

  metrics(taskId: string, query?: { limit?: number }, options?: CallOptions): Promise<TaskMetricsView> {
    return this.read(path`/tasks/${taskId}/metrics`, query, options);
  }

  auctions(taskId: string, options?: CallOptions): Promise<AuctionListView> {
    return this.read(path`/tasks/${taskId}/auctions`, undefined, options);
  }

  checkpoints(taskId: string, options?: CallOptions): Promise<CheckpointListView> {
    return this.read(path`/tasks/${taskId}/checkpoints`, undefined, options);
  }

  checkpoint(taskId: string, sequence: number, options?: CallOptions): Promise<CheckpointFilesView> {
    return this.read(path`/tasks/${taskId}/checkpoints/${sequence}`, undefined, options);
  }

  /**
   * The task once it has ended. One that failed is answered, not thrown: look at `status`.
   *
   * @param options.timeout milliseconds; without one, for as long as it takes.
   * @throws WaitTimeoutError it goes on.
   */
  async wait(taskId: string, { timeout, signal }: { timeout?: number; signal?: AbortSignal | null } = {}): Promise<TaskView> {
    const over = new AbortController();
    const late = new WaitTimeoutError(`task ${taskId} has not ended after ${timeout ?? 0} ms`);
    const timer = timeout === undefined ? undefined : setTimeout(() => { over.abort(late); }, timeout);
    const leave = () => { over.abort(signal?.reason); };
    signal?.addEventListener('abort', leave, { once: true });
    if (signal?.aborted) leave();
    try {
      for await (const { status } of this.updates(taskId, { signal: over.signal })) {
        if (ENDED.includes(status)) break;
      }
      return await this.get(taskId, { signal: over.signal });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', leave);
    }
  }

  /** Every event of a task from its beginning, as they come, until it has ended. */
  async *updates(taskId: string, options?: { signal?: AbortSignal | null }): AsyncGenerator<TaskUpdate, void> {
    for await (const { event, data } of this.transport.stream(path`/api/v1/tasks/${taskId}/events`, options)) {
      // The coordinator does not know what came last: all of it comes again.
      if (event !== 'reset') yield JSON.parse(data) as TaskUpdate;
    }
  }

  /** The end of a log: so many lines. */
  async logs(taskId: string, { lines = 1000, lease_id }: { lines?: number; lease_id?: string } = {}, options?: CallOptions): Promise<string> {
    const { text } = await this.read<LogView>(path`/tasks/${taskId}/logs`, { lines, lease_id }, options);
    return text;
  }

  /** The whole log that is stored now, piece by piece. */
  async *wholeLog(taskId: string, { lease_id }: { lease_id?: string } = {}, options?: CallOptions): AsyncGenerator<string, void> {
    for (let offset = 0; ; ) {
      const query = { offset, limit: LOG_PAGE_BYTES, lease_id };
      const page = await this.read<LogView>(path`/tasks/${taskId}/logs`, query, options);
      if (page.text) yield page.text;
      if (page.next_offset === offset || page.next_offset === page.total_bytes) return;
      offset = page.next_offset;
    }
  }

  /** The log as it is written, from so many lines before its end on, until the task has ended. */
  async *followLogs(taskId: string, { lines = 10, signal }: { lines?: number; signal?: AbortSignal | null } = {}): AsyncGenerator<string, void> {
    const query = { follow: true, lines };
    for await (const { data } of this.transport.stream(path`/api/v1/tasks/${taskId}/logs`, { query, signal })) {
      const { text } = JSON.parse(data) as { text: string };
      if (text) yield text;
    }
  }

  /** The files that it has left, each with its SHA-256. */
  async outputs(taskId: string, options?: CallOptions): Promise<readonly OutputView[]> {
    const { outputs } = await this.read<{ outputs: OutputView[] }>(path`/tasks/${taskId}/outputs`, undefined, options);
    return outputs;
  }

  /**
   * A file that it has left, whole, compared with the hash that its node has signed. A large one is better read as it
   * comes: `outputStream`.
   *
   * @throws IntegrityError it is another.
   */
  async output(taskId: string, name: string, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    const listed = (await this.outputs(taskId, options)).find((each) => each.path === name);
    const data = await this.transport.bytes(outputPath(taskId, name), options, listed?.size);
    if (listed && (await sha256Of(data)) !== listed.sha256) {
      throw new IntegrityError(`${name} does not have the hash ${listed.sha256}`);
    }
    return data;
  }

  /** A file that it has left, as it comes; nothing is compared. */
  outputStream(taskId: string, name: string, options?: CallOptions): Promise<Response> {
    return this.transport.send('GET', outputPath(taskId, name), options);
  }

  /** A file of a checkpoint, as it comes. */
  checkpointFile(taskId: string, sequence: number, name: string, options?: CallOptions): Promise<Response> {
    const files = path`/api/v1/tasks/${taskId}/checkpoints/${sequence}/files/`;
    return this.transport.send('GET', files + filePath(name), options);
  }

  /**
   * Its receipt, byte by byte as it was signed: give it to `verifyReceipt` as it is.
   *
   * @throws NotSettledError it is not complete yet.
   */
  receipt(taskId: string, query?: { lease_id?: string }, options?: CallOptions): Promise<string> {
    return this.transport.text(path`/api/v1/tasks/${taskId}/receipt`, { ...options, query });
  }
}

function outputPath(taskId: string, name: string): string {
  return `${path`/api/v1/tasks/${taskId}/outputs/`}${filePath(name)}`;
}
