import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { client, useApi, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { CheckField, TextField } from '../../design/fields';
import { Page } from '../../design/Page';
import { Confirm, Copyable, Status, Time } from '../../design/parts';
import { ErrorNote, Loaded, Note } from '../../design/states';
import { Table } from '../../design/Table';
import { Deliveries } from './Deliveries';

const PATH = '/api/v1/webhooks';
const USUAL: readonly string[] = ['task.completed', 'task.failed'];

/** Addresses that are told of what happens, and whether they were. */
export default function WebhooksPage() {
  const webhooks = useApi<schema.WebhookListView>(PATH, { query: { limit: 100 }, every: 15_000 });
  const [chosen, choose] = useState<string | null>(null);
  return (
    <Page title="Webhooks" lead="The coordinator tells your address of what happens, signed, and again until it is heard.">
      <NewWebhook />
      <Card title="Your webhooks">
        <Loaded query={webhooks}>{(list) => <Webhooks list={list.webhooks} chosen={chosen} choose={choose} />}</Loaded>
      </Card>
      {chosen !== null && <Deliveries key={chosen} webhookId={chosen} />}
    </Page>
  );
}

interface ListProps {
  list: readonly schema.WebhookView[];
  chosen: string | null;
  choose: (id: string | null) => void;
}

function Webhooks({ list, chosen, choose }: ListProps) {
  const change = useChange(
    ({ id, act }: { id: string; act: 'test' | 'pause' | 'resume' | 'delete' }): Promise<unknown> => client.webhooks[act](id),
    PATH,
  );
  return (
    <>
      <ErrorNote error={change.error} />
      <Table
        caption="Webhooks"
        rows={list}
        keyOf={({ id }) => id}
        empty="There is none yet. Make one above, and test it: that sends a made-up event at once."
        columns={[
          { name: 'Address', cell: ({ url }) => <code>{url.slice(0, 80)}</code>, by: ({ url }) => url },
          { name: 'Told of', cell: ({ events }) => `${events.slice(0, 3).join(', ')}${events.length > 3 ? ` and ${events.length - 3} more` : ''}` },
          { name: 'State', cell: ({ state, reason }) => <span title={reason}><Status of={state} /></span>, by: ({ state }) => state },
          { name: 'Last heard', cell: ({ last_delivered_at }) => <Time at={last_delivered_at} />, by: ({ last_delivered_at }) => last_delivered_at },
          {
            name: 'Change',
            cell: ({ id, url, state }) => (
              <span className="buttons">
                <Button disabled={change.isPending} onClick={() => { change.mutate({ id, act: 'test' }); choose(id); }}>
                  Test
                </Button>
                <Button aria-pressed={chosen === id} onClick={() => { choose(chosen === id ? null : id); }}>
                  Deliveries
                </Button>
                <Button disabled={change.isPending} onClick={() => { change.mutate({ id, act: state === 'active' ? 'pause' : 'resume' }); }}>
                  {state === 'active' ? 'Pause' : 'Resume'}
                </Button>
                <Confirm title={`Delete ${url.slice(0, 80)}?`} action="Delete" onConfirm={() => { change.mutate({ id, act: 'delete' }); choose(null); }}>
                  <p>It is told of nothing any more, and its deliveries are forgotten. To keep events for later, pause it instead.</p>
                </Confirm>
              </span>
            ),
          },
        ]}
      />
    </>
  );
}

function NewWebhook() {
  const events = useApi<schema.WebhookEventListView>('/api/v1/webhook-events');
  const [url, setUrl] = useState('');
  const [chosen, setChosen] = useState(USUAL);
  const make = useChange(
    () => client.webhooks.create({ url: url.trim(), events: [...chosen] as schema.WebhookRequest['events'] }),
    PATH,
  );
  const isReady = /^https?:\/\/./.test(url.trim()) && chosen.length > 0 && !make.isPending;
  return (
    <Card title="New webhook">
      <form onSubmit={(event) => { event.preventDefault(); if (isReady) make.mutate(undefined, { onSuccess: () => { setUrl(''); } }); }}>
        <TextField label="Address" type="url" value={url} onChange={setUrl} hint="Such as https://example.com/neurogrid; on the public internet." />
        <details>
          <summary>Told of {chosen.join(', ') || 'nothing yet'}</summary>
          <Loaded query={events}>
            {(list) =>
              list.events.map(({ name, description }) => (
                <CheckField
                  key={name}
                  label={`${name}: ${description}`}
                  checked={chosen.includes(name)}
                  onChange={(on) => { setChosen(on ? [...chosen, name] : chosen.filter((each) => each !== name)); }}
                />
              ))
            }
          </Loaded>
        </details>
        <Button kind="main" type="submit" disabled={!isReady} busy={make.isPending}>
          Make the webhook
        </Button>
      </form>
      <ErrorNote error={make.error} />
      {make.data !== undefined && (
        <Note>
          <p>It is made. Copy what its deliveries are signed with now: it is not shown again.</p>
          <Copyable text={make.data.secret} label="the secret" />
          <Button kind="quiet" onClick={() => { make.reset(); }}>
            I have kept it
          </Button>
        </Note>
      )}
    </Card>
  );
}
