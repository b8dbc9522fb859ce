/**
 * Who is signed in, in this tab.
 *
 * The key or token lies in `sessionStorage` and nowhere else: it is gone with the tab, no other tab has it, and no cookie
 * carries it, so no other site can have a browser send it. It is not remembered for longer, because whoever sits down at
 * the machine next would be you.
 */
import { useSyncExternalStore } from 'react';

export interface Session {
  /** An API key, or a token that a wallet's signature got. */
  readonly credential: string;
}

interface State {
  readonly session: Session | null;
  /** Why nobody is signed in any more; empty where there is nothing to say. */
  readonly notice: string;
}

const PLACE = 'neurogrid.session';
const listeners = new Set<() => void>();
let state: State = { session: stored(), notice: '' };

function stored(): Session | null {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(PLACE) ?? 'null');
    if (typeof value !== 'object' || value === null) return null;
    const { credential } = value as Partial<Session>;
    return typeof credential === 'string' ? { credential } : null;
  } catch {
    return null;
  }
}

function become(next: State): void {
  state = next;
  for (const tell of listeners) tell();
}

/** Be signed in from here on. */
export function begin(session: Session): void {
  sessionStorage.setItem(PLACE, JSON.stringify(session));
  become({ session, notice: '' });
}

/** Sign out, and say why where it was not asked for. */
export function end(notice = ''): void {
  sessionStorage.removeItem(PLACE);
  if (state.session !== null || notice !== state.notice) become({ session: null, notice });
}

/** The key or token of now; null: nobody is signed in. */
export function credential(): string | null {
  return state.session?.credential ?? null;
}

/** Who is signed in, as it changes. */
export function useSession(): State {
  return useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },
    () => state,
  );
}
