import type { schema } from '@neurogrid/sdk';
import { Link } from 'react-router';

import { useApi } from '../../app/api';
import { Card, Stat, Stats } from '../../design/Card';
import { shortened } from '../../design/format';
import { Page } from '../../design/Page';
import { Meter, Money, Status, Time } from '../../design/parts';
import { Loaded } from '../../design/states';
import { Table } from '../../design/Table';
import { Earnings } from './Earnings';
import { Payouts } from './Payouts';
import { Stake } from './Stake';

/** What an account's machines do and earn, and what is at risk for them. */
export default function ProviderPage() {
  return (
    <Page title="Provider" lead="The machines that your wallet owns: what they are at, what they earn, and the stake behind them.">
      <Earnings />
      <Machines />
      <Leases />
      <div className="columns">
        <Stake />
        <Payouts />
      </div>
      <Prices />
    </Page>
  );
}

function Machines() {
  const resources = useApi<schema.ResourceListView>('/api/v1/provider/resources', { query: { limit: 100 }, every: 5000 });
  return (
    <Card title="Machines">
      <Loaded query={resources}>
        {(list) => (
          <Table
            caption="Machines"
            rows={list.resources}
            keyOf={({ id }) => id}
            empty="None is connected with this wallet. Start one whose owner is this account’s wallet (docs/provider-life.md)."
            columns={[
              { name: 'Node', cell: ({ id }) => <Link to={`/network/${encodeURIComponent(id)}`} title={id}>{shortened(id, 7)}</Link>, by: ({ id }) => id },
              { name: 'Status', cell: ({ status }) => <Status of={status} />, by: ({ status }) => status },
              { name: 'Hardware', cell: ({ specifications: has }) => (has.model === null ? `${has.cpu_cores} cores` : `${has.gpu_count} × ${has.model}`) },
              { name: 'GPUs taken', cell: ({ id, specifications: has }) => <Meter share={share(has.gpu_count, has.gpu_count_free)} label={`GPUs taken of ${id}`} /> },
              { name: 'Cores taken', cell: ({ id, specifications: has }) => <Meter share={share(has.cpu_cores, has.cpu_cores_free)} label={`Cores taken of ${id}`} /> },
              { name: 'Memory taken', cell: ({ id, specifications: has }) => <Meter share={share(has.ram_gb, has.ram_gb_free)} label={`Memory taken of ${id}`} /> },
              { name: 'Tasks', cell: ({ running_tasks }) => running_tasks, by: ({ running_tasks }) => running_tasks, numeric: true },
              { name: 'Score', cell: ({ performance_score: score }) => score?.toFixed(1) ?? '–', by: ({ performance_score }) => performance_score, numeric: true },
              { name: 'Heard', cell: ({ last_seen }) => <Time at={last_seen} />, by: ({ last_seen }) => last_seen },
            ]}
          />
        )}
      </Loaded>
      <p className="muted">A node’s own page has its reputation and what was found out about it. Its GPUs’ temperature and power are at the node: neurogrid-node status.</p>
    </Card>
  );
}

function share(all: number, free: number): number | null {
  return all > 0 ? (all - free) / all : null;
}

function Leases() {
  const tasks = useApi<schema.ProviderTaskListView>('/api/v1/provider/tasks', { query: { limit: 100 }, every: 5000 });
  return (
    <Card title="What they are at">
      <Loaded query={tasks}>
        {(list) => (
          <Table
            caption="Leases"
            rows={list.tasks}
            keyOf={({ lease_id }) => lease_id}
            empty="Nothing now. A machine gets work when it bids the best score: price, speed and reputation count."
            columns={[
              { name: 'Awarded', cell: ({ created_at }) => <Time at={created_at} />, by: ({ created_at }) => created_at },
              { name: 'Node', cell: ({ resource_id }) => <code title={resource_id}>{shortened(resource_id, 7)}</code>, by: ({ resource_id }) => resource_id },
              { name: 'Stage', cell: ({ status }) => (status === null ? '–' : <Status of={status} />), by: ({ status }) => status },
              { name: 'Progress', cell: ({ lease_id, progress }) => <Meter share={progress === null ? null : progress / 100} label={`Progress of ${lease_id}`} /> },
              { name: 'Ran', cell: ({ metered_seconds: ran }) => (ran === null ? '–' : `${ran.toFixed(0)} s`), by: ({ metered_seconds }) => metered_seconds, numeric: true },
              { name: 'Signed so far', cell: ({ promised }) => <Money of={promised} />, numeric: true },
              { name: 'At most', cell: ({ escrowed }) => <Money of={escrowed} />, numeric: true },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}

function Prices() {
  const gpus = useApi<schema.GpuStatusView>('/api/v1/analytics/gpus', { every: 10_000 });
  return (
    <Card title="The market’s GPUs now">
      <Loaded query={gpus}>
        {(of) => (
          <Stats>
            <Stat label="Offered" value={of.total} note={`${of.taken} taken`} />
            <Stat label="Busy" value={of.busy === null ? '–' : `${of.busy.toFixed(0)} %`} note="mean of those that tell" />
            <Stat label="Hottest" value={of.temperature_max === null ? '–' : `${of.temperature_max} °C`} />
            <Stat label="Power" value={of.power_watts === null ? '–' : `${of.power_watts.toFixed(0)} W`} note="together" />
          </Stats>
        )}
      </Loaded>
    </Card>
  );
}
