import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';
import { Link } from 'react-router';

import { client, useApi, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { Page } from '../../design/Page';
import { Pager } from '../../design/Pager';
import { Confirm, Meter, Money, Status, Time } from '../../design/parts';
import { ErrorNote, Loaded } from '../../design/states';
import { Table } from '../../design/Table';
import { download } from '../billing/download';

const PATH = '/api/v1/batches';
const LIMIT = 25;

/** Many tasks that were handed in together, and how far they are. */
export default function BatchesPage() {
  const [offset, go] = useState(0);
  const [chosen, choose] = useState<string | null>(null);
  const batches = useApi<schema.BatchListView>(PATH, { query: { limit: LIMIT, offset } });
  return (
    <Page title="Batches" lead="Many tasks that were handed in together: by POST /api/v1/batches, the SDKs, or OpenAI’s batches.">
      <Card title="Your batches">
        <Loaded query={batches}>
          {(list) => (
            <>
              <Batches list={list.batches} chosen={chosen} choose={choose} />
              <Pager label="Batches" offset={offset} limit={LIMIT} total={list.total} onMove={go} />
            </>
          )}
        </Loaded>
      </Card>
      {chosen !== null && <Tasks key={chosen} batchId={chosen} />}
    </Page>
  );
}

interface ListProps {
  list: readonly schema.BatchView[];
  chosen: string | null;
  choose: (id: string | null) => void;
}

function Batches({ list, chosen, choose }: ListProps) {
  const change = useChange(({ id, act }: { id: string; act: 'cancel' | 'retry' }) => client.batches[act](id), PATH, '/api/v1/tasks');
  const keep = useChange(async (id: string) => { download(await (await client.batches.results(id)).blob(), `${id}.jsonl`); });
  return (
    <>
      <ErrorNote error={change.error ?? keep.error} />
      <Table
        caption="Batches"
        rows={list}
        keyOf={({ id }) => id}
        empty="There is none yet. The page “Submit” takes single tasks; docs/batches.md says how to hand in many."
        columns={[
          { name: 'Made', cell: ({ created_at }) => <Time at={created_at} />, by: ({ created_at }) => created_at },
          { name: 'Name', cell: ({ id, name }) => <span title={id}>{name.slice(0, 60) || id}</span>, by: ({ name }) => name },
          { name: 'State', cell: ({ status, cancelling }) => <Status of={cancelling ? 'cancelling' : status} />, by: ({ status }) => status },
          { name: 'Done', cell: ({ id, progress: of }) => <Meter share={of.total === 0 ? null : (of.total - of.pending - of.running) / of.total} label={`Done of ${id}`} /> },
          { name: 'Failed', cell: ({ progress }) => progress.failed, by: ({ progress }) => progress.failed, numeric: true },
          { name: 'Tasks', cell: ({ progress }) => progress.total, by: ({ progress }) => progress.total, numeric: true },
          { name: 'Cost', cell: ({ cost_usdc }) => <Money of={cost_usdc} />, numeric: true },
          { name: 'At most', cell: ({ most_usdc }) => <Money of={most_usdc} />, numeric: true },
          {
            name: 'More',
            cell: ({ id, name, status, progress }) => (
              <span className="buttons">
                <Button aria-pressed={chosen === id} onClick={() => { choose(chosen === id ? null : id); }}>
                  Tasks
                </Button>
                {status === 'completed' || status === 'failed' ? (
                  <Button disabled={keep.isPending} onClick={() => { keep.mutate(id); }}>
                    Results
                  </Button>
                ) : (
                  <Confirm title={`Cancel ${name.slice(0, 60) || id}?`} action="Cancel" onConfirm={() => { change.mutate({ id, act: 'cancel' }); }}>
                    <p>What has not ended is ended now; what ran until then is paid.</p>
                  </Confirm>
                )}
                {progress.failed > 0 && status !== 'running' && (
                  <Button disabled={change.isPending} onClick={() => { change.mutate({ id, act: 'retry' }); }}>
                    Run failed ones again
                  </Button>
                )}
              </span>
            ),
          },
        ]}
      />
    </>
  );
}

function Tasks({ batchId }: { batchId: string }) {
  const [offset, go] = useState(0);
  const tasks = useApi<schema.BatchTaskListView>(`${PATH}/${encodeURIComponent(batchId)}/tasks`, { query: { limit: LIMIT, offset } });
  return (
    <Card title="Its tasks">
      <Loaded query={tasks}>
        {(list) => (
          <>
            <Table
              caption="Tasks of the batch"
              rows={list.tasks}
              keyOf={({ id }) => id}
              columns={[
                { name: 'Id', cell: ({ id, task_id: task }) => (task === null ? id : <Link to={`/tasks/${encodeURIComponent(task)}`}>{id}</Link>), by: ({ id }) => id },
                { name: 'State', cell: ({ status }) => <Status of={status} />, by: ({ status }) => status },
                { name: 'Tries', cell: ({ attempts }) => attempts, by: ({ attempts }) => attempts, numeric: true },
                { name: 'Cost', cell: ({ cost_usdc }) => <Money of={cost_usdc} />, numeric: true },
                { name: 'Wrong', cell: ({ error }) => (error === null ? '–' : error.message.slice(0, 160)) },
                { name: 'Ended', cell: ({ completed_at }) => <Time at={completed_at} />, by: ({ completed_at }) => completed_at },
              ]}
            />
            <Pager label="Tasks of the batch" offset={offset} limit={LIMIT} total={list.total} onMove={go} />
          </>
        )}
      </Loaded>
    </Card>
  );
}
