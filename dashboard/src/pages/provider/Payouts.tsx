import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { client, useApi, useChange } from '../../app/api';
import { Card } from '../../design/Card';
import { TextField } from '../../design/fields';
import { shortened } from '../../design/format';
import { Money, Status, Time } from '../../design/parts';
import { Loaded } from '../../design/states';
import { Table } from '../../design/Table';
import { wrongAmount } from '../billing/days';
import { TransferForm } from '../billing/TransferForm';

const PATH = '/api/v1/provider/payouts';
const REFRESHED: readonly string[] = [PATH, '/api/v1/provider/stake'];

/** What was earned is in the wallet already; a payout sends it on. */
export function Payouts() {
  const payouts = useApi<schema.PayoutListView>(PATH, { query: { limit: 20 }, every: 15_000 });
  const [amount, setAmount] = useState('');
  const [to, setTo] = useState('');
  const ask = useChange(() => client.provider.requestPayout({ amount: amount.trim(), wallet_address: to.trim() }), PATH);
  const isReady = amount.trim() !== '' && wrongAmount(amount) === '' && to.trim() !== '';
  return (
    <Card title="Payouts">
      <TransferForm ask={ask} isReady={isReady} refreshed={REFRESHED}>
        <TextField label="Pay out, USDC" inputMode="decimal" value={amount} onChange={setAmount} error={wrongAmount(amount)} />
        <TextField label="To which wallet" value={to} onChange={setTo} hint="Look twice: what is sent there can’t be called back." />
      </TransferForm>
      <Loaded query={payouts}>
        {(list) => (
          <Table
            caption="Payouts"
            rows={list.payouts}
            keyOf={({ id }) => id}
            empty="There was none yet."
            columns={[
              { name: 'Asked', cell: ({ created_at }) => <Time at={created_at} />, by: ({ created_at }) => created_at },
              { name: 'Amount', cell: ({ amount: of }) => <Money of={of} />, numeric: true },
              { name: 'To', cell: ({ wallet_address: wallet }) => (wallet === null ? '–' : <code title={wallet}>{shortened(wallet, 6)}</code>) },
              { name: 'State', cell: ({ status }) => <Status of={status.replace('_', ' ')} />, by: ({ status }) => status },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}
