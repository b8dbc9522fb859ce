import './network.css';

import { lazy, Suspense, useCallback, useState } from 'react';
import { Link, useSearchParams } from 'react-router';

import { useApi } from '../../app/api';
import { useEvents, type LiveEvent } from '../../app/live';
import { Card, Stat, Stats } from '../../design/Card';
import { CheckField, SelectField, TextField } from '../../design/fields';
import { duration, percent, shortened } from '../../design/format';
import { Page } from '../../design/Page';
import { Pager } from '../../design/Pager';
import { Meter, Money, Status, Time } from '../../design/parts';
import { Loaded, Loading } from '../../design/states';
import { Table, type Column } from '../../design/Table';
import { counted, filtered, hardware, load, memoryLoad, placed, price, type Node, type Which } from './nodes';

const WorldMap = lazy(() => import('./WorldMap'));
// The most that one answer has.
const LIMIT = 100;
const WHICH: readonly (readonly [Which, string])[] = [
  ['all', 'All'],
  ['online', 'Online'],
  ['busy', 'Busy'],
  ['offline', 'Offline'],
];

interface NodeList {
  nodes: Node[];
  total: number;
  limit: number;
  offset: number;
}

interface MarketFigures {
  total_nodes: number;
  active_nodes: number;
  total_tasks_today: number;
  average_response_time: number;
  network_uptime: number;
  total_compute_hours: number;
}

