/** Nodes as the network page shows them. */
import type { schema } from '@neurogrid/sdk';

import { microUsdc } from '../../design/format';
import { placeOf, type Place } from './regions';

export type Node = schema.NodeView;
export type Which = 'all' | Node['status'];

/** The part of its processors that jobs have, 0 to 1; null of a node without any, or one that is away. */
export function load(node: Node): number | null {
  if (node.status === 'offline' || node.cpu_cores <= 0) return null;
  return 1 - node.cpu_cores_free / node.cpu_cores;
}

/** The part of its memory that jobs have, likewise. */
export function memoryLoad(node: Node): number | null {
  if (node.status === 'offline' || node.ram_gb <= 0) return null;
  return 1 - node.ram_gb_free / node.ram_gb;
}

/** What it computes with, in words. */
export function hardware(node: Node): string {
  const { gpu_info: gpu } = node;
  if (gpu === null) return node.cpu_model || 'Processors only';
  return `${gpu.count > 1 ? `${gpu.count} × ` : ''}${gpu.model}, ${gpu.memory}`;
}

/** Micro-USDC per hour, to sort by. */
export function price(node: Node): bigint | null {
  return microUsdc(node.price_per_hour);
}

export interface Filter {
  readonly text: string;
  readonly which: Which;
  readonly onlyGpus: boolean;
}

/** Those that have every word of the text somewhere: id, region, hardware, owner. */
export function filtered(nodes: readonly Node[], { text, which, onlyGpus }: Filter): Node[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return nodes.filter((node) => {
    const about = `${node.id} ${node.region} ${hardware(node)} ${node.cpu_model} ${node.wallet}`.toLowerCase();
    return (
      (which === 'all' || node.status === which) &&
      (!onlyGpus || node.gpu_count > 0) &&
      words.every((word) => about.includes(word))
    );
  });
}

export interface Spot {
  readonly place: Place;
  readonly nodes: readonly Node[];
}

/** Nodes by the place of their region, the most first, and by region those that have none. */
export function placed(nodes: readonly Node[]): { spots: Spot[]; elsewhere: [string, number][] } {
  const spots = new Map<string, { place: Place; nodes: Node[] }>();
  const elsewhere = new Map<string, number>();
  for (const node of nodes) {
    const place = placeOf(node.region);
    if (place === null) {
      elsewhere.set(node.region, (elsewhere.get(node.region) ?? 0) + 1);
      continue;
    }
    const spot = spots.get(place.name) ?? { place, nodes: [] };
    spot.nodes.push(node);
    spots.set(place.name, spot);
  }
  return {
    spots: [...spots.values()].sort(
      (a, b) => b.nodes.length - a.nodes.length || a.place.name.localeCompare(b.place.name, 'en'),
    ),
    elsewhere: [...elsewhere].sort(([, a], [, b]) => b - a),
  };
}

/** `1 node`, `2 nodes`. */
export function counted(count: number, noun = 'node'): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
