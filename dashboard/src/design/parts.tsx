/** Small things that many pages show. */
import { useEffect, useRef, useState, type ReactNode } from 'react';

import { Button } from './Button';
import { percent, usdc } from './format';

export type Tone = 'good' | 'warn' | 'bad' | 'plain' | 'busy';

const TONES: Readonly<Record<string, Tone>> = {
  online: 'good', available: 'good', completed: 'good', active: 'good', healthy: 'good', ok: 'good', delivered: 'good',
  busy: 'busy', running: 'busy', matching: 'busy', processing: 'busy', preparing: 'busy', queued: 'plain', pending: 'plain',
  paused: 'warn', degraded: 'warn', expired: 'warn', cancelled: 'warn',
  offline: 'bad', failed: 'bad', revoked: 'bad', unhealthy: 'bad', suspended: 'bad',
};

/** A state as a word; its colour only repeats it. */
export function Status({ of, tone }: { of: string; tone?: Tone }) {
  return <span className={`status ${tone ?? TONES[of] ?? 'plain'}`}>{of}</span>;
}

/** An amount of USDC, a decimal string of the API. */
export function Money({ of }: { of: string | null | undefined }) {
  return <span className="money">{usdc(of)}</span>;
}

/** A moment in the reader's own time; the whole of it is in its title. */
export function Time({ at }: { at: string | null | undefined }) {
  if (at === null || at === undefined) return <>–</>;
  const moment = new Date(at);
  if (Number.isNaN(moment.getTime())) return <>{at}</>;
  const isToday = moment.toDateString() === new Date().toDateString();
  const shown = isToday ? moment.toLocaleTimeString() : moment.toLocaleString();
  return (
    <time dateTime={at} title={moment.toISOString()}>
      {shown}
    </time>
  );
}

/** A share from 0 to 1 as a bar, with its figure. */
export function Meter({ share, label }: { share: number | null; label: string }) {
  if (share === null) return <>–</>;
  const bounded = Math.min(1, Math.max(0, share));
  return (
    <span className="meter">
      <meter aria-label={label} value={bounded} min={0} max={1} />
      <span>{percent(bounded)}</span>
    </span>
  );
}

/** Something to be copied, such as a key, a hash or a command. */
export function Copyable({ text, shown = text, label }: { text: string; shown?: string; label: string }) {
  const [said, say] = useState('');
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      say('Copied');
    } catch {
      say('Your browser does not let this page copy: select it instead.');
    }
  };
  return (
    <span className="copyable">
      <code title={text}>{shown}</code>
      <button type="button" className="button quiet small" aria-label={`Copy ${label}`} onClick={copy}>
        Copy
      </button>
      <span role="status" className="muted">
        {said}
      </span>
    </span>
  );
}

interface ConfirmProps {
  title: string;
  /** The button that does it, and the one that opens the question. */
  action: string;
  kind?: 'danger' | 'main' | 'plain';
  children: ReactNode;
  onConfirm: () => void;
  disabled?: boolean;
}

/** A button that asks before it does what can't be taken back. */
export function Confirm({ title, action, kind = 'danger', children, onConfirm, disabled = false }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isOpen]);
  return (
    <>
      <Button kind={kind} disabled={disabled} onClick={() => { setOpen(true); }}>
        {action}
      </Button>
      <dialog ref={dialog} aria-label={title} onClose={() => { setOpen(false); }}>
        {isOpen && (
          <>
            <h2>{title}</h2>
            {children}
            <div className="buttons">
              <Button onClick={() => { setOpen(false); }}>Keep it as it is</Button>
              <Button kind={kind} onClick={() => { setOpen(false); onConfirm(); }}>
                {action}
              </Button>
            </div>
          </>
        )}
      </dialog>
    </>
  );
}
