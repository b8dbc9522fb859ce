import { describe, expect, it } from 'vitest';

import { byDay, drawn, wrongAmount } from './days';

describe('sums by day', () => {
  const rows = [
    { at: '2030-01-02T23:59:59Z', amount: '0.1' },
    { at: '2030-01-02T00:00:00Z', amount: '0.2' },
    { at: null, amount: '5' },
    { at: '2029-12-01T00:00:00Z', amount: '7' },
  ];
  const days = byDay(rows, 3, new Date('2030-01-03T12:00:00Z'));

  it('have every day, also those without anything', () => {
    expect(days.map(({ day, count }) => [day, count])).toEqual([['2030-01-01', 0], ['2030-01-02', 2], ['2030-01-03', 0]]);
  });

  it('are exact to the millionth', () => {
    expect(days[1]?.microUsdc).toBe(300_000n);
    expect(days.map(drawn)).toEqual([0, 0.3, 0]);
  });
});

it('an amount has a point and at most six decimals', () => {
  expect(['5', ' 0.25 ', '0.000001', ''].map(wrongAmount)).toEqual(['', '', '', '']);
  expect(['-1', '0', '1e3', '1,5', '0.0000001', 'x'].every((text) => wrongAmount(text) !== '')).toBe(true);
});