/** Who offers what, where, and how much of it is taken now. */
export default function NetworkPage() {
  const [params] = useSearchParams();
  const offset = wholeNumber(params.get('from'));
  const which = whichOf(params);
  // Comings and goings are told by events; how much is taken, only by asking.
  const nodes = useApi<NodeList>('/api/v1/nodes', {
    query: { limit: LIMIT, offset, status: which === 'all' ? null : which },
    every: 10_000,
    keep: true,
  });
  return (
    <Page title="Network" lead="The machines that offer compute here, and how much of it jobs have taken.">
      <Figures />
      <Loaded query={nodes} what="Looking for nodes">
        {(list) => (
          <>
            <Where nodes={list.nodes} />
            <Nodes list={list} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

/** An offset of the address; what is none is the beginning. */
function wholeNumber(text: string | null): number {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : 0;
}

function whichOf(params: URLSearchParams): Which {
  return WHICH.find(([value]) => value === params.get('status'))?.[0] ?? 'all';
}

function Figures() {
  const figures = useApi<MarketFigures>('/api/v1/analytics/stats', { every: 30_000 });
  const pulse = usePulse();
  return (
    <Loaded query={figures} what="Counting">
      {(of) => (
        <Stats>
          <Stat label="Nodes connected" value={of.active_nodes} note={`of ${of.total_nodes} known`} />
          <Stat label="Tasks running" value={pulse?.active_tasks ?? '–'} note="of all accounts, now" />
          <Stat label="GPUs taken" value={pulse === null ? '–' : percent(pulse.gpu_utilization / 100)} note="of those offered" />
          <Stat label="Tasks today" value={of.total_tasks_today} note="since midnight, UTC" />
          <Stat label="Time to start" value={duration(of.average_response_time)} note="mean of 24 hours" />
          <Stat label="Kept leases" value={`${of.network_uptime.toFixed(1)} %`} note="of 30 days" />
        </Stats>
      )}
    </Loaded>
  );
}

interface Pulse {
  active_tasks: number;
  gpu_utilization: number;
}

/** What the coordinator says of the market every five seconds. */
function usePulse(): Pulse | null {
  const [pulse, setPulse] = useState<Pulse | null>(null);
  useEvents(
    useCallback((event: LiveEvent) => {
      const metrics = event.metrics as Partial<Pulse> | undefined;
      if (event.type !== 'heartbeat' || typeof metrics?.active_tasks !== 'number') return;
      setPulse({ active_tasks: metrics.active_tasks, gpu_utilization: metrics.gpu_utilization ?? 0 });
    }, []),
  );
  return pulse;
}

function Where({ nodes }: { nodes: readonly Node[] }) {
  const { spots, elsewhere } = placed(nodes);
  return (
    <Card title="Where they are">
      <Suspense fallback={<Loading what="Drawing the map" />}>
        <WorldMap spots={spots} />
      </Suspense>
      {elsewhere.length > 0 && (
        <p className="muted">
          Not on the map, because their region is no place that we know:{' '}
          {elsewhere.map(([region, count]) => `${region} (${count})`).join(', ')}. Regions are what owners say of their nodes.
        </p>
      )}
    </Card>
  );
}

const COLUMNS: readonly Column<Node>[] = [
  {
    name: 'Node',
    cell: (node) => (
      <Link className="node-id" to={`/network/${encodeURIComponent(node.id)}`} title={node.id}>
        {shortened(node.id, 7)}
      </Link>
    ),
    by: (node) => node.id,
  },
  { name: 'Status', cell: (node) => <Status of={node.status} />, by: (node) => node.status },
  { name: 'Region', cell: (node) => node.region, by: (node) => node.region },
  { name: 'Hardware', cell: hardware, by: hardware },
  {
    name: 'GPUs free',
    cell: (node) => (node.gpu_count > 0 ? `${node.gpu_count_free} of ${node.gpu_count}` : '–'),
    by: (node) => node.gpu_count_free,
    numeric: true,
  },
  { name: 'Load', cell: (node) => <Meter share={load(node)} label={`Load of ${node.id}`} />, by: load },
  { name: 'Memory', cell: (node) => <Meter share={memoryLoad(node)} label={`Memory taken of ${node.id}`} />, by: memoryLoad },
  { name: 'From, per hour', cell: (node) => <Money of={node.price_per_hour} />, by: price, numeric: true },
  {
    name: 'Score',
    cell: (node) => (node.performance_score === null ? '–' : node.performance_score.toFixed(1)),
    by: (node) => node.performance_score,
    numeric: true,
  },
  { name: 'Heard', cell: (node) => <Time at={node.last_seen} />, by: (node) => node.last_seen },
];

function Nodes({ list }: { list: NodeList }) {
  const [params, setParams] = useSearchParams();
  const text = params.get('q') ?? '';
  const which = whichOf(params);
  const onlyGpus = params.get('gpu') === '1';
  const set = (name: string, value: string): void => {
    setParams(
      (before) => {
        if (value === '') before.delete(name);
        else before.set(name, value);
        if (name !== 'from') before.delete('from');
        return before;
      },
      { replace: true },
    );
  };
  const shown = filtered(list.nodes, { text, which, onlyGpus });
  return (
    <Card title="Nodes">
      <div className="form-grid" role="search" aria-label="Nodes">
        <TextField label="Find" type="search" value={text} onChange={(value) => { set('q', value); }} placeholder="GPU, region, id, owner" />
        <SelectField label="Status" value={which} options={WHICH} onChange={(value) => { set('status', value === 'all' ? '' : value); }} />
        <CheckField label="With a GPU" checked={onlyGpus} onChange={(checked) => { set('gpu', checked ? '1' : ''); }} />
      </div>
      <p role="status" className="muted">
        {shown.length === list.nodes.length ? counted(shown.length) : `${shown.length} of ${counted(list.nodes.length)}`}
      </p>
      <Table
        caption="Nodes"
        columns={COLUMNS}
        rows={shown}
        keyOf={(node) => node.id}
        sort={['Status', 'descending']}
        empty={
          list.nodes.length === 0 && which === 'all'
            ? 'No node is connected. On a devnet: neurogrid devnet up. Elsewhere the operator knows where nodes may connect.'
            : 'No node is so. Take something out of what you look for.'
        }
      />
      <Pager label="Nodes" offset={list.offset} limit={list.limit} total={list.total} onMove={(to) => { set('from', to === 0 ? '' : String(to)); }} />
    </Card>
  );
}
