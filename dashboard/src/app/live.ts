/**
 * What happens, as it happens: one connection to `/ws` while somebody is signed in (docs/events.md).
 *
 * What was asked about tasks is asked anew when one of them changes, at most once a second, however many events come.
 */
import type { QueryClient } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';

import { refresh } from './api';
import { EVERYTHING, outdatedBy } from './outdated';

/** A message of `/ws`; its other fields are the event's. */
export interface LiveEvent {
  readonly type: string;
  readonly sequence?: number;
  readonly task_id?: string;
  readonly [field: string]: unknown;
}

export type LiveState = 'connecting' | 'live' | 'waiting';

const REFRESH_MS = 1000;
const WAITS_MS = [500, 1000, 2000, 5000, 10_000, 30_000];
/** The coordinator says something every 5 s. */
const SILENCE_MS = 20_000;
const listeners = new Set<(event: LiveEvent) => void>();
const watchers = new Set<() => void>();
let state: LiveState = 'connecting';

function become(next: LiveState): void {
  if (state === next) return;
  state = next;
  for (const tell of watchers) tell();
}

/** How the connection is. */
export function useLiveState(): LiveState {
  return useSyncExternalStore(
    (tell) => {
      watchers.add(tell);
      return () => watchers.delete(tell);
    },
    () => state,
  );
}

/** Hear of every event while the component is there. Keep `listener` the same between renderings (`useCallback`). */
export function useEvents(listener: (event: LiveEvent) => void): void {
  useEffect(() => {
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }, [listener]);
}

/** Connect, and connect again whenever it breaks off, until the answer is called. */
export function startLive(credential: string, cache: QueryClient): () => void {
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let flushing: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let after: number | null = null;
  let isOver = false;
  const old = new Set<string>();

  const outdate = (paths: readonly string[]): void => {
    for (const path of paths) old.add(path);
    if (old.size === 0 || flushing !== undefined) return;
    flushing = setTimeout(() => {
      flushing = undefined;
      const paths = [...old];
      old.clear();
      void refresh(cache, ...paths);
    }, REFRESH_MS);
  };

  const hear = (text: string): void => {
    const event = read(text);
    if (event === null) return;
    clearTimeout(silence);
    silence = setTimeout(() => socket?.close(), SILENCE_MS);
    if (event.type === 'authenticated') {
      // What happened in a gap may have been missed where there was no number to go on from.
      if (failures > 0 && after === null) outdate(EVERYTHING);
      failures = 0;
      become('live');
    }
    if (event.type === 'reset') outdate(EVERYTHING);
    if (typeof event.sequence === 'number') after = event.sequence;
    outdate(outdatedBy(event.type));
    for (const listener of listeners) listener(event);
  };

  const connect = (): void => {
    become('connecting');
    socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/ws`);
    socket.onopen = () => {
      socket?.send(JSON.stringify({ type: 'auth', token: credential, ...(after !== null && { after }) }));
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') hear(data);
    };
    socket.onclose = ({ code }) => {
      clearTimeout(silence);
      become('waiting');
      if (isOver) return;
      if (code === 4401 || code === 4403) {
        // This key hears nothing (any more): asking who it is says whether it still opens anything, and else ends the session.
        void refresh(cache, '/api/v1/api-keys/current');
        return;
      }
      timer = setTimeout(connect, WAITS_MS[Math.min(failures, WAITS_MS.length - 1)]);
      failures += 1;
    };
  };

  connect();
  return () => {
    isOver = true;
    clearTimeout(timer);
    clearTimeout(silence);
    clearTimeout(flushing);
    socket?.close();
  };
}

function read(text: string): LiveEvent | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return null;
    return typeof (value as LiveEvent).type === 'string' ? (value as LiveEvent) : null;
  } catch {
    return null;
  }
}
