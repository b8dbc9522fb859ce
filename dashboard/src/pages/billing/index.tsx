import type { schema } from '@neurogrid/sdk';

import { useApi } from '../../app/api';
import { Card, Stat, Stats } from '../../design/Card';
import { usdc } from '../../design/format';
import { Page } from '../../design/Page';
import { Copyable, Money } from '../../design/parts';
import { Loaded } from '../../design/states';
import { Table } from '../../design/Table';
import { Deposit } from './Deposit';
import { History } from './History';
import { Invoices } from './Invoices';
import { Limits } from './Limits';

/** What there is, what was spent, and how much more may be. */
export default function BillingPage() {
  const balance = useApi<schema.WalletBalanceView>('/api/v1/wallet/balance', { every: 10_000 });
  return (
    <Page title="Billing" lead="Tasks are paid out of a deposit on the chain, which only your wallet’s key can take back.">
      <Loaded query={balance} what="Asking the chain">
        {(of) => (
          <>
            <Stats>
              <Stat label="To spend" value={<Money of={of.available} />} note="what new tasks may cost" />
              <Stat label="Free" value={<Money of={of.free} />} note="can be withdrawn" />
              <Stat label="Held" value={<Money of={of.held} />} note="promised to waiting tasks" />
              <Stat label="In escrows" value={<Money of={of.escrowed} />} note="locked for running tasks" />
              <Stat label="In the wallet" value={<Money of={of.in_wallet} />} note="not deposited" />
            </Stats>
            <p className="muted">
              Wallet <Copyable text={of.wallet} label="the wallet’s address" />. The coordinator may lock {usdc(of.operator_limit)} more in its name.
            </p>
          </>
        )}
      </Loaded>
      <div className="columns">
        <Deposit />
        <Limits />
      </div>
      <Usage />
      <History />
      <Invoices />
    </Page>
  );
}

function Usage() {
  const usage = useApi<schema.UsageView>('/api/v1/analytics/usage', { every: 30_000 });
  return (
    <Card title="Used this month">
      <Loaded query={usage}>
        {({ current_month: month, models }) => (
          <>
            <Stats>
              <Stat label="Tasks completed" value={month.tasks_completed} />
              <Stat label="Cost" value={usdc(month.total_cost.toFixed(6))} note="of tasks that have ended" />
              <Stat label="Compute time" value={month.compute_time} />
              <Stat label="Tokens" value={month.tokens_generated.toLocaleString('en')} note="that models have written" />
            </Stats>
            <Table
              caption="Models asked this month"
              rows={models}
              keyOf={({ model }) => model}
              empty="No model was asked this month. Try one on the page “Models”."
              columns={[
                { name: 'Model', cell: ({ model }) => <code>{model}</code>, by: ({ model }) => model },
                { name: 'Requests', cell: ({ requests }) => requests, by: ({ requests }) => requests, numeric: true },
                { name: 'Tokens read', cell: ({ input_tokens }) => input_tokens, by: ({ input_tokens }) => input_tokens, numeric: true },
                { name: 'Tokens written', cell: ({ output_tokens }) => output_tokens, by: ({ output_tokens }) => output_tokens, numeric: true },
                { name: 'Images', cell: ({ images }) => images, by: ({ images }) => images, numeric: true },
                { name: 'Cost', cell: ({ cost }) => usdc(cost.toFixed(6)), by: ({ cost }) => cost, numeric: true },
              ]}
            />
          </>
        )}
      </Loaded>
    </Card>
  );
}
