/** What a task had and the form has no field for: taken over by "Submit again", or named because it cannot be. */
import type { schema } from '@neurogrid/sdk';

export interface Rest {
  /** Goes into the request as it is. */
  readonly request: Partial<schema.TaskRequest>;
  readonly needs: schema.ResourceRequirements;
}

export const NO_REST: Rest = { request: {}, needs: {} };

export function restOf(task: schema.TaskView): Rest {
  const needs = task.resource_requirements;
  const { comparator, mode, runs } = task.verification;
  return {
    needs: {
      ...(isSet(needs.gpu_model) && { gpu_model: needs.gpu_model }),
      ...(isSet(needs.gpu_compute_capability) && { gpu_compute_capability: needs.gpu_compute_capability }),
    },
    request: {
      ...(typeof task.priority === 'number' && { priority: task.priority }),
      ...(task.priority_reason !== '' && { priority_reason: task.priority_reason }),
      ...(task.regions.length > 0 && { regions: task.regions }),
      ...(task.spread !== null && { spread: task.spread }),
      ...(((task.avoid.nodes?.length ?? 0) > 0 || (task.avoid.wallets?.length ?? 0) > 0) && { avoid: task.avoid }),
      ...(task.checkpoint !== null && { checkpoint: task.checkpoint }),
      ...(task.sealed_bids && { sealed_bids: true }),
      ...(task.reveal_wallet && { reveal_wallet: true }),
      ...(task.interactive && { interactive: true }),
      ...(task.preemptible && task.reclaim_window_seconds > 0 && { reclaim_window_seconds: task.reclaim_window_seconds }),
      ...(mode !== 'none' && { verification: { mode, comparator, ...(mode === 'quorum' && { runs }) } }),
    },
  };
}

/** Names of what is taken over unseen, as the API spells them. */
export function namesOf({ needs, request }: Rest): string[] {
  return [...Object.keys(needs), ...Object.keys(request)];
}

/** Names of what the task had and the new one will not have. */
export function lostOf(task: schema.TaskView): string[] {
  const lost: readonly (readonly [boolean, string])[] = [
    [task.inputs.length > 0, 'input files'],
    [task.gang !== null, 'gang'],
    [task.service !== null, 'service'],
    [task.deadline !== null, 'deadline'],
    [task.depends_on.length > 0, 'depends_on'],
  ];
  return lost.filter(([had]) => had).map(([, name]) => name);
}

function isSet(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}
