/** A request as a program or a command line that submits it. */
import type { schema } from '@neurogrid/sdk';

import { quoted } from './words';

/** For a terminal; the key is taken from the environment, so that it is in no history. */
export function asCurl(request: schema.TaskRequest, origin: string): string {
  return [
    `curl ${quoted(`${origin}/api/v1/tasks`)}`,
    '-H "Authorization: Bearer $NEUROGRID_API_KEY"',
    "-H 'Content-Type: application/json'",
    `-d ${quoted(JSON.stringify(request))}`,
  ].join(' \\\n  ');
}

/** For Python's SDK, which takes the key from NEUROGRID_API_KEY. */
export function asPython(request: schema.TaskRequest, origin: string): string {
  const { constraints, inputs, ...same } = request;
  const given = {
    // The SDK's default is cpu, whatever is required.
    ...((request.resource_requirements?.gpu_count ?? 0) > 0 && { type: 'gpu' }),
    ...same,
    ...(constraints !== undefined && { where: constraints }),
  };
  const lines = Object.entries(given).map(([name, value]) => `    ${name}=${pythonOf(value)},`);
  if (inputs !== undefined) {
    // By their hashes: they are uploaded already.
    lines.push(`    inputs=${pythonOf(Object.fromEntries(inputs.map(({ path, sha256 }) => [path, sha256])))},`);
  }
  return ['import neurogrid', '', `client = neurogrid.Client(base_url=${pythonOf(origin)})`, 'task = client.tasks.create(', ...lines, ')', 'print(task.id)'].join('\n');
}

/** For the command line; null where it has no option for something. */
export function asCommand(request: schema.TaskRequest): string | null {
  const { docker_image, max_price_per_hour, name, command, timeout_seconds, resource_requirements, priority, env, constraints } = request;
  const { network, preemptible, verification, inputs, ...others } = request;
  const { cpu_cores, ram_gb, storage_gb, gpu_count, gpu_memory_gb, ...otherNeeds } = resource_requirements ?? {};
  const KNOWN = ['docker_image', 'max_price_per_hour', 'name', 'command', 'timeout_seconds', 'resource_requirements', 'priority', 'env', 'constraints'];
  const isSimple = (verification?.comparator ?? verification?.runs ?? null) === null && (constraints === undefined || typeof constraints === 'string');
  if (Object.keys(others).some((each) => !KNOWN.includes(each)) || Object.keys(otherNeeds).length > 0 || !isSimple) return null;
  const options: (readonly [string, string | number | undefined])[] = [
    ['--max-price', max_price_per_hour],
    ['--name', name],
    ['--timeout', timeout_seconds === undefined ? undefined : `${timeout_seconds}s`],
    ['--cpu', cpu_cores],
    ['--ram', ram_gb],
    ['--storage', storage_gb],
    ['--gpu', gpu_count],
    ['--gpu-memory', gpu_memory_gb],
    ['--where', typeof constraints === 'string' ? constraints : undefined],
    ['--priority', priority],
    ...Object.entries(env ?? {}).map(([key, value]) => ['--env', `${key}=${value}`] as const),
    ...(network?.allow ?? []).map((host) => ['--reach', host] as const),
    ...(inputs ?? []).map(({ path, sha256 }) => ['--input', `sha256:${sha256 ?? ''}:${path}`] as const),
    ['--verify', verification?.mode],
  ];
  return [
    'neurogrid submit',
    ...options.flatMap(([option, value]) => (value === undefined ? [] : [`${option} ${quoted(String(value))}`])),
    ...(preemptible === true ? ['--preemptible'] : []),
    ['--', docker_image, ...(command ?? [])].map(quoted).join(' '),
  ].join(' \\\n  ');
}

function pythonOf(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map(pythonOf).join(', ')}]`;
  if (typeof value === 'object') {
    return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${pythonOf(each)}`).join(', ')}}`;
  }
  return JSON.stringify(value);
}
