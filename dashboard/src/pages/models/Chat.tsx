import type { schema } from '@neurogrid/sdk';
import { useEffect, useRef, useState } from 'react';

import { client } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { AreaField, TextField } from '../../design/fields';
import { decimalUsdc } from '../../design/format';
import { ErrorNote } from '../../design/states';
import { Code } from './Code';
import { chatRequest, together, usage, USUAL, wrong, type ChatSettings, type Turn } from './models';

interface Said extends Turn {
  /** What it cost and took; of the model's answers. */
  readonly note?: string;
  /** USDC. */
  readonly cost?: string;
}

// What is shown of one answer at most: nobody reads more here, and a browser has to keep up.
const SHOWN_MAX = 100_000;

/** A chat whose turns are kept by this page alone, and are gone with it. */
export function Chat({ model }: { model: schema.ModelView }) {
  const [turns, setTurns] = useState<readonly Said[]>([]);
  const [settings, setSettings] = useState<ChatSettings>(USUAL);
  const [draft, setDraft] = useState('');
  const [error, setError] = useState<unknown>(null);
  const [writing, setWriting] = useState<string | null>(null);
  const asked = useRef<AbortController | null>(null);
  useEffect(() => () => { asked.current?.abort(); }, []);
  const bad = wrong(settings);
  const isReady = draft.trim() !== '' && writing === null && Object.values(bad).every((text) => text === '');
  const set = (name: keyof ChatSettings) => (value: string): void => { setSettings((old) => ({ ...old, [name]: value })); };

  const ask = async (): Promise<void> => {
    const before: readonly Said[] = [...turns, { role: 'user', content: draft.trim() }];
    const stop = new AbortController();
    asked.current = stop;
    setTurns(before);
    setDraft('');
    setError(null);
    setWriting('');
    let text = '';
    let used: schema.OpenAiUsage | null = null;
    const began = performance.now();
    try {
      const plain = before.map(({ role, content }) => ({ role, content }));
      for await (const chunk of client.models.streamChat(chatRequest(model.id, settings, plain), { signal: stop.signal })) {
        text = (text + (chunk.choices[0]?.delta.content ?? '')).slice(0, SHOWN_MAX);
        used = chunk.usage ?? used;
        setWriting(text);
      }
    } catch (failure) {
      if (!stop.signal.aborted) setError(failure);
    }
    setWriting(null);
    if (text === '' && used === null) {
      // It was not answered: what was typed is there to be sent again.
      setTurns(turns);
      setDraft((typed) => typed || (before.at(-1)?.content ?? ''));
      return;
    }
    const took = `${((performance.now() - began) / 1000).toFixed(1)} s`;
    const note = used === null ? `Stopped after ${took}; what was written until then is paid.` : `${usage(used)}, ${took}`;
    const cost = used === null ? {} : { cost: decimalUsdc(BigInt(used.cost_micro_usdc)) };
    setTurns([...before, { role: 'assistant', content: text, note, ...cost }]);
  };

  const shown: readonly Said[] = writing === null ? turns : [...turns, { role: 'assistant', content: writing }];
  const costs = turns.flatMap(({ cost }) => (cost === undefined ? [] : [cost]));
  return (
    <>
      <div className="columns">
        <Card
          title={`Chat with ${model.id}`}
          actions={
            <Button kind="quiet" disabled={turns.length === 0 || writing !== null} onClick={() => { setTurns([]); }}>
              Begin anew
            </Button>
          }
        >
          {shown.length > 0 && (
            <ol className="turns" aria-label="Conversation" tabIndex={0}>
              {shown.map(({ role, content, note }, index) => (
                <li key={index} className={`turn ${role}`}>
                  <strong>{role === 'user' ? 'You' : model.id}</strong>
                  <p>{content || '…'}</p>
                  {note !== undefined && <small className="muted">{note}</small>}
                </li>
              ))}
            </ol>
          )}
          <p role="status" className="muted">
            {writing === null ? costs.length > 0 && `Answers so far: ${together(costs)} USDC.` : writing === '' ? 'Waiting for a node…' : 'Writing…'}
          </p>
          <ErrorNote error={error} />
          <form onSubmit={(event) => { event.preventDefault(); if (isReady) void ask(); }}>
            <AreaField
              label="Message"
              rows={3}
              value={draft}
              onChange={setDraft}
              hint="Ctrl+Enter sends it."
              onKeyDown={(event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && isReady) void ask(); }}
            />
            <div className="buttons">
              <button type="submit" className="button main" disabled={!isReady}>
                Send
              </button>
              <Button disabled={writing === null} onClick={() => asked.current?.abort()}>
                Stop
              </Button>
            </div>
          </form>
        </Card>
        <Card title="Settings">
          <AreaField label="System message" rows={2} value={settings.system} onChange={set('system')} hint="How it shall answer; empty: none." />
          <TextField label="Temperature" inputMode="decimal" value={settings.temperature} onChange={set('temperature')} error={bad.temperature} hint="0: always the likeliest; empty: the model's own." />
          <TextField label="Tokens at most" inputMode="numeric" value={settings.maxTokens} onChange={set('maxTokens')} error={bad.maxTokens} />
          <TextField label="Seed" inputMode="numeric" value={settings.seed} onChange={set('seed')} error={bad.seed} hint="The same seed and settings: the same answer." />
        </Card>
      </div>
      <Code request={chatRequest(model.id, settings, [...turns.map(({ role, content }) => ({ role, content })), { role: 'user', content: draft || 'Hello' }])} />
    </>
  );
}
