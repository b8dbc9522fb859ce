/** Requests to the coordinator that served this page. Pages ask by `useApi` and change things by `useChange`. */
import { NeuroGridClient, type Query } from '@neurogrid/sdk';
import {
  keepPreviousData,
  QueryClient,
  useMutation,
  useQuery,
  useQueryClient,
  type UseMutationResult,
  type UseQueryResult,
} from '@tanstack/react-query';

import { credential, end } from './session';

/** The SDK's client with the key of now: for streams, uploads, and whatever `useApi` is too small for. */
export const client = new NeuroGridClient({
  apiKey: credential,
  baseUrl: location.origin,
  options: {
    // A person waits: give up sooner than a program would.
    retry: { maxAttempts: 3 },
    // A page that is left open is there when the coordinator is back.
    websocket: { reconnect: { maxAttempts: Number.MAX_SAFE_INTEGER } },
  },
  fetch: async (...call) => {
    const asked = credential();
    const answer = await fetch(...call);
    if (answer.status === 401 && asked !== null) await judge(answer.clone(), asked);
    return answer;
  },
});

/** A key that opens nothing any more ends the session; a signature that is wanted does not. */
async function judge(answer: Response, asked: string): Promise<void> {
  const body: unknown = await answer.json().catch(() => null);
  const code = (body as { error?: { code?: unknown } } | null)?.error?.code;
  const over = ['UNAUTHORIZED', 'KEY_EXPIRED', 'invalid_api_key'].includes(String(code));
  if (over && credential() === asked) end('Your key or sign-in has ended. Sign in again to go on where you were.');
}

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // The client tries again by itself where that can help.
      retry: false,
      staleTime: 2000,
      refetchOnWindowFocus: true,
    },
  },
});

export interface AskOptions {
  query?: Query;
  /** Milliseconds between two looks while the page is seen; left out: only events and changes have it asked anew. */
  every?: number | false;
  /** False: not asked yet. */
  enabled?: boolean;
  /** What was there stays until the answer to another query comes: for pages of a list, and what one looks for in it. */
  keep?: boolean;
}

/**
 * What `GET path` answers, kept and shared by path and query.
 *
 * @param path as `/api/v1/nodes`. Events have paths asked anew by how they begin (see live.ts).
 */
export function useApi<T>(path: string, { query, every, enabled, keep = false }: AskOptions = {}): UseQueryResult<T> {
  return useQuery<T>({
    queryKey: [path, query ?? {}],
    queryFn: ({ signal }) => client.request<T>('GET', path, { query, signal }),
    ...(every !== undefined && { refetchInterval: every }),
    ...(enabled !== undefined && { enabled }),
    ...(keep && { placeholderData: keepPreviousData }),
  });
}

/**
 * A change; when it is done, everything that was asked under these beginnings of paths is asked anew.
 *
 * The error of the last try is `change.error`: show it by `<ErrorNote error={change.error} />`.
 */
export function useChange<T, V = void>(
  change: (value: V) => Promise<T>,
  ...refreshed: string[]
): UseMutationResult<T, Error, V> {
  const cache = useQueryClient();
  return useMutation<T, Error, V>({
    mutationFn: change,
    // An answer can be a secret that is shown once: it goes with the page that asked.
    gcTime: 0,
    onSuccess: () => refresh(cache, ...refreshed),
  });
}

/** Have what was asked under these beginnings of paths asked anew. */
export async function refresh(cache: QueryClient, ...beginnings: string[]): Promise<void> {
  await cache.invalidateQueries({
    predicate: ({ queryKey: [path] }) =>
      typeof path === 'string' && beginnings.some((beginning) => path.startsWith(beginning)),
  });
}
