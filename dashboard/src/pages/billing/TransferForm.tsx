import type { schema } from '@neurogrid/sdk';
import type { ReactNode } from 'react';

import type { useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { ErrorNote } from '../../design/states';
import { Transfer } from './Transfer';

/** Fields, the button that has the coordinator write a transaction of them, and the transaction, to be signed. */
export function TransferForm({ ask, isReady, refreshed, main = false, children }: {
  ask: ReturnType<typeof useChange<schema.TransferView, void>>;
  isReady: boolean;
  /** What is asked for anew when the money has moved. */
  refreshed: readonly string[];
  main?: boolean;
  children: ReactNode;
}) {
  const isOpen = isReady && !ask.isPending;
  return (
    <>
      <form onSubmit={(event) => { event.preventDefault(); if (isOpen) ask.mutate(); }}>
        {children}
        <Button kind={main ? 'main' : 'plain'} type="submit" disabled={!isOpen} busy={ask.isPending}>
          Write the transaction
        </Button>
      </form>
      <ErrorNote error={ask.error} />
      {ask.data !== undefined && <Transfer key={ask.data.id} made={ask.data} refreshed={refreshed} />}
    </>
  );
}
