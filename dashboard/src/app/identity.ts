/** What the key that is signed in may do: it decides what the navigation shows. The coordinator decides what is done. */
import type { UseQueryResult } from '@tanstack/react-query';

import { useApi } from './api';

export type Role = 'client' | 'provider' | 'operator';
export type Scope = 'read' | 'write' | 'keys';

export interface Key {
  readonly id: string;
  readonly name: string;
  readonly hint: string;
  readonly kind: 'key' | 'sign_in' | 'application';
  readonly scopes: readonly Scope[];
  readonly roles: readonly Role[];
  readonly expires_at: string | null;
}

/** The key that is signed in. */
export function useKey(): UseQueryResult<Key> {
  return useApi<Key>('/api/v1/api-keys/current', { every: 60_000 });
}

/** Whether it acts in one of these roles; no role: whoever is signed in. */
export function acts(key: Key | undefined, roles: readonly Role[]): boolean {
  return roles.length === 0 || (key?.roles.some((role) => roles.includes(role)) ?? false);
}
