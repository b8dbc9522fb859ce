import type { schema } from '@neurogrid/sdk';
import { describe, expect, it } from 'vitest';

import { chatRequest, code, prices, together, usage, USUAL, wrong } from './models';

const TURNS = [{ role: 'user', content: "It's late" }] as const;

describe('a chat', () => {
  it('sends only what was set', () => {
    expect(chatRequest('m', USUAL, TURNS)).toEqual({ model: 'm', messages: TURNS, max_tokens: 200 });
    const set = { system: 'Be brief', temperature: '0.5', maxTokens: '', seed: '7' };
    expect(chatRequest('m', set, TURNS)).toEqual({
      model: 'm',
      messages: [{ role: 'system', content: 'Be brief' }, ...TURNS],
      temperature: 0.5,
      seed: 7,
    });
  });

  it('says which setting is none', () => {
    expect(Object.values(wrong(USUAL)).join('')).toBe('');
    const bad = wrong({ system: '', temperature: '3', maxTokens: '0', seed: '-1' });
    expect(Object.values(bad).every((text) => text !== '')).toBe(true);
  });

  it('is shown as code that quotes what people type', () => {
    const request = chatRequest('m', USUAL, TURNS);
    expect(code('curl', 'http://h', request)).toContain("It'\\''s late");
    expect(code('python', 'http://h', request)).toContain('stream=True');
    expect(code('javascript', 'http://h', request)).toContain('baseURL: "http://h/v1"');
  });

  it('says what an answer cost, to the millionth', () => {
    expect(usage({ prompt_tokens: 5, completion_tokens: 7, total_tokens: 12, cost: 0.000012, cost_micro_usdc: 12 })).toBe(
      '5 tokens read, 7 written, 0.000012 USDC',
    );
    expect(together(['0.1', '0.2'])).toBe('0.30');
  });
});

describe('a price', () => {
  it('is by the hour where no server is kept', () => {
    const pricing = { units: {}, max_per_hour: '0.50' };
    expect(prices({ pricing } as unknown as schema.ModelView)).toEqual(['at most 0.50 USDC an hour']);
  });
});
