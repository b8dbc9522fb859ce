import type { schema } from '@neurogrid/sdk';
import { keepPreviousData, useQuery, type UseQueryResult } from '@tanstack/react-query';
import { useEffect, useState } from 'react';

import { client } from '../../app/api';

const TYPED_MS = 500;

/** The value once it has been the same for half a second: not every letter asks the market. */
export function useSettled<T>(value: T): T {
  const [settled, settle] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => { settle(value); }, TYPED_MS);
    return () => { clearTimeout(timer); };
  }, [value]);
  return settled;
}

/** What the market says of a request that is not submitted. */
export function useAsked<T>(path: string, request: schema.TaskRequest): UseQueryResult<T> {
  return useQuery<T>({
    queryKey: [path, request],
    queryFn: ({ signal }) => client.request<T>('POST', path, { body: request, signal }),
    placeholderData: keepPreviousData,
  });
}
