/** Which key is signed in. */
import type { UseQueryResult } from '@tanstack/react-query';

import type { Key } from './acting';
import { useApi } from './api';

export { acts, type Key, type Role, type Scope } from './acting';

/** The key that is signed in. */
export function useKey(): UseQueryResult<Key> {
  return useApi<Key>('/api/v1/api-keys/current', { every: 60_000 });
}
