/** The form of a task: what is typed, and the request that it makes. */
import type { schema } from '@neurogrid/sdk';

import { NO_REST, restOf, type Rest } from './rest';
import { lineOf, wordsOf } from './words';

export interface Form {
  readonly image: string;
  readonly command: string;
  readonly name: string;
  /** USDC. */
  readonly price: string;
  readonly minutes: string;
  readonly cores: string;
  readonly memoryGb: string;
  readonly diskGb: string;
  readonly gpus: string;
  readonly gpuMemoryGb: string;
  readonly where: string;
  readonly priority: 'low' | 'normal' | 'high';
  /** NAME=value, one a line. */
  readonly env: string;
  /** Hosts that the job may reach, one a line. */
  readonly hosts: string;
  readonly preemptible: boolean;
  readonly verification: schema.VerifyMode;
  readonly inputs: readonly schema.InputReference[];
  /** What another task had beyond these fields. */
  readonly rest: Rest;
}

export const NEW: Form = {
  image: '', command: '', name: '', price: '1.00', minutes: '60', cores: '1', memoryGb: '1', diskGb: '1', gpus: '0', gpuMemoryGb: '',
  where: '', priority: 'normal', env: '', hosts: '', preemptible: false, verification: 'none', inputs: [], rest: NO_REST,
};

export type Problems = Partial<Readonly<Record<keyof Form, string>>>;

const AMOUNT = /^\d{1,9}(\.\d{1,6})?$/;

/** The request, or what has to be changed before there is one. */
export function requestOf(form: Form): { request: schema.TaskRequest | null; problems: Problems } {
  const problems: Partial<Record<keyof Form, string>> = {};
  if (form.image.trim() === '') problems.image = 'Name the image, such as python:3.12-slim.';
  const command = wordsOf(form.command);
  if (command === null) problems.command = 'Close the quote, or write what follows the backslash.';
  if (!AMOUNT.test(form.price.trim())) problems.price = 'Write an amount such as 0.50.';
  for (const name of ['minutes', 'cores', 'memoryGb', 'diskGb'] as const) {
    if (!AMOUNT.test(form[name].trim()) || Number(form[name]) === 0) problems[name] = 'Write a number above 0.';
  }
  if (!/^\d{1,3}$/.test(form.gpus.trim())) problems.gpus = 'Write a whole number.';
  if (form.gpuMemoryGb.trim() !== '' && !AMOUNT.test(form.gpuMemoryGb.trim())) problems.gpuMemoryGb = 'Write a number.';
  const env = linesOf(form.env).map((line) => /^([A-Za-z_]\w*)=(.*)$/.exec(line));
  if (env.includes(null)) problems.env = 'Write NAME=value, one a line.';
  if (Object.keys(problems).length > 0) return { request: null, problems };
  const hosts = linesOf(form.hosts);
  const gpus = Number(form.gpus);
  const { priority, verification, reclaim_window_seconds, ...rest } = form.rest.request;
  return {
    problems,
    request: {
      ...rest,
      docker_image: form.image.trim(),
      max_price_per_hour: form.price.trim(),
      timeout_seconds: Math.max(1, Math.round(60 * Number(form.minutes))),
      resource_requirements: {
        cpu_cores: Number(form.cores),
        ram_gb: Number(form.memoryGb),
        storage_gb: Number(form.diskGb),
        ...(gpus > 0 && { gpu_count: gpus }),
        ...(gpus > 0 && form.gpuMemoryGb.trim() !== '' && { gpu_memory_gb: Number(form.gpuMemoryGb) }),
        ...(gpus > 0 && form.rest.needs),
      },
      ...(command !== null && command.length > 0 && { command }),
      ...(form.name.trim() !== '' && { name: form.name.trim() }),
      ...(form.where.trim() !== '' && { constraints: form.where.trim() }),
      // What a field shows as well holds only while the field is as it was.
      ...(form.priority !== 'normal' ? { priority: form.priority } : priority !== undefined && { priority }),
      ...(env.length > 0 && { env: Object.fromEntries(env.map((each) => [each?.[1] ?? '', each?.[2] ?? ''])) }),
      ...(hosts.length > 0 && { network: { allow: hosts } }),
      ...(form.preemptible && { preemptible: true, ...(reclaim_window_seconds !== undefined && { reclaim_window_seconds }) }),
      ...(form.verification !== 'none' && { verification: verification?.mode === form.verification ? verification : { mode: form.verification } }),
      ...(form.inputs.length > 0 && { inputs: [...form.inputs] }),
    },
  };
}

/** The form as it was when this task was submitted; `lostOf` names what has to be given again. */
export function formOf(task: schema.TaskView): Form {
  const needs = task.resource_requirements;
  return {
    ...NEW,
    image: task.docker_image,
    command: lineOf(task.command),
    name: task.name,
    price: task.max_price_per_hour,
    minutes: String(Number((task.timeout_seconds / 60).toFixed(4))),
    cores: String(needs.cpu_cores ?? NEW.cores),
    memoryGb: String(needs.ram_gb ?? NEW.memoryGb),
    diskGb: String(needs.storage_gb ?? NEW.diskGb),
    gpus: String(needs.gpu_count ?? 0),
    gpuMemoryGb: needs.gpu_memory_gb === undefined || needs.gpu_memory_gb === 0 ? '' : String(needs.gpu_memory_gb),
    where: task.constraints,
    priority: typeof task.priority === 'string' ? task.priority : 'normal',
    env: Object.entries(task.env).map(([name, value]) => `${name}=${value}`).join('\n'),
    hosts: task.network?.allow.join('\n') ?? '',
    preemptible: task.preemptible,
    verification: task.verification.mode,
    rest: restOf(task),
  };
}

// Where a field of the request stands in the form, by how its name begins.
const PLACES: readonly (readonly [string, keyof Form])[] = [
  ['docker_image', 'image'], ['command', 'command'], ['name', 'name'], ['max_price', 'price'], ['timeout', 'minutes'],
  ['resource_requirements.cpu', 'cores'], ['resource_requirements.ram', 'memoryGb'], ['resource_requirements.storage', 'diskGb'],
  ['resource_requirements.gpu_memory', 'gpuMemoryGb'], ['resource_requirements.gpu', 'gpus'], ['constraints', 'where'], ['priority', 'priority'],
  ['env', 'env'], ['network', 'hosts'], ['preemptible', 'preemptible'], ['verification', 'verification'], ['inputs', 'inputs'],
];

/** Which field of the form the API speaks of. */
export function placeOf(field: string | null): keyof Form | null {
  return PLACES.find(([beginning]) => field?.replace(/^body\./, '').startsWith(beginning))?.[1] ?? null;
}

function linesOf(text: string): string[] {
  return text.split('\n').map((line) => line.trim()).filter((line) => line !== '');
}
