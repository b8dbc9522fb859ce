// Many tasks at once, at given times, and one after the other.

import { path } from '../path.js';
import type {
  BatchEndView,
  BatchListView,
  BatchRequest,
  BatchTaskListView,
  BatchTaskView,
  BatchView,
  CancelView,
  NextRunsView,
  RetryRequest,
  RunListView,
  RunView,
  ScheduleEndView,
  ScheduleListView,
  SchedulePatch,
  SchedulePreview,
  ScheduleRequest,
  ScheduleView,
  WorkflowListView,
  WorkflowRequest,
  WorkflowSummary,
  WorkflowView,
} from '../schema.js';
import type { CallOptions } from '../transport.js';
import { Group, type PageQuery } from './group.js';

export class Batches extends Group {
  create(batch: BatchRequest, options?: CallOptions): Promise<BatchView> {
    return this.send('/batches', batch, options);
  }

  get(batchId: string, options?: CallOptions): Promise<BatchView> {
    return this.read(path`/batches/${batchId}`, undefined, options);
  }

  list(query?: PageQuery & { status?: BatchView['status'] }, options?: CallOptions): Promise<BatchListView> {
    return this.read('/batches', query, options);
  }

  each(query?: PageQuery & { status?: BatchView['status'] }, options?: CallOptions): AsyncGenerator<BatchView, void> {
    return this.every('batches', query, (page) => this.list({ ...query, ...page }, options));
  }

  tasks(batchId: string, query?: PageQuery & { status?: string }, options?: CallOptions): Promise<BatchTaskListView> {
    return this.read(path`/batches/${batchId}/tasks`, query, options);
  }

  eachTask(batchId: string, query?: PageQuery & { status?: string }, options?: CallOptions): AsyncGenerator<BatchTaskView, void> {
    return this.every('tasks', query, (page) => this.tasks(batchId, { ...query, ...page }, options));
  }

  /** A line for each task, as it comes: JSON, or CSV. */
  results(batchId: string, query?: { format?: 'jsonl' | 'csv' }, options?: CallOptions): Promise<Response> {
    return this.transport.send('GET', path`/api/v1/batches/${batchId}/results`, { ...options, query });
  }

  execute(batchId: string, options?: CallOptions): Promise<BatchView> {
    return this.send(path`/batches/${batchId}/execute`, undefined, options);
  }

  cancel(batchId: string, options?: CallOptions): Promise<BatchView> {
    return this.send(path`/batches/${batchId}/cancel`, undefined, options);
  }

  /** Execute again what has failed. */
  retry(batchId: string, request: RetryRequest = {}, options?: CallOptions): Promise<BatchView> {
    return this.send(path`/batches/${batchId}/retry`, request, options);
  }

  delete(batchId: string, options?: CallOptions): Promise<BatchEndView> {
    return this.call('DELETE', path`/batches/${batchId}`, options);
  }
}

export class Schedules extends Group {
  create(schedule: ScheduleRequest, options?: CallOptions): Promise<ScheduleView> {
    return this.send('/scheduled-tasks', schedule, options);
  }

  /** What it would be, and when it would run. */
  preview(schedule: ScheduleRequest, query?: { count?: number }, options?: CallOptions): Promise<SchedulePreview> {
    return this.call('POST', '/scheduled-tasks/preview', { ...options, query, body: schedule });
  }

  get(scheduleId: string, options?: CallOptions): Promise<ScheduleView> {
    return this.read(path`/scheduled-tasks/${scheduleId}`, undefined, options);
  }

  list(query?: PageQuery & { is_active?: boolean; name?: string }, options?: CallOptions): Promise<ScheduleListView> {
    return this.read('/scheduled-tasks', query, options);
  }

  update(scheduleId: string, changes: SchedulePatch, options?: CallOptions): Promise<ScheduleView> {
    return this.call('PATCH', path`/scheduled-tasks/${scheduleId}`, { ...options, body: changes });
  }

  enable(scheduleId: string, options?: CallOptions): Promise<ScheduleView> {
    return this.send(path`/scheduled-tasks/${scheduleId}/enable`, undefined, options);
  }

  disable(scheduleId: string, options?: CallOptions): Promise<ScheduleView> {
    return this.send(path`/scheduled-tasks/${scheduleId}/disable`, undefined, options);
  }

  /** Run it now. */
  run(scheduleId: string, options?: CallOptions): Promise<RunView> {
    return this.send(path`/scheduled-tasks/${scheduleId}/run`, undefined, options);
  }

  runs(scheduleId: string, query?: PageQuery, options?: CallOptions): Promise<RunListView> {
    return this.read(path`/scheduled-tasks/${scheduleId}/runs`, query, options);
  }

  next(scheduleId: string, query?: { count?: number }, options?: CallOptions): Promise<NextRunsView> {
    return this.read(path`/scheduled-tasks/${scheduleId}/next`, query, options);
  }

  delete(scheduleId: string, options?: CallOptions): Promise<ScheduleEndView> {
    return this.call('DELETE', path`/scheduled-tasks/${scheduleId}`, options);
  }
}

/** Tasks of which some need what others leave. */
export class Workflows extends Group {
  create(workflow: WorkflowRequest, options?: CallOptions): Promise<WorkflowView> {
    return this.send('/workflows', workflow, options);
  }

  get(workflowId: string, options?: CallOptions): Promise<WorkflowView> {
    return this.read(path`/workflows/${workflowId}`, undefined, options);
  }

  list(query?: PageQuery, options?: CallOptions): Promise<WorkflowListView> {
    return this.read('/workflows', query, options);
  }

  each(query?: PageQuery, options?: CallOptions): AsyncGenerator<WorkflowSummary, void> {
    return this.every('workflows', query, (page) => this.list({ ...query, ...page }, options));
  }

  cancel(workflowId: string, options?: CallOptions): Promise<CancelView> {
    return this.call('DELETE', path`/workflows/${workflowId}`, options);
  }
}
