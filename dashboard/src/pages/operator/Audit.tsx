import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { useApi } from '../../app/api';
import { Card } from '../../design/Card';
import { SelectField, TextField } from '../../design/fields';
import { Pager } from '../../design/Pager';
import { Status, Time } from '../../design/parts';
import { Loaded } from '../../design/states';
import { Table } from '../../design/Table';

const LIMIT = 50;
const TYPES = [['', 'All'], ['api', 'Requests'], ['task', 'Tasks'], ['system', 'System']] as const;
const LEVELS = [['', 'All'], ['info', 'info'], ['warning', 'warning'], ['error', 'error']] as const;

/** Who has done what, of all accounts. Each row has the hash of the one before. */
export function Audit() {
  const [type, setType] = useState<(typeof TYPES)[number][0]>('');
  const [level, setLevel] = useState<(typeof LEVELS)[number][0]>('');
  const [account, setAccount] = useState('');
  const [offset, go] = useState(0);
  const query = {
    limit: LIMIT,
    offset,
    ...(type !== '' && { type }),
    ...(level !== '' && { level }),
    ...(account.trim() !== '' && { account_id: account.trim() }),
  };
  const logs = useApi<schema.AuditLogView>('/api/v1/operator/audit/logs', { query, every: 15_000 });
  return (
    <Card title="Audit log">
      <div className="form-grid">
        <SelectField label="Kind of row" value={type} onChange={(value) => { setType(value); go(0); }} options={TYPES} />
        <SelectField label="Level" value={level} onChange={(value) => { setLevel(value); go(0); }} options={LEVELS} />
        <TextField label="Account id" value={account} maxLength={64} onChange={(value) => { setAccount(value); go(0); }} hint="Empty: all." />
      </div>
      <Loaded query={logs}>
        {(list) => (
          <>
            <Table
              caption="Audit log"
              rows={list.logs}
              keyOf={({ id }) => String(id)}
              empty="Nothing is so. Choose other filters."
              columns={[
                { name: 'When', cell: ({ timestamp }) => <Time at={timestamp} />, by: ({ timestamp }) => timestamp },
                { name: 'Kind', cell: ({ type: kind }) => kind, by: ({ type: kind }) => kind },
                { name: 'Level', cell: ({ level: of }) => <Status of={of} tone={of === 'info' ? 'plain' : of === 'warning' ? 'warn' : 'bad'} />, by: ({ level: of }) => of },
                { name: 'What', cell: ({ message }) => message.slice(0, 200) },
                { name: 'Account', cell: ({ account_id: id }) => (id === null ? '–' : <code title={id}>{id.slice(0, 12)}</code>) },
                { name: 'Details', cell: ({ details }) => <code>{JSON.stringify(details).slice(0, 160)}</code> },
                { name: 'Hash', cell: ({ hash }) => <code title={hash}>{hash.slice(0, 10)}</code> },
              ]}
            />
            <Pager label="Audit log" offset={offset} limit={LIMIT} total={list.metadata.filtered} onMove={go} />
          </>
        )}
      </Loaded>
    </Card>
  );
}
