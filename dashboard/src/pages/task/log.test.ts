import { expect, test } from 'vitest';

import { appended, NO_LOG, plain, shownText } from './log';

test('a line that comes in pieces is one line', () => {
  const log = appended(appended(NO_LOG, 'one\ntw'), 'o\n');
  expect(log.lines).toEqual(['one', 'two']);
  expect(shownText(appended(log, 'three'))).toBe('one\ntwo\nthree');
});

test('of a million lines the last 5000 are kept, and the others are counted', () => {
  const log = appended(NO_LOG, 'x\n'.repeat(1_000_000));
  expect(log.lines).toHaveLength(5000);
  expect(log.dropped).toBe(995_000);
});

test('a line of a megabyte is cut, whether it comes at once or in pieces', () => {
  expect(appended(NO_LOG, `${'x'.repeat(1_000_000)}\n`).lines[0]).toHaveLength(2000);
  let log = NO_LOG;
  for (let i = 0; i < 100; i += 1) log = appended(log, 'x'.repeat(10_000));
  expect(log.open).toHaveLength(2000);
});

test('no more than a million characters are kept', () => {
  expect(shownText(appended(NO_LOG, `${'x'.repeat(1999)}\n`.repeat(5000))).length).toBeLessThanOrEqual(1_000_000);
});

test('colours, titles, cursor movements and turned text are left out, and tabs stay', () => {
  expect(plain('\u001b[31mred\u001b[0m\tx\u001b]0;title\u0007y\u202ez\u001b')).toBe('red\txyz');
});

test('a progress bar shows its last state', () => {
  expect(plain('10 %\r50 %\r100 %\r')).toBe('100 %');
});
