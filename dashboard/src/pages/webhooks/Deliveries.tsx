import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { client, useApi, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { Status, Time } from '../../design/parts';
import { ErrorNote, Loaded } from '../../design/states';
import { Table } from '../../design/Table';

/** What a webhook was told of, how often that was tried, and what was answered. */
export function Deliveries({ webhookId }: { webhookId: string }) {
  const path = `/api/v1/webhooks/${encodeURIComponent(webhookId)}/deliveries`;
  const deliveries = useApi<schema.DeliveryListView>(path, { query: { limit: 50 }, every: 3000 });
  const again = useChange((id: string) => client.webhooks.redeliver(webhookId, id), path);
  const [chosen, choose] = useState<string | null>(null);
  return (
    <Card title="Deliveries">
      <ErrorNote error={again.error} />
      <Loaded query={deliveries}>
        {(list) => (
          <Table
            caption="Deliveries"
            rows={list.deliveries}
            keyOf={({ id }) => id}
            empty="It was told of nothing yet. Test it, or wait until something happens."
            columns={[
              { name: 'When', cell: ({ created_at }) => <Time at={created_at} />, by: ({ created_at }) => created_at },
              { name: 'Event', cell: ({ event }) => event, by: ({ event }) => event },
              { name: 'About', cell: ({ subject_id }) => <code>{subject_id.slice(0, 40)}</code> },
              { name: 'State', cell: ({ state }) => <Status of={state} />, by: ({ state }) => state },
              { name: 'Tries', cell: ({ attempts, attempts_max }) => `${attempts} of ${attempts_max}`, by: ({ attempts }) => attempts, numeric: true },
              { name: 'Next try', cell: ({ next_attempt_at }) => <Time at={next_attempt_at} /> },
              {
                name: 'More',
                cell: ({ id, state }) => (
                  <span className="buttons">
                    <Button aria-pressed={chosen === id} onClick={() => { choose(chosen === id ? null : id); }}>
                      Attempts
                    </Button>
                    <Button disabled={state === 'pending' || again.isPending} onClick={() => { again.mutate(id); }}>
                      Send again
                    </Button>
                  </span>
                ),
              },
            ]}
          />
        )}
      </Loaded>
      {chosen !== null && <Attempts path={`${path}/${encodeURIComponent(chosen)}`} />}
    </Card>
  );
}

function Attempts({ path }: { path: string }) {
  const delivery = useApi<schema.DeliveryDetailView>(path, { every: 3000 });
  return (
    <Loaded query={delivery}>
      {(of) => (
        <>
          <Table
            caption="Attempts"
            rows={of.log}
            keyOf={({ number }) => String(number)}
            empty="It was not tried yet."
            columns={[
              { name: 'Try', cell: ({ number }) => number, numeric: true },
              { name: 'When', cell: ({ at }) => <Time at={at} /> },
              { name: 'Took', cell: ({ took_ms }) => (took_ms === null ? '–' : `${took_ms} ms`), numeric: true },
              { name: 'Status', cell: ({ status }) => status ?? 'no answer', numeric: true },
              { name: 'Wrong', cell: ({ error }) => error.slice(0, 200) || '–' },
              { name: 'Said', cell: ({ answer }) => <code>{answer.slice(0, 200) || '–'}</code> },
            ]}
          />
          {of.body !== null && (
            <details>
              <summary>What is sent</summary>
              <pre className="table-scroll" tabIndex={0} aria-label="What is sent">{JSON.stringify(of.body, null, 2).slice(0, 20_000)}</pre>
            </details>
          )}
        </>
      )}
    </Loaded>
  );
}
