import { useState } from 'react';

import { client, useChange } from '../../app/api';
import { Card } from '../../design/Card';
import { SelectField, TextField } from '../../design/fields';
import { wrongAmount } from './days';
import { TransferForm } from './TransferForm';

type Way = 'deposit' | 'withdrawal';
const WAYS: readonly (readonly [Way, string])[] = [
  ['deposit', 'From the wallet into the deposit'],
  ['withdrawal', 'From the deposit back to the wallet'],
];
const REFRESHED: readonly string[] = ['/api/v1/wallet/balance', '/api/v1/billing'];

/** Money into the deposit and out of it: the coordinator writes the transaction, the wallet signs it. */
export function Deposit() {
  const [way, setWay] = useState<Way>('deposit');
  const [amount, setAmount] = useState('');
  const [to, setTo] = useState('');
  const ask = useChange(() => {
    const text = amount.trim();
    return way === 'deposit' ? client.wallet.deposit({ amount: text, operator_limit: text }) : client.wallet.withdraw({ amount: text, wallet_address: to.trim() });
  });
  const isReady = amount.trim() !== '' && wrongAmount(amount) === '' && (way === 'deposit' || to.trim() !== '');
  return (
    <Card title="Move money">
      <TransferForm ask={ask} isReady={isReady} refreshed={REFRESHED} main>
        <SelectField label="Which way" value={way} onChange={setWay} options={WAYS} />
        <TextField label="Amount, USDC" inputMode="decimal" value={amount} onChange={setAmount} error={wrongAmount(amount)} />
        {way === 'withdrawal' && <TextField label="To which wallet" value={to} onChange={setTo} hint="Its address; yours stands above." />}
        {way === 'deposit' && <p className="muted">The coordinator may then lock as much in escrows for your tasks, and no more.</p>}
      </TransferForm>
    </Card>
  );
}
