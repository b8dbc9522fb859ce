import { Emitter } from './emitter.js';
import { TaskFailedError, WaitTimeoutError } from './errors.js';
import type { Live, TaskProgress, Watcher } from './live.js';
import { pause } from './retry.js';
import type { BoltTask } from './schema.js';

export interface TaskEvents {
  /** Percent, each time that it has changed. */
  progress: number;
  /** All that is known, each time that it is told. */
  update: TaskProgress;
  complete: BoltTask;
  /** It has failed, was cancelled, or can't be followed any more. */
  error: Error;
}

/** A task of `submitTask`, as document 000 has it. */
export class SubmittedTask implements Watcher {
  readonly taskId: string;
  readonly #live: Live;
  readonly #events = new Emitter<TaskEvents>();
  readonly #waiting = new Set<(end: BoltTask | Error) => void>();
  #end: BoltTask | Error | null = null;
  #state: BoltTask;
  #percent: number | null = null;
  #isWatched = false;

  constructor(live: Live, state: BoltTask) {
    this.taskId = state.taskId;
    this.#live = live;
    this.#state = state;
  }

  /** As it was known last. */
  get state(): Readonly<BoltTask> {
    return this.#state;
  }

  /** Listen. Who comes after the end hears of it all the same. The answer stops it. */
  on<Name extends keyof TaskEvents>(name: Name, listener: (value: TaskEvents[Name]) => void): () => void {
    const stop = this.#events.on(name, listener);
    const end = this.#end;
    if (end === null) {
      this.#watch();
    } else if (name === (end instanceof Error ? 'error' : 'complete')) {
      queueMicrotask(() => {
        listener(end as TaskEvents[Name]);
      });
    }
    return () => {
      stop();
      this.#rest();
    };
  }

  off<Name extends keyof TaskEvents>(name: Name, listener: (value: TaskEvents[Name]) => void): void {
    this.#events.off(name, listener);
    this.#rest();
  }

  /**
   * The task once it is complete; `result` is what came of it.
   *
   * @param options.timeout milliseconds; without one, for as long as it takes.
   * @throws TaskFailedError it has failed, or was cancelled.
   * @throws WaitTimeoutError it goes on.
   */
  async wait({ timeout, signal }: { timeout?: number; signal?: AbortSignal } = {}): Promise<BoltTask> {
    const over = new AbortController();
    try {
      const end = this.#end ?? (await Promise.race([this.#nextEnd(over.signal), ...this.#bounds(timeout, signal, over.signal)]));
      if (end instanceof Error) throw end;
      return end;
    } finally {
      over.abort();
      this.#rest();
    }
  }

  saw(progress: TaskProgress): void {
    this.#state = { ...this.#state, ...progress };
    this.#events.emit('update', progress);
    if (progress.progress === this.#percent || progress.status === 'pending') return;
    this.#percent = progress.progress;
    this.#events.emit('progress', progress.progress);
  }

  ended(task: BoltTask): void {
    this.#isWatched = false;
    this.saw(task);
    this.#state = task;
    if (task.status === 'complete') {
      this.#finish(task);
      this.#events.emit('complete', task);
    } else {
      this.lost(
        new TaskFailedError({
          code: (task.error?.code ?? 'TASK_FAILED').toUpperCase(),
          message: task.error?.message ?? `task ${task.taskId} has failed`,
          status: 200,
          details: { ...task.error, taskId: task.taskId },
          requestId: '',
        }),
      );
    }
  }

  lost(error: Error): void {
    this.#isWatched = false;
    this.#finish(error);
    this.#events.emit('error', error);
  }

  #finish(end: BoltTask | Error): void {
    this.#end = end;
    for (const tell of this.#waiting) tell(end);
    this.#waiting.clear();
  }

  #nextEnd(over: AbortSignal): Promise<BoltTask | Error> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
      over.addEventListener('abort', () => this.#waiting.delete(resolve), { once: true });
      this.#watch();
    });
  }

  #bounds(timeout: number | undefined, signal: AbortSignal | undefined, over: AbortSignal): Promise<never>[] {
    const bounds: Promise<never>[] = [];
    if (timeout !== undefined) {
      const late = () => new WaitTimeoutError(`task ${this.taskId} has not ended after ${timeout} ms`);
      bounds.push(
        pause(timeout, over).then(
          () => Promise.reject(late()),
          () => new Promise<never>(() => undefined),
        ),
      );
    }
    if (signal) {
      bounds.push(
        new Promise((_, reject) => {
          const leave = () => {
            // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- whatever the caller gave as its reason
            reject(signal.reason);
          };
          if (signal.aborted) leave();
          signal.addEventListener('abort', leave, { once: true });
          over.addEventListener('abort', () => {
            signal.removeEventListener('abort', leave);
          });
        }),
      );
    }
    return bounds;
  }

  #watch(): void {
    if (this.#isWatched || this.#end !== null) return;
    this.#isWatched = true;
    this.#live.watch(this);
  }

  #rest(): void {
    if (!this.#isWatched || this.#events.has() || this.#waiting.size > 0) return;
    this.#isWatched = false;
    this.#live.unwatch(this);
  }
}
