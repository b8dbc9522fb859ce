import { describe, expect, test } from 'vitest';

import { bytes, decimalUsdc, duration, microUsdc, percent, shortened, usdc } from './format';
import { sorted } from './sorting';

describe('format', () => {
  test('money goes there and back without a float', () => {
    for (const [text, micro] of [['0.00', 0n], ['12.345678', 12_345_678n], ['-0.50', -500_000n], ['999999999999.999999', 999_999_999_999_999_999n]] as const) {
      expect(microUsdc(text)).toBe(micro);
      expect(decimalUsdc(micro)).toBe(text);
    }
    expect(decimalUsdc(1n)).toBe('0.000001');
    expect(usdc('1.5')).toBe('1.50 USDC');
  });
  test('what is no amount is shown as it came', () => {
    for (const text of ['1e3', '', '1.1234567', 'NaN']) expect(microUsdc(text)).toBeNull();
    expect(usdc('much')).toBe('much USDC');
    expect(usdc(null)).toBe('–');
  });
  test('sizes, times and shares are short', () => {
    expect([bytes(0), bytes(999), bytes(1500), bytes(25e9)]).toEqual(['0 B', '999 B', '1.5 kB', '25 GB']);
    expect([duration(0.251), duration(75), duration(3600), duration(90_061)]).toEqual(['0.25 s', '1 min 15 s', '1 h', '1 d 1 h']);
    expect(percent(0.256)).toBe('26 %');
    expect(shortened('12D3KooWabcdefghijk')).toBe('12D3Ko…fghijk');
  });
});

test('rows without a value come last, either way', () => {
  const by = (value: number | null): number | null => value;
  expect(sorted([2, null, 1], by, 'ascending')).toEqual([1, 2, null]);
  expect(sorted([2, null, 1], by, 'descending')).toEqual([2, 1, null]);
  expect(sorted(['node-10', 'node-9'], (text) => text, 'ascending')).toEqual(['node-9', 'node-10']);
});
