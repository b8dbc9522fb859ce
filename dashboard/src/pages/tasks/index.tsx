import type { schema } from '@neurogrid/sdk';
import { Link, useSearchParams } from 'react-router';

import { client, useApi, useChange } from '../../app/api';
import { Card } from '../../design/Card';
import { SelectField, TextField } from '../../design/fields';
import { percent, shortened } from '../../design/format';
import { Page } from '../../design/Page';
import { Pager } from '../../design/Pager';
import { Confirm, Money, Status, Time } from '../../design/parts';
import { ErrorNote, Loaded } from '../../design/states';
import { Table } from '../../design/Table';

const LIMIT = 50;
const STATES = ['pending', 'running', 'completed', 'failed', 'cancelled'] as const;
const KINDS = ['container', 'model', 'operation', 'replica', 'use'] as const;

/** The account's tasks, newest first; what one looks for is in the address. */
export default function TasksPage() {
  const [address, setAddress] = useSearchParams();
  const said = (name: string): string => address.get(name) ?? '';
  const offset = Math.max(0, Number.parseInt(said('offset'), 10) || 0);
  const put = (name: string, value: string): void => {
    setAddress((now) => {
      if (value === '') now.delete(name);
      else now.set(name, value);
      if (name !== 'offset') now.delete('offset');
      return now;
    }, { replace: true });
  };
  const query = { limit: LIMIT, offset, status: said('status') || undefined, kind: said('kind') || undefined, name: said('name') || undefined };
  const tasks = useApi<schema.TaskListView>('/api/v1/tasks', { query, keep: true });
  const cancel = useChange((id: string) => client.tasks.cancel(id), '/api/v1/tasks');
  return (
    <Page title="Tasks" actions={<Link className="button main" to="/submit">Submit a task</Link>}>
      <Card title="Look for">
        <div className="form-grid">
          <SelectField label="Status" value={said('status')} onChange={(value) => { put('status', value); }} options={[['', 'Any'], ...STATES.map((each) => [each, each] as const)]} />
          <SelectField label="Kind" value={said('kind')} onChange={(value) => { put('kind', value); }} options={[['', 'Any'], ...KINDS.map((each) => [each, each] as const)]} />
          <TextField label="Name has" value={said('name')} maxLength={100} onChange={(value) => { put('name', value); }} />
        </div>
      </Card>
      <ErrorNote error={cancel.error} />
      <Loaded query={tasks}>
        {(of) => (
          <>
            <Table
              caption="Tasks"
              rows={of.tasks}
              keyOf={(task) => task.id}
              columns={[
                { name: 'Task', cell: (task) => <Link to={`/tasks/${task.id}`} title={task.id}>{task.name.slice(0, 60) || shortened(task.id)}</Link>, by: (task) => task.name },
                { name: 'Status', cell: (task) => <Status of={task.status} />, by: (task) => task.status },
                { name: 'Phase', cell: (task) => task.status === 'running' ? `${task.phase} ${percent(task.progress / 100)}` : task.phase },
                { name: 'Kind', cell: (task) => task.kind, by: (task) => task.kind },
                { name: 'Cost', cell: (task) => <Money of={task.cost_usdc} />, by: (task) => task.cost, numeric: true },
                { name: 'Node', cell: (task) => task.node_id === null ? '–' : <Link to={`/network/${task.node_id}`} title={task.node_id}>{shortened(task.node_id)}</Link> },
                { name: 'Submitted', cell: (task) => <Time at={task.created_at} />, by: (task) => task.created_at },
                {
                  name: 'Change',
                  cell: (task) => task.status !== 'pending' && task.status !== 'running' ? '' : (
                    <Confirm title={`Cancel ${task.name.slice(0, 60) || task.id}?`} action="Cancel" onConfirm={() => { cancel.mutate(task.id); }}>
                      <p>It ends now, and you pay for the time that it has taken.</p>
                    </Confirm>
                  ),
                },
              ]}
              empty={<>No task fits. <Link to="/submit">Submit one</Link>, or look for others.</>}
            />
            <Pager label="Tasks" offset={offset} limit={LIMIT} total={of.total} onMove={(to) => { put('offset', to === 0 ? '' : String(to)); }} />
          </>
        )}
      </Loaded>
    </Page>
  );
}
