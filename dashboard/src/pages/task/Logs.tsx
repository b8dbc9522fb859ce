import { useEffect, useRef, useState } from 'react';

import { client } from '../../app/api';
import { save } from '../../receipt/save';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { ErrorNote } from '../../design/states';
import { appended, NO_LOG, shownText } from './log';

const SHOWN_EVERY_MS = 200;
const FIRST_LINES = 1000;

/** The log as the job writes it. */
export function Logs({ taskId }: { taskId: string }) {
  const [log, setLog] = useState(NO_LOG);
  const [error, setError] = useState<unknown>(null);
  const [isPaused, setPaused] = useState(false);
  const [said, say] = useState('');
  const paused = useRef(false);
  const pane = useRef<HTMLPreElement>(null);
  useEffect(() => {
    const over = new AbortController();
    let held = NO_LOG;
    // What comes faster than one can read is shown together.
    const timer = setInterval(() => { if (!paused.current) setLog(held); }, SHOWN_EVERY_MS);
    const follow = async (): Promise<void> => {
      try {
        for await (const text of client.tasks.followLogs(taskId, { lines: FIRST_LINES, signal: over.signal })) held = appended(held, text);
      } catch (failure) {
        if (!over.signal.aborted) setError(failure);
      }
    };
    void follow();
    return () => {
      over.abort();
      clearInterval(timer);
    };
  }, [taskId]);
  useEffect(() => {
    if (pane.current !== null && !paused.current) pane.current.scrollTop = pane.current.scrollHeight;
  }, [log]);
  const text = shownText(log);
  const pause = (): void => {
    paused.current = !isPaused;
    setPaused(!isPaused);
  };
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      say('Copied');
    } catch {
      say('Your browser does not let this page copy: download it instead.');
    }
  };
  const buttons = (
    <>
      <Button aria-pressed={isPaused} onClick={pause}>{isPaused ? 'Go on' : 'Pause'}</Button>
      <Button onClick={copy}>Copy log</Button>
      <Button onClick={() => { save(text, `${taskId}.log`); }}>Download log</Button>
      <span role="status" className="muted">{said}</span>
    </>
  );
  return (
    <Card title="Log" actions={buttons}>
      <ErrorNote error={error} />
      {log.dropped > 0 && <p className="muted">{log.dropped} earlier lines are not shown here.</p>}
      <pre ref={pane} className="log" tabIndex={0} role="log" aria-live="off" aria-label="Log of the job">{text || 'Nothing written yet.'}</pre>
    </Card>
  );
}
