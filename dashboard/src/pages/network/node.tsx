import './network.css';

import type { schema } from '@neurogrid/sdk';
import { Link, useParams } from 'react-router';

import { useApi } from '../../app/api';
import { Card, Facts, Stat, Stats } from '../../design/Card';
import { bytes, duration, percent, shortened } from '../../design/format';
import { Page } from '../../design/Page';
import { Copyable, Meter, Money, Status, Time } from '../../design/parts';
import { Loaded } from '../../design/states';
import { Table } from '../../design/Table';
import { hardware, memoryLoad } from './nodes';

/** One node: what it has, how it does, and what was found out about it. */
export default function NodePage() {
  const { nodeId = '' } = useParams();
  const path = `/api/v1/nodes/${encodeURIComponent(nodeId)}`;
  const node = useApi<schema.NodeDetailView>(path, { every: 5000 });
  const reputation = useApi<schema.ReputationView>(`${path}/reputation`, { query: { limit: 100 }, every: 30_000 });
  const evidence = useApi<schema.EvidenceListView>(`${path}/evidence`, { every: 30_000 });
  return (
    <Page title={`Node ${shortened(nodeId, 7)}`} actions={<Link className="button" to="/network">All nodes</Link>}>
      <Loaded query={node}>{(of) => <Machine of={of} />}</Loaded>
      <Loaded query={reputation}>{(of) => <Reputation of={of} />}</Loaded>
      <Loaded query={evidence}>{(of) => <Evidence of={of.evidence} />}</Loaded>
    </Page>
  );
}

function Machine({ of }: { of: schema.NodeDetailView }) {
  const gpu = of.gpu_info;
  return (
    <>
      <Stats>
        <Stat label="Status" value={<Status of={of.status} />} note={of.accepting ? 'takes new work' : 'takes no new work'} />
        <Stat label="Load" value={percent(of.current_load)} note="of its processors" />
        <Stat label="Tasks completed" value={of.total_tasks_completed} note="for this coordinator" />
        <Stat label="Earned" value={<Money of={of.earnings.total} />} note={<>30 days: <Money of={of.earnings.last_30_days} /></>} />
        <Stat label="Connected for" value={of.uptime} />
      </Stats>
      <div className="columns">
        <Card title="Machine">
          <Facts
            of={[
              ['Hardware', hardware(of)],
              ['GPUs', of.gpu_count === 0 ? 'None' : `${of.gpu_count_free} of ${of.gpu_count} free`],
              ...(gpu === null ? [] : ([['Compute capability', gpu.compute_capability || '–']] as const)),
              ['Processors', `${of.cpu_cores_free} of ${of.cpu_cores} cores free`],
              ['Memory', `${bytes(1e9 * of.ram_gb_free)} of ${bytes(1e9 * of.ram_gb)} free`],
              ['Memory taken', <Meter key="m" share={memoryLoad(of)} label="Memory taken" />],
              ['Disk', `${bytes(1e9 * of.storage_gb_free)} of ${bytes(1e9 * of.storage_gb)} free`],
              ['Region, as its owner says', of.region],
              ['Price from, per hour', <Money key="p" of={of.price_per_hour} />],
              ['A job’s disk limit', of.enforcement === 'hard' ? 'The file system’s own' : of.enforcement === 'watched' ? 'Measured' : of.enforcement],
              ['Software', of.software],
              ['Heard of', <Time key="t" at={of.last_seen} />],
            ]}
          />
        </Card>
        <Card title="Who it is">
          <Facts
            of={[
              ['Node id', <Copyable key="i" text={of.id} shown={shortened(of.id, 9)} label="the node's id" />],
              ['Owner’s wallet', <Copyable key="w" text={of.owner} shown={shortened(of.owner, 9)} label="the owner's wallet" />],
              ['What it says of itself', of.summary || '–'],
              [
                'Starts',
                of.start_factor === null ? '–' : of.start_factor === 1 ? 'As soon as it says' : `Taking ${of.start_factor} times as long as it says`,
              ],
            ]}
          />
        </Card>
      </div>
    </>
  );
}

function Reputation({ of }: { of: schema.ReputationView }) {
  return (
    <Card title="Reputation">
      {of.suspended && <Status of="suspended" />}
      <p>
        {of.suspended
          ? 'It was proven wrong twice within a short time, and is asked for nothing.'
          : 'The score moves only by what this coordinator has verified itself; what was found out counts half as much after each '}
        {!of.suspended && `${duration(of.half_life_days * 86_400)}.`}
      </p>
      <Stats>
        <Stat label="Score" value={of.performance_score.toFixed(1)} note={`a newcomer has ${(of.neutral_score / 10).toFixed(1)}`} />
        <Stat label="Verified" value={of.verified_share === null ? '–' : percent(of.verified_share)} note="of its completed runs" />
        <Stat label="Stake" value={of.stake === null ? '–' : <Money of={of.stake} />} note="at risk on the chain" />
      </Stats>
      <Table
        caption="Findings"
        rows={of.findings.map((finding, index) => ({ ...finding, key: `${finding.at} ${index}` }))}
        keyOf={({ key }) => key}
        empty="Nothing has been found out about it yet: that comes with the tasks it runs."
        columns={[
          { name: 'When', cell: ({ at }) => <Time at={at} />, by: ({ at }) => at },
          { name: 'Finding', cell: ({ kind, outcome }) => [kind.replaceAll('_', ' '), outcome].filter(Boolean).join(': '), by: ({ kind }) => kind },
          { name: 'Why', cell: ({ reason }) => reason || '–' },
          { name: 'Effect', cell: ({ effect, scored }) => (scored ? `${effect > 0 ? '+' : ''}${effect}` : 'does not count'), by: ({ effect }) => effect, numeric: true },
          { name: 'Remembered', cell: ({ remembered }) => percent(remembered), by: ({ remembered }) => remembered, numeric: true },
        ]}
      />
      {of.total > of.findings.length && <p className="muted">The newest {of.findings.length} of {of.total}.</p>}
    </Card>
  );
}

function Evidence({ of }: { of: readonly schema.EvidenceView[] }) {
  return (
    <Card title="Evidence about its hardware">
      <p className="muted">Public: anybody can check it, without a key.</p>
      <Table
        caption="Evidence"
        rows={of.map((each, index) => ({ ...each, key: `${each.at} ${index}` }))}
        keyOf={({ key }) => key}
        empty="None: it was not challenged yet, and no other node offers the same GPU."
        columns={[
          { name: 'When', cell: ({ at }) => <Time at={at} />, by: ({ at }) => at },
          { name: 'What', cell: ({ kind }) => kind.replaceAll('_', ' '), by: ({ kind }) => kind },
          { name: 'Details', cell: ({ details }) => <code>{JSON.stringify(details).slice(0, 300)}</code> },
        ]}
      />
    </Card>
  );
}
