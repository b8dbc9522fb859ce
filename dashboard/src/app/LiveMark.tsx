import { useLiveState, type LiveState } from './live';

const WORDS: Record<LiveState, [string, string]> = {
  connecting: ['Connecting', 'Connecting to the coordinator’s events.'],
  live: ['Live', 'Changes are shown as they happen.'],
  waiting: ['Not live', 'The connection broke off; it is tried again. What is shown may be old.'],
};

/** Whether what is shown changes by itself. */
export function LiveMark() {
  const state = useLiveState();
  const [word, meaning] = WORDS[state];
  return (
    <span className={`live ${state}`} role="status" title={meaning}>
      {word}
    </span>
  );
}
