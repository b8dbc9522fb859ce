import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { useApi } from '../../app/api';
import { Card, Stat, Stats } from '../../design/Card';
import { Chart } from '../../design/Chart';
import { shortened } from '../../design/format';
import { Pager } from '../../design/Pager';
import { Money, Status, Time } from '../../design/parts';
import { Loaded } from '../../design/states';
import { Table } from '../../design/Table';
import { byDay, drawn } from '../billing/days';

const JOBS = '/api/v1/provider/earnings/jobs';
const DAYS = 30;
const LIMIT = 20;

/** What was earned in the last 30 days: together, by the day, and job by job. */
export function Earnings() {
  const [offset, go] = useState(0);
  const sums = useApi<schema.EarningsSummaryView>('/api/v1/provider/earnings', { every: 5000 });
  const newest = useApi<schema.JobEarningsListView>(JOBS, { query: { limit: 100 }, every: 10_000 });
  const page = useApi<schema.JobEarningsListView>(JOBS, { query: { limit: LIMIT, offset }, every: 10_000 });
  return (
    <Card title="Earnings">
      <Loaded query={sums}>
        {(of) => (
          <Stats>
            <Stat label="Paid" value={<Money of={of.paid} />} note={`in ${DAYS} days, the market’s fee included`} />
            <Stat label="Jobs paid" value={of.jobs} />
            <Stat label="Signed so far" value={<Money of={of.open.promised} />} note={`by ${of.open.jobs} open ${of.open.jobs === 1 ? 'job' : 'jobs'}`} />
            <Stat label="They pay at most" value={<Money of={of.open.escrowed} />} note="locked for them" />
          </Stats>
        )}
      </Loaded>
      <Loaded query={newest}>{({ jobs }) => <EachDay jobs={jobs} />}</Loaded>
      <Loaded query={page}>
        {({ jobs, total }) => (
          <>
            <Table
              caption="Jobs"
              rows={jobs}
              keyOf={({ lease_id }) => lease_id}
              empty="No job yet in the last 30 days. What a machine earns appears here as soon as it is awarded one."
              columns={[
                { name: 'Awarded', cell: ({ created_at }) => <Time at={created_at} />, by: ({ created_at }) => created_at },
                { name: 'Node', cell: ({ node_id }) => <code title={node_id}>{shortened(node_id, 7)}</code>, by: ({ node_id }) => node_id },
                { name: 'State', cell: ({ status }) => <Status of={status} tone={status === 'settled' ? 'good' : 'busy'} />, by: ({ status }) => status },
                { name: 'Paid', cell: ({ paid }) => <Money of={paid} />, numeric: true },
                { name: 'At most', cell: ({ escrowed }) => <Money of={escrowed} />, numeric: true },
                { name: 'Settled', cell: ({ settled_at }) => <Time at={settled_at} />, by: ({ settled_at }) => settled_at },
                { name: 'Transaction', cell: ({ payment_transaction: name }) => (name === null ? '–' : <code title={name}>{name.slice(0, 10)}…</code>) },
              ]}
            />
            <Pager label="Jobs" offset={offset} limit={LIMIT} total={total} onMove={go} />
          </>
        )}
      </Loaded>
    </Card>
  );
}

function EachDay({ jobs }: { jobs: readonly schema.JobEarningsView[] }) {
  const days = byDay(jobs.map(({ settled_at, paid }) => ({ at: settled_at, amount: paid })), DAYS, new Date());
  return <Chart title="Earned each day" kind="bar" unit="USDC" labels={days.map(({ day }) => day)} series={[{ name: 'Earned', values: days.map(drawn) }]} />;
}
