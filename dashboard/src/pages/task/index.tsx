import './task.css';

import type { schema } from '@neurogrid/sdk';
import { Link, useNavigate, useParams } from 'react-router';

import { client, useApi, useChange } from '../../app/api';
import { Card, Facts, Stat, Stats } from '../../design/Card';
import { duration, shortened } from '../../design/format';
import { Page } from '../../design/Page';
import { Confirm, Copyable, Meter, Money, Status, Time } from '../../design/parts';
import { ErrorNote, Loaded } from '../../design/states';
import { Table } from '../../design/Table';
import { lineOf } from '../submit/words';
import { Receipt } from '../../receipt/Receipt';
import { Bids } from './Bids';
import { Logs } from './Logs';
import { Outputs } from './Outputs';

const RUNNING_MS = 5000;
const DETAIL_CHARACTERS_MAX = 300;

/** One task: how it does, what it costs, who runs it and why, what it writes and leaves, and what is proven of it. */
export default function TaskPage() {
  const { taskId = '' } = useParams();
  const path = `/api/v1/tasks/${encodeURIComponent(taskId)}`;
  // Its cost grows without an event.
  const task = useApi<schema.TaskView>(path, { every: RUNNING_MS });
  const navigate = useNavigate();
  const cancel = useChange(() => client.tasks.cancel(taskId), '/api/v1/tasks');
  const hasEnded = task.data !== undefined && !['pending', 'running'].includes(task.data.status);
  const actions = (
    <>
      {task.data !== undefined && !hasEnded && (
        <Confirm title="Cancel this task?" action="Cancel" onConfirm={() => { cancel.mutate(); }}>
          <p>It ends now, and you pay for the time that it has taken.</p>
        </Confirm>
      )}
      {task.data?.kind === 'container' && (
        <button type="button" className="button" onClick={() => void navigate(`/submit?from=${encodeURIComponent(taskId)}`)}>Submit again</button>
      )}
      <Link className="button" to="/tasks">All tasks</Link>
    </>
  );
  return (
    <Page title={titleOf(task.data?.name ?? '', taskId)} actions={actions}>
      <ErrorNote error={cancel.error} />
      <Loaded query={task}>
        {(of) => (
          <>
            <State of={of} />
            <Bids taskId={of.id} />
            <Logs key={of.id} taskId={of.id} />
            <Outputs taskId={of.id} />
            <Costs of={of} />
            {hasEnded && of.leases.filter(({ paid }) => paid !== null).map(({ id }) => <Receipt key={id} taskId={of.id} leaseId={id} />)}
            <Timeline of={of} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function titleOf(name: string, taskId: string): string {
  return name === '' ? `Task ${shortened(taskId)}` : name.slice(0, 80);
}

function State({ of }: { of: schema.TaskView }) {
  return (
    <>
      <Stats>
        <Stat label="Status" value={<Status of={of.status} />} note={of.phase} />
        <Stat label="Progress" value={<Meter share={of.progress / 100} label="Progress" />} note={of.progress_note.slice(0, 100)} />
        <Stat label="Cost so far" value={<Money of={of.cost_usdc} />} note={<>at most <Money of={of.max_cost} /></>} />
        <Stat label="Exit code" value={of.exit_code ?? '–'} />
        <Stat label="Paid" value={of.settled ? 'settled' : 'open'} />
      </Stats>
      {of.error !== null && (
        <div className="note bad" role="alert">
          <p>{of.error.message.slice(0, 2000)}</p>
          <p>{of.error.advice}</p>
          <p className="muted">{of.error.code}</p>
        </div>
      )}
      {of.explanation !== null && <p>{of.explanation}</p>}
      <Card title="Task">
        <Facts
          of={[
            ['Id', <Copyable key="i" text={of.id} label="the task's id" />],
            ['Image', <code key="m">{of.docker_image}</code>],
            ['Command', <code key="c">{lineOf(of.command).slice(0, 2000) || '–'}</code>],
            ['Where', of.constraints || 'anywhere'],
            ['Node', of.node_id === null ? '–' : <Link key="n" to={`/network/${of.node_id}`}>{shortened(of.node_id)}</Link>],
            ['Submitted', <Time key="s" at={of.created_at} />],
            ['Begun', <Time key="b" at={of.started_at} />],
            ['Ended', <Time key="e" at={of.completed_at} />],
            ['Time limit', duration(of.timeout_seconds)],
          ]}
        />
      </Card>
    </>
  );
}

function Costs({ of }: { of: schema.TaskView }) {
  return (
    <Card title="Costs">
      <Table
        caption="Leases"
        rows={of.leases}
        keyOf={({ id }) => id}
        columns={[
          { name: 'Lease', cell: ({ id }) => <span title={id}>{shortened(id)}</span> },
          { name: 'Per hour', cell: (lease) => <Money of={lease.price_per_hour} />, numeric: true },
          { name: 'At most', cell: (lease) => <Money of={lease.max_cost} />, numeric: true },
          { name: 'Paid', cell: (lease) => <Money of={lease.paid} />, numeric: true },
          { name: 'Settlement', cell: (lease) => lease.settlement },
          {
            name: 'Transaction',
            cell: ({ transaction }) => transaction === null ? '–' : <Copyable text={transaction} shown={shortened(transaction)} label="the transaction" />,
          },
        ]}
        empty="No node has taken it yet, so it has cost nothing."
      />
    </Card>
  );
}

function Timeline({ of }: { of: schema.TaskView }) {
  return (
    <Card title="Timeline">
      <Table
        caption="Timeline"
        rows={of.timeline.map((each, place) => ({ ...each, place }))}
        keyOf={({ place }) => String(place)}
        columns={[
          { name: 'When', cell: ({ at }) => <Time at={at} /> },
          { name: 'What', cell: ({ event }) => event },
          { name: 'Details', cell: ({ data }) => <div className="wrap">{detail(data)}</div> },
        ]}
      />
    </Card>
  );
}

function detail(data: Readonly<Record<string, unknown>>): string {
  const text = Object.entries(data).map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`).join(', ');
  return text.length <= DETAIL_CHARACTERS_MAX ? text : `${text.slice(0, DETAIL_CHARACTERS_MAX)}…`;
}
