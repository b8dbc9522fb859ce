// Which answers an event makes old: how its name begins, and how the paths do.
const OLD: readonly (readonly [string, readonly string[]])[] = [
  ['task.', ['/api/v1/tasks', '/api/v1/batches', '/api/v1/workflows']],
  ['batch.', ['/api/v1/batches', '/api/v1/tasks']],
  ['scheduled_task.', ['/api/v1/scheduled-tasks', '/api/v1/tasks']],
  ['node.', ['/api/v1/nodes', '/api/v1/resources', '/api/v1/analytics/gpus']],
];

/** The beginnings of the paths whose answers an event makes old. */
export function outdatedBy(type: string): readonly string[] {
  return OLD.find(([beginning]) => type.startsWith(beginning))?.[1] ?? [];
}

/** All of them: what is to be asked anew after a gap in the events. */
export const EVERYTHING: readonly string[] = [...new Set(OLD.flatMap(([, paths]) => paths))];
