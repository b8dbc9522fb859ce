import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';
import { Link } from 'react-router';

import { client, useApi, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { Chart } from '../../design/Chart';
import { Pager } from '../../design/Pager';
import { Money, Status, Time } from '../../design/parts';
import { ErrorNote, Loaded } from '../../design/states';
import { Table } from '../../design/Table';
import { byDay, drawn } from './days';
import { download } from './download';

const PATH = '/api/v1/billing/history';
const LIMIT = 20;
const DAYS = 30;
// The most that one answer has.
const NEWEST = 100;

/** What each run of a task cost in the last 30 days, by the day and one by one. */
export function History() {
  const [offset, go] = useState(0);
  const newest = useApi<schema.HistoryView>(PATH, { query: { limit: NEWEST }, every: 15_000 });
  const page = useApi<schema.HistoryView>(PATH, { query: { limit: LIMIT, offset }, every: 15_000 });
  const csv = useChange(async () => { download(new Blob([await client.billing.historyCsv()], { type: 'text/csv' }), 'neurogrid-history.csv'); });
  return (
    <Card title="What tasks cost" actions={<Button busy={csv.isPending} onClick={() => { csv.mutate(); }}>Keep as CSV</Button>}>
      <ErrorNote error={csv.error} />
      <Loaded query={newest}>
        {({ history, total, totals }) => (
          <>
            <Spent history={history} />
            {total > history.length && <p className="muted">The chart has the newest {history.length} of {total} runs; the CSV has all.</p>}
            <p>
              In {DAYS} days: <Money of={totals.paid} /> paid, <Money of={totals.refunded} /> came back, <Money of={totals.open} /> locked now.
            </p>
          </>
        )}
      </Loaded>
      <Loaded query={page}>
        {({ history, total }) => (
          <>
            <Table
              caption="Runs"
              rows={history}
              keyOf={({ lease_id }) => lease_id}
              empty="No task was paid in the last 30 days. Submit one on the page “Submit”."
              columns={[
                { name: 'Awarded', cell: ({ created_at }) => <Time at={created_at} />, by: ({ created_at }) => created_at },
                { name: 'Task', cell: ({ task_id, task_name }) => <Link to={`/tasks/${encodeURIComponent(task_id)}`}>{task_name.slice(0, 60) || task_id}</Link>, by: ({ task_name }) => task_name },
                { name: 'State', cell: ({ status }) => <Status of={status} tone={status === 'settled' ? 'good' : 'busy'} />, by: ({ status }) => status },
                { name: 'Locked', cell: ({ escrowed }) => <Money of={escrowed} />, numeric: true },
                { name: 'Paid', cell: ({ paid }) => <Money of={paid} />, numeric: true },
                { name: 'Came back', cell: ({ refunded }) => <Money of={refunded} />, numeric: true },
                { name: 'Transaction', cell: ({ payment_transaction: name }) => (name === null ? '–' : <code title={name}>{name.slice(0, 10)}…</code>) },
              ]}
            />
            <Pager label="Runs" offset={offset} limit={LIMIT} total={total} onMove={go} />
          </>
        )}
      </Loaded>
    </Card>
  );
}

function Spent({ history }: { history: readonly schema.ChargeView[] }) {
  const days = byDay(history.map(({ settled_at, paid }) => ({ at: settled_at, amount: paid })), DAYS, new Date());
  const labels = days.map(({ day }) => day);
  return (
    <div className="columns">
      <Chart title="Paid each day" kind="bar" unit="USDC" labels={labels} series={[{ name: 'Paid', values: days.map(drawn) }]} />
      <Chart title="Runs paid each day" kind="bar" labels={labels} series={[{ name: 'Runs', values: days.map(({ count }) => count) }]} />
    </div>
  );
}
