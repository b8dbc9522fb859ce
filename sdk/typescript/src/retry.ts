import type { Backoff } from './options.js';

/** Milliseconds before the next attempt, after so many failures (at least 1). */
export function delayAfter(failures: number, backoff: Backoff, random: () => number = Math.random): number {
  const longest = Math.min(backoff.maxDelay, backoff.initial * backoff.multiplier ** (failures - 1));
  // Who failed together shall not come back together.
  return longest * (0.5 + random() / 2);
}

/** Wait; ends early with the signal's reason. */
export async function pause(ms: number, signal?: AbortSignal | null): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    function stop() {
      clearTimeout(timer);
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- whatever the caller gave as its reason
      reject(signal?.reason);
    }
    signal?.addEventListener('abort', stop, { once: true });
  });
}
