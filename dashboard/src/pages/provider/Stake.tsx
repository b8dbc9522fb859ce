import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { client, useApi, useChange } from '../../app/api';
import { Card, Facts } from '../../design/Card';
import { SelectField, TextField } from '../../design/fields';
import { Money, Time } from '../../design/parts';
import { Loaded } from '../../design/states';
import { wrongAmount } from '../billing/days';
import { TransferForm } from '../billing/TransferForm';

const PATH = '/api/v1/provider/stake';
const REFRESHED: readonly string[] = [PATH];

type Act = 'stake' | 'unstake' | 'rebond' | 'withdrawStake';
const ACTS: readonly (readonly [Act, string])[] = [
  ['stake', 'Put more at stake'],
  ['unstake', 'Begin to take out'],
  ['rebond', 'Put back what is being taken out'],
  ['withdrawStake', 'Withdraw what was taken out'],
];

/** What stands behind the machines, and can be lost. */
export function Stake() {
  const stake = useApi<schema.StakeView>(PATH, { every: 15_000 });
  const [act, setAct] = useState<Act>('stake');
  const [amount, setAmount] = useState('');
  const ask = useChange(() => (act === 'withdrawStake' ? client.provider.withdrawStake() : client.provider[act]({ amount: amount.trim() })));
  const isReady = (act === 'withdrawStake' || (amount.trim() !== '' && wrongAmount(amount) === ''));
  return (
    <Card title="Stake">
      <Loaded query={stake} what="Asking the chain">
        {(of) => (
          <Facts
            of={[
              ['Staked', <Money key="s" of={of.staked} />],
              ['Wanted at least', <Money key="m" of={of.minimum} />],
              ['Can be taken out', <Money key="f" of={of.free} />],
              ['Held by your disputes', <Money key="b" of={of.bonded} />],
              ['Being taken out', <Money key="u" of={of.unbonding} />],
              ['Can be withdrawn from', of.withdrawable_at === null ? '–' : <Time key="w" at={of.withdrawable_at} />],
              ['Slashed, ever', <Money key="x" of={of.slashed} />],
              ['Earned, ever', <Money key="e" of={of.earned} />],
              ['Jobs completed, ever', of.jobs_completed],
            ]}
          />
        )}
      </Loaded>
      <TransferForm ask={ask} isReady={isReady} refreshed={REFRESHED}>
        <SelectField label="Change it" value={act} onChange={setAct} options={ACTS} />
        {act !== 'withdrawStake' && <TextField label="Stake, USDC" inputMode="decimal" value={amount} onChange={setAmount} error={wrongAmount(amount)} />}
        {stake.data !== undefined && act === 'unstake' && <p className="muted">It takes {stake.data.unbonding_days} days, and can be slashed until then.</p>}
      </TransferForm>
    </Card>
  );
}
