/**
 * What happens, as it happens: one connection to `/ws` while somebody is signed in (docs/events.md).
 *
 * What was asked about tasks is asked anew when one of them changes, at most once a second, however many events come.
 */
import type { SocketMessage } from '@neurogrid/sdk';
import type { QueryClient } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';

import { client, refresh } from './api';
import { EVERYTHING, outdatedBy } from './outdated';

/** A message of `/ws`; its other fields are the event's. */
export type LiveEvent = SocketMessage;

export type LiveState = 'connecting' | 'live' | 'waiting';

const REFRESH_MS = 1000;
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

/** Hear of what happens, over a connection that is made anew whenever it breaks off, until the answer is called. */
export function startLive(cache: QueryClient): () => void {
  let flushing: ReturnType<typeof setTimeout> | undefined;
  let isGap = false;
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

  become('connecting');
  const socket = client.connect({
    connected: () => {
      // What happened in a gap may have been missed where there was no number to go on from.
      if (isGap && socket.after === null) outdate(EVERYTHING);
      isGap = false;
      become('live');
    },
    message: (event) => {
      if (event.type === 'reset') outdate(EVERYTHING);
      if (typeof event.sequence === 'number') socket.after = event.sequence;
      outdate(outdatedBy(event.type));
      for (const listener of listeners) listener(event);
    },
    closed: () => {
      isGap = true;
      become('waiting');
      // A key that hears nothing any more: asking who it is says whether it still opens anything, and else ends the session.
      void refresh(cache, '/api/v1/api-keys/current');
    },
  });
  return () => {
    clearTimeout(flushing);
    socket.close();
  };
}
