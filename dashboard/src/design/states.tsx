/** What a page shows before, without and instead of what was asked for. Each says what to do next. */
import { ApiError, NeuroGridError } from '@neurogrid/sdk';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';

import { Button } from './Button';

export function Loading({ what = 'Loading' }: { what?: string }) {
  return (
    <p className="loading" role="status">
      {what}…
    </p>
  );
}

/** There is nothing: say what would change that. */
export function Empty({ children }: { children: ReactNode }) {
  return <div className="empty">{children}</div>;
}

export function Note({ children }: { children: ReactNode }) {
  return (
    <div className="note" role="status">
      {children}
    </div>
  );
}

/** An error as a person can use it: what is wrong, what to do next, and what to quote to the operator. */
export function ErrorNote({ error, retry }: { error: unknown; retry?: () => void }) {
  if (error === null || error === undefined) return null;
  const hint = error instanceof NeuroGridError ? hintOf(error) : '';
  const quote = error instanceof ApiError ? [error.code, error.requestId].filter(Boolean).join(' · ') : '';
  return (
    <div className="note bad" role="alert">
      <p>{error instanceof Error ? error.message : 'Something failed, and did not say what.'}</p>
      {hint !== '' && <p>{hint}</p>}
      {quote !== '' && <p className="muted">{quote}</p>}
      {retry !== undefined && <Button onClick={retry}>Try again</Button>}
    </div>
  );
}

// The SDK's hints speak to programmers; where a person in a browser does something else, this says it.
const HINTS: Readonly<Record<string, string>> = {
  UNAUTHORIZED: 'Look whether the whole key was copied, and whether it is of this coordinator.',
  KEY_EXPIRED: 'Sign in with another key, or with your wallet.',
  FORBIDDEN: 'Sign in with a key that has the scope and role for it.',
  SIGNATURE_REQUIRED: 'This account wants its wallet to sign changes: make it by the neurogrid command.',
};

function hintOf(error: NeuroGridError): string {
  if (error instanceof ApiError) return HINTS[error.code] ?? (error.hint.includes('client.') ? '' : error.hint);
  return 'Look whether this machine is online and the coordinator runs, and try again.';
}

interface LoadedProps<T> {
  query: UseQueryResult<T>;
  what?: string;
  children: (data: T) => ReactNode;
}

/** What was asked for once it is there; until then that it is loading, or why it isn't there. Old data stays when a later look fails. */
export function Loaded<T>({ query, what, children }: LoadedProps<T>) {
  const { data, error, refetch } = query;
  if (data === undefined && error !== null) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (data === undefined) return <Loading {...(what !== undefined && { what })} />;
  return (
    <>
      {error !== null && <ErrorNote error={error} retry={() => void refetch()} />}
      {children(data)}
    </>
  );
}
