import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { client, useApi, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { CheckField, SelectField, TextField } from '../../design/fields';
import { Pager } from '../../design/Pager';
import { Status, Time } from '../../design/parts';
import { ErrorNote, Loaded } from '../../design/states';
import { Table } from '../../design/Table';

const PATH = '/api/v1/operator/errors';
const LIMIT = 25;
const SEVERITIES = [['', 'All'], ['high', 'high'], ['medium', 'medium'], ['low', 'low']] as const;

/** What went wrong, of all accounts, and what was done about it. */
export function Failures() {
  const [severity, setSeverity] = useState<(typeof SEVERITIES)[number][0]>('');
  const [all, setAll] = useState(false);
  const [offset, go] = useState(0);
  const [chosen, choose] = useState<string | null>(null);
  const query = { limit: LIMIT, offset, ...(severity !== '' && { severity }), ...(!all && { resolved: false }) };
  const failures = useApi<schema.FailureListView>(PATH, { query, every: 15_000 });
  const shown = failures.data?.errors.find(({ id }) => id === chosen);
  return (
    <Card title="Errors" actions={<CheckField label="Also settled ones" checked={all} onChange={(on) => { setAll(on); go(0); }} />}>
      <SelectField label="Severity" value={severity} onChange={(value) => { setSeverity(value); go(0); }} options={SEVERITIES} />
      <Loaded query={failures}>
        {(list) => (
          <>
            <Table
              caption="Errors"
              rows={list.errors}
              keyOf={({ id }) => id}
              empty="Nothing is open."
              columns={[
                { name: 'When', cell: ({ timestamp }) => <Time at={timestamp} />, by: ({ timestamp }) => timestamp },
                { name: 'Severity', cell: ({ severity: of }) => <Status of={of} tone={of === 'high' ? 'bad' : of === 'medium' ? 'warn' : 'plain'} />, by: ({ severity: of }) => of },
                { name: 'Code', cell: ({ code }) => <code>{code}</code>, by: ({ code }) => code },
                { name: 'What', cell: ({ message }) => message.slice(0, 160) },
                { name: 'Task', cell: ({ task_id: id }) => (id === null ? '–' : <code>{id.slice(0, 20)}</code>) },
                { name: 'Settled', cell: ({ resolved_at }) => <Time at={resolved_at} />, by: ({ resolved_at }) => resolved_at },
                { name: 'More', cell: ({ id }) => <Button aria-pressed={chosen === id} onClick={() => { choose(chosen === id ? null : id); }}>Look</Button> },
              ]}
            />
            <Pager label="Errors" offset={offset} limit={LIMIT} total={list.total} onMove={go} />
          </>
        )}
      </Loaded>
      {shown !== undefined && <Failure key={shown.id} of={shown} />}
    </Card>
  );
}

function Failure({ of }: { of: schema.FailureView }) {
  const [resolution, setResolution] = useState('');
  const resolve = useChange(() => client.operator.resolveError(of.id, resolution.trim()), PATH);
  const isReady = resolution.trim() !== '' && !resolve.isPending;
  return (
    <section className="note" aria-label="The error">
      <p>
        <strong>{of.code}</strong>: {of.message.slice(0, 2000)}
      </p>
      <pre className="table-scroll" tabIndex={0} aria-label="Where it went wrong">{(of.stack || JSON.stringify(of.context, null, 2)).slice(0, 20_000)}</pre>
      {of.resolution !== null ? (
        <p>What was done: {of.resolution}</p>
      ) : (
        <form onSubmit={(event) => { event.preventDefault(); if (isReady) resolve.mutate(); }}>
          <TextField label="What was done about it" value={resolution} maxLength={1000} onChange={setResolution} />
          <Button kind="main" type="submit" disabled={!isReady} busy={resolve.isPending}>
            Settle it
          </Button>
        </form>
      )}
      <ErrorNote error={resolve.error} />
    </section>
  );
}
