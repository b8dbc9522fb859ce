// "Conditions" of docs/protocol.md: whether a node meets a demand's clauses, and which GPUs a job may get.

import { cost, quote } from './money.mjs';

const GPU = new Set(['gpu.model', 'gpu.vendor', 'gpu.memory', 'gpu.compute_capability']);
const VERSIONS = new Set(['gpu.compute_capability', 'gpu.driver']);
const STANDING = new Set(['score', 'stake', 'node.challenged']);

/** What an attribute is; undefined where it is not known. */
const READ = {
  'gpu.model': ({ gpu }) => gpu?.model,
  'gpu.vendor': ({ gpu }) => gpu && (gpu.vendor ?? 'nvidia'),
  'gpu.memory': ({ gpu }) => gpu?.memory_bytes,
  'gpu.compute_capability': ({ gpu }) => gpu?.compute_capability,
  'gpu.driver': ({ offer }) => offer.gpu_driver || undefined,
  'gpu.count': ({ offer }) => offer.total.gpus.length,
  'cpu.cores': ({ offer }) => offer.total.cpu_millis,
  ram: ({ offer }) => offer.total.memory_bytes,
  disk: ({ offer }) => offer.total.disk_bytes,
  region: ({ offer }) => offer.region,
  'image.present': ({ offer }) => offer.images ?? [],
  'model.present': ({ offer }) => offer.models ?? [],
  runtime: ({ offer }) => offer.runtimes ?? [],
  enforcement: ({ offer }) => offer.enforcement ?? 'watched',
  privacy: ({ offer }) => offer.privacy ?? [],
  'node.id': ({ offer }) => offer.node_id,
  'node.wallet': ({ offer }) => offer.wallet,
  'price.hour': ({ offer, demand }) => quote(offer.prices, demand.requirements),
  'price.total': ({ offer, demand }) =>
    cost(quote(offer.prices, demand.requirements), BigInt(demand.timeout_s) * 1000n),
};

/** Whether N can say for itself whether it meets a clause. */
export const judges = ({ alternatives }) => alternatives.every(({ attribute }) => !STANDING.has(attribute));

/** Whether all that a clause names is known here. */
export const knows = ({ alternatives }) =>
  alternatives.every(({ attribute }) => STANDING.has(attribute) || attribute in READ);

const aboutGpus = ({ alternatives }) => alternatives.some(({ attribute }) => GPU.has(attribute));

/** Numbers and versions, so that they compare: -1, 0 or 1. */
function order(attribute, one, other) {
  if (!VERSIONS.has(attribute)) return BigInt(one) < BigInt(other) ? -1 : BigInt(one) > BigInt(other) ? 1 : 0;
  const [left, right] = [one, other].map((version) => version.split('.').map(Number));
  for (let part = 0; part < Math.max(left.length, right.length); part += 1) {
    const difference = (left[part] ?? 0) - (right[part] ?? 0);
    if (difference) return Math.sign(difference);
  }
  return 0;
}

function holds({ attribute, operator, values }, facts) {
  const value = READ[attribute](facts);
  if (value === undefined) return false;
  const isText = typeof value === 'string' && !VERSIONS.has(attribute);
  const isOne = () => values.some((each) => (isText ? each === value : order(attribute, value, each) === 0));
  // Enough of Unicode's case folding for names of hardware.
  const occurs = () => value.toLowerCase().includes(values[0].toLowerCase());
  switch (operator) {
    case 'has': return value.includes(values[0]);
    case 'lacks': return !value.includes(values[0]);
    case '~': return occurs();
    case '!~': return !occurs();
    case '=': case 'in': return isOne();
    case '!=': case 'not in': return !isOne();
    case '>=': return order(attribute, value, values[0]) >= 0;
    case '<=': return order(attribute, value, values[0]) <= 0;
    case '>': return order(attribute, value, values[0]) > 0;
    case '<': return order(attribute, value, values[0]) < 0;
    default: throw new Error(`operator ${operator}`);
  }
}

const meets = ({ alternatives }, facts) => alternatives.some((condition) => holds(condition, facts));

/** Whether a node meets a clause: one about GPUs with as many as the job gets, at least one. */
export function isMet(clause, facts) {
  if (meets(clause, facts)) return true;
  if (!aboutGpus(clause)) return false;
  const enough = Math.max(1, Number(facts.demand.requirements.gpu_count));
  return facts.offer.total.gpus.filter((gpu) => meets(clause, { ...facts, gpu })).length >= enough;
}

/** The GPUs that the demand's conditions leave. */
export function allowed(facts) {
  const clauses = facts.demand.where.filter((clause) => aboutGpus(clause) && !meets(clause, facts));
  return facts.offer.total.gpus.filter((gpu) => clauses.every((clause) => meets(clause, { ...facts, gpu })));
}
