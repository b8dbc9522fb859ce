import { describe, expect, test } from 'vitest';

import { filtered, hardware, load, placed, type Node } from './nodes';
import { placeOf, REGIONS } from './regions';

const NODE: Node = {
  id: '12D3KooWone', status: 'online', region: 'eu-west-1', capabilities: ['container'], gpu_info: null,
  performance_score: 50, start_factor: 1, last_seen: null, wallet: 'Wallet', software: '', summary: '', cpu_model: 'EPYC',
  cpu_cores: 8, cpu_cores_free: 6, ram_gb: 16, ram_gb_free: 16, storage_gb: 1, storage_gb_free: 1, gpu_count: 0,
  gpu_count_free: 0, price_per_hour: '0.10', accepting: true, enforcement: '',
};
const GPUS: Node = {
  ...NODE, id: '12D3KooWtwo', region: 'local', gpu_count: 2,
  gpu_info: { model: 'RTX 4090', memory: '24GB', compute_capability: '8.9', count: 2 },
};

describe('regions', () => {
  test('a region is where the longest part of its name that is known is', () => {
    expect(placeOf('eu-west-1')?.name).toBe('Western Europe');
    expect(placeOf('us-east4')?.name).toBe('US East');
    expect(placeOf('EU_Central.2')?.name).toBe('Central Europe');
    expect(placeOf('de-fra1')?.name).toBe('Germany');
  });
  test('a word that is no region has no place', () => {
    for (const word of ['local', '', '-', 'constructor', 'europa']) expect(placeOf(word)).toBeNull();
  });
  test('every place is on the earth', () => {
    for (const region of REGIONS) {
      const [longitude = NaN, latitude = NaN] = placeOf(region)?.at ?? [];
      expect(Math.abs(longitude)).toBeLessThanOrEqual(180);
      expect(Math.abs(latitude)).toBeLessThanOrEqual(90);
    }
  });
});

describe('nodes', () => {
  test('are found by every word of what is typed, by state and by GPU', () => {
    const all = { text: '', which: 'all', onlyGpus: false } as const;
    expect(filtered([NODE, GPUS], { ...all, text: 'rtx local' })).toEqual([GPUS]);
    expect(filtered([NODE, GPUS], { ...all, onlyGpus: true })).toEqual([GPUS]);
    expect(filtered([NODE, GPUS], { ...all, which: 'offline' })).toEqual([]);
  });
  test('are on the map by their region, or listed beside it', () => {
    const { spots, elsewhere } = placed([NODE, NODE, GPUS]);
    expect(spots.map(({ place, nodes }) => [place.name, nodes.length])).toEqual([['Western Europe', 2]]);
    expect(elsewhere).toEqual([['local', 1]]);
  });
  test('have the load that jobs are, and none when they are away', () => {
    expect(load(NODE)).toBe(0.25);
    expect(load({ ...NODE, status: 'offline' })).toBeNull();
    expect(hardware(GPUS)).toBe('2 × RTX 4090, 24GB');
  });
});
