import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { client, useApi, useChange } from '../../app/api';
import { useKey, type Role, type Scope } from '../../app/identity';
import { Button } from '../../design/Button';
import { Card, Facts } from '../../design/Card';
import { CheckField, SelectField, TextField } from '../../design/fields';
import { Page } from '../../design/Page';
import { Confirm, Copyable, Status, Time } from '../../design/parts';
import { Empty, ErrorNote, Loaded, Note } from '../../design/states';
import { Table } from '../../design/Table';

const PATH = '/api/v1/api-keys';
const LIVES: readonly (readonly [string, string])[] = [
  ['7776000', '90 days'],
  ['604800', '7 days'],
  ['86400', '1 day'],
  ['', 'As long as the key that is signed in'],
];
const SCOPES: readonly (readonly [Scope, string])[] = [
  ['read', 'read: look at everything of the account'],
  ['write', 'write: change things and spend money'],
  ['keys', 'keys: make, replace and revoke keys'],
];

/** The account's keys: made, replaced and revoked. */
export default function KeysPage() {
  const key = useKey();
  return (
    <Page title="API keys" lead="Give each program a key of its own, which may do no more than it needs: then one can be revoked without the others.">
      <Loaded query={key}>
        {(own) => (
          <>
            <Card title="Signed in with">
              <Facts
                of={[
                  ['Name', own.name],
                  ['Begins with', <code key="h">{own.hint}</code>],
                  ['May', own.scopes.join(', ')],
                  ['Acts as', own.roles.join(', ')],
                  ['Ends', own.expires_at === null ? 'never' : <Time key="t" at={own.expires_at} />],
                ]}
              />
            </Card>
            {own.scopes.includes('keys') ? (
              <Keys may={own.scopes} acts={own.roles} />
            ) : (
              <Empty>This key may not look after keys. Sign in with one that has the scope “keys”, such as the account’s first.</Empty>
            )}
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Keys({ may, acts }: { may: readonly Scope[]; acts: readonly Role[] }) {
  const [all, setAll] = useState(false);
  const keys = useApi<schema.ApiKeyListView>(PATH, { query: { limit: 100, ...(!all && { state: 'active' }) } });
  const revoke = useChange((id: string) => client.apiKeys.revoke(id), PATH);
  return (
    <>
      <NewKey may={may} acts={acts} />
      <Card title="Keys" actions={<CheckField label="Also ended ones" checked={all} onChange={setAll} />}>
        <ErrorNote error={revoke.error} />
        <Loaded query={keys}>
          {(list) => (
            <Table
              caption="API keys"
              rows={list.api_keys}
              keyOf={({ id }) => id}
              columns={[
                { name: 'Name', cell: ({ name, current }) => (current ? `${name} (signed in)` : name), by: ({ name }) => name },
                { name: 'Begins with', cell: ({ hint }) => <code>{hint}</code> },
                { name: 'Kind', cell: ({ kind }) => kind.replace('_', ' '), by: ({ kind }) => kind },
                { name: 'May', cell: ({ scopes }) => scopes.join(', ') },
                { name: 'Acts as', cell: ({ roles }) => roles.join(', ') },
                { name: 'State', cell: ({ state }) => <Status of={state} />, by: ({ state }) => state },
                { name: 'Made', cell: ({ created_at }) => <Time at={created_at} />, by: ({ created_at }) => created_at },
                { name: 'Ends', cell: ({ expires_at }) => (expires_at === null ? 'never' : <Time at={expires_at} />), by: ({ expires_at }) => expires_at },
                { name: 'Last used', cell: ({ last_used_at }) => <Time at={last_used_at} />, by: ({ last_used_at }) => last_used_at },
                {
                  name: 'Change',
                  cell: ({ id, name, state, current }) =>
                    state === 'active' && (
                      <Confirm title={`Revoke ${name}?`} action="Revoke" onConfirm={() => { revoke.mutate(id); }}>
                        <p>Programs that use it are refused from now on. {current && 'You are signed in with it, and will be signed out. '}This can’t be undone.</p>
                      </Confirm>
                    ),
                },
              ]}
            />
          )}
        </Loaded>
      </Card>
    </>
  );
}

function NewKey({ may, acts }: { may: readonly Scope[]; acts: readonly Role[] }) {
  const [name, setName] = useState('');
  const [life, setLife] = useState('7776000');
  const [scopes, setScopes] = useState<readonly Scope[]>(['read', 'write']);
  const [roles, setRoles] = useState<readonly Role[]>(acts.filter((role) => role !== 'operator'));
  const make = useChange(
    () =>
      client.apiKeys.create({
        name: name.trim(),
        scopes: scopes.filter((scope) => may.includes(scope)),
        roles: [...roles],
        ...(life !== '' && { expires_in_seconds: Number(life) }),
      }),
    PATH,
  );
  const isReady = name.trim() !== '' && scopes.length > 0 && roles.length > 0 && !make.isPending;
  return (
    <Card title="New key">
      <form onSubmit={(event) => { event.preventDefault(); if (isReady) make.mutate(undefined, { onSuccess: () => { setName(''); } }); }}>
        <div className="form-grid">
          <TextField label="Name" value={name} maxLength={100} onChange={setName} hint="What it is for, such as “nightly training”." />
          <SelectField label="Ends after" value={life} onChange={setLife} options={LIVES} />
          <fieldset>
            <legend>It may</legend>
            {SCOPES.filter(([scope]) => may.includes(scope)).map(([scope, text]) => (
              <CheckField key={scope} label={text} checked={scopes.includes(scope)} onChange={(on) => { setScopes(toggled(scopes, scope, on)); }} />
            ))}
          </fieldset>
          <fieldset>
            <legend>It acts as</legend>
            {acts.map((role) => (
              <CheckField key={role} label={role} checked={roles.includes(role)} onChange={(on) => { setRoles(toggled(roles, role, on)); }} />
            ))}
          </fieldset>
        </div>
        <Button kind="main" type="submit" disabled={!isReady} busy={make.isPending}>
          Make the key
        </Button>
      </form>
      <ErrorNote error={make.error} />
      {make.data !== undefined && (
        <Note>
          <p>“{make.data.name}” is made. Copy it now: it is not shown again.</p>
          <Copyable text={make.data.secret ?? ''} label="the new key" />
          <Button kind="quiet" onClick={() => { make.reset(); }}>
            I have kept it
          </Button>
        </Note>
      )}
    </Card>
  );
}

function toggled<T>(list: readonly T[], one: T, on: boolean): readonly T[] {
  return on ? [...list.filter((each) => each !== one), one] : list.filter((each) => each !== one);
}
