import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { client, useApi, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Facts } from '../../design/Card';
import { AreaField } from '../../design/fields';
import { shortened } from '../../design/format';
import { Confirm, Copyable, Money, Status, Time } from '../../design/parts';
import { ErrorNote, Note } from '../../design/states';
import { signTransaction, useSigners } from './signing';

const OVER: readonly string[] = ['completed', 'failed', 'expired'];

/** A movement of money: what it does, and what is left for its wallet to do. Nothing moves before that has signed. */
export function Transfer({ made, refreshed }: { made: schema.TransferView; refreshed: readonly string[] }) {
  const path = `/api/v1/wallet/transfers/${encodeURIComponent(made.id)}`;
  const looked = useApi<schema.TransferView>(path, { every: 2000 });
  const now = looked.data ?? made;
  const [signed, setSigned] = useState('');
  const wallets = useSigners();
  const submit = useChange((transaction: string) => client.wallet.submit(made.id, transaction), path, ...refreshed);
  const sign = useChange(
    async (index: number) => {
      const wallet = wallets[index];
      if (wallet === undefined || now.transaction === null) throw new Error('There is nothing to sign any more. Ask for it anew.');
      return client.wallet.submit(made.id, await signTransaction(wallet, now.wallet, now.transaction));
    },
    path,
    ...refreshed,
  );
  return (
    <Note>
      <p>
        <strong>{now.kind.replace('_', ' ')}</strong> of <Money of={now.amount} />: <Status of={now.status.replace('_', ' ')} tone={now.status === 'completed' ? 'good' : now.status === 'failed' ? 'bad' : 'busy'} />
      </p>
      {now.failure !== null && <p>It moved nothing: {now.failure}.</p>}
      <ul>{now.does.map((line) => <li key={line}>{line}</li>)}</ul>
      <Facts
        of={[
          ['Signed by', <Copyable key="w" text={now.wallet} shown={shortened(now.wallet, 8)} label="the wallet" />],
          ['The chain’s fee', `${now.fee_sol} SOL`],
          ...(OVER.includes(now.status) ? [] : ([['Until about', <Time key="t" at={now.expires_at} />]] as const)),
        ]}
      />
      {now.transaction !== null && (
        <>
          {wallets.map(({ name }, index) => (
            <Confirm key={name} kind="main" title="Move the money?" action={`Sign with ${name}`} disabled={sign.isPending} onConfirm={() => { sign.mutate(index); }}>
              <p>Your wallet shows the transaction once more. What it signs is sent to the chain, and can’t be taken back.</p>
            </Confirm>
          ))}
          {wallets.length === 0 && <p>This browser has no wallet that signs transactions. Sign it where the wallet’s key is, and hand it in here:</p>}
          <details open={wallets.length === 0}>
            <summary>Sign it elsewhere</summary>
            <Copyable text={now.transaction} shown={shortened(now.transaction, 12)} label="the transaction" />
            <AreaField label="Signed transaction, base64" rows={2} value={signed} onChange={setSigned} />
            <Button disabled={signed.trim() === '' || submit.isPending} busy={submit.isPending} onClick={() => { submit.mutate(signed.trim()); }}>
              Hand it in
            </Button>
          </details>
        </>
      )}
      <ErrorNote error={sign.error ?? submit.error} />
    </Note>
  );
}
