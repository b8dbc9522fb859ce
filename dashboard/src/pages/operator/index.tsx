import type { schema } from '@neurogrid/sdk';
import { Link } from 'react-router';
import { useState } from 'react';

import { useApi } from '../../app/api';
import { acts, useKey } from '../../app/identity';
import { Card, Facts, Stat, Stats } from '../../design/Card';
import { duration, percent, shortened } from '../../design/format';
import { Page } from '../../design/Page';
import { Pager } from '../../design/Pager';
import { Copyable, Status, Time } from '../../design/parts';
import { Loaded, Note } from '../../design/states';
import { Table } from '../../design/Table';
import { Audit } from './Audit';
import { Failures } from './Failures';

/** How the coordinator is, and what was done here, of all accounts. */
export default function OperatorPage() {
  return (
    <Page
      title="Operator"
      lead="The coordinator as a whole. What this page shows is of all accounts; keep the key that opens it apart."
      actions={<Link className="button" to="/keys">API keys</Link>}
    >
      <Health />
      <Failures />
      <Audit />
      <Accounts />
    </Page>
  );
}

function Health() {
  const status = useApi<schema.StatusView>('/api/v1/status', { every: 5000 });
  // Only of who is a client, too, because it is also of the account's own tasks.
  const isClient = acts(useKey().data, ['client']);
  const system = useApi<schema.MetricsView>('/api/v1/metrics', { every: 10_000, enabled: isClient });
  return (
    <Card title="Health">
      <Loaded query={status}>
        {(of) => (
          <>
            {of.differences > 0 && (
              <Note>
                <p>
                  {of.differences} {of.differences === 1 ? 'difference' : 'differences'} between the books and the chain. Compare them where the coordinator runs: <code>neurogrid-coordinator reconcile</code>.
                </p>
              </Note>
            )}
            <Stats>
              <Stat label="State" value={<Status of={of.status} />} note={`looked at ${new Date(of.last_health_check).toLocaleTimeString()}`} />
              <Stat label="Market" value={<Status of={of.market} tone={of.market === 'up' ? 'good' : 'bad'} />} note="the process that holds auctions" />
              <Stat label="Nodes" value={of.nodes ?? '–'} note="connected now" />
              <Stat label="Connections" value={of.connections} note={`${of.lease_streams} streams of leases`} />
              <Stat label="Differences" value={of.differences} note="between books and chain" />
              <Stat label="Up for" value={duration(of.uptime_seconds)} note={`version ${of.version}`} />
            </Stats>
            <div className="columns">
              <Table
                caption="Services"
                rows={Object.entries(of.services)}
                keyOf={([name]) => name}
                columns={[
                  { name: 'Service', cell: ([name]) => name, by: ([name]) => name },
                  { name: 'State', cell: ([, state]) => <Status of={state} />, by: ([, state]) => state },
                ]}
              />
              <Facts
                of={[
                  ['Network', of.network],
                  ...Object.entries(of.tasks).map(([name, count]) => [`Tasks ${name}`, count] as const),
                  ...Object.entries(of.refused).map(([name, count]) => [`Refused: ${name}`, count] as const),
                ]}
              />
            </div>
          </>
        )}
      </Loaded>
      {system.data !== undefined && (
        <Facts
          of={[
            ['Processors of the machine', percent(system.data.system.cpu_usage)],
            ['Memory of the machine', percent(system.data.system.memory_usage)],
            ['Connections to the API', system.data.system.active_connections],
          ]}
        />
      )}
    </Card>
  );
}

const LIMIT = 50;

function Accounts() {
  const [offset, go] = useState(0);
  const accounts = useApi<schema.AccountListView>('/api/v1/operator/accounts', { query: { limit: LIMIT, offset } });
  return (
    <Card title="Accounts">
      <Loaded query={accounts}>
        {(list) => (
          <>
            <Table
              caption="Accounts"
              rows={list.accounts}
              keyOf={({ id }) => id}
              columns={[
                { name: 'Name', cell: ({ name }) => name.slice(0, 60), by: ({ name }) => name },
                { name: 'Id', cell: ({ id }) => <Copyable text={id} label={`the id ${id}`} /> },
                { name: 'Wallet', cell: ({ wallet }) => <code title={wallet}>{shortened(wallet, 6)}</code> },
                { name: 'May act as', cell: ({ roles }) => roles.join(', ') },
                { name: 'Made', cell: ({ created_at }) => <Time at={created_at} />, by: ({ created_at }) => created_at },
              ]}
            />
            <Pager label="Accounts" offset={offset} limit={LIMIT} total={list.total} onMove={go} />
          </>
        )}
      </Loaded>
    </Card>
  );
}
