import type { schema } from '@neurogrid/sdk';

import { client, useApi, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { Money, Time } from '../../design/parts';
import { ErrorNote, Loaded } from '../../design/states';
import { Table } from '../../design/Table';
import { download } from './download';

/** One for each month that paid anything. */
export function Invoices() {
  const invoices = useApi<schema.InvoiceListView>('/api/v1/billing/invoices', { query: { limit: 100 } });
  const keep = useChange(async ({ id, number }: schema.InvoiceView) => { download(await client.billing.invoicePdf(id), `neurogrid-invoice-${number}.pdf`); });
  return (
    <Card title="Invoices">
      <ErrorNote error={keep.error} />
      <Loaded query={invoices}>
        {(list) => (
          <Table
            caption="Invoices"
            rows={list.invoices}
            keyOf={({ id }) => id}
            empty="There is none yet: a month’s is written when the month is over."
            columns={[
              { name: 'Number', cell: ({ number }) => number, by: ({ number }) => number, numeric: true },
              { name: 'Of', cell: ({ period_start, period_end }) => `${period_start.slice(0, 10)} to ${period_end.slice(0, 10)}`, by: ({ period_start }) => period_start },
              { name: 'Issued', cell: ({ issued_at }) => <Time at={issued_at} />, by: ({ issued_at }) => issued_at },
              { name: 'Lines', cell: ({ line_count }) => line_count, numeric: true },
              { name: 'Total', cell: ({ total }) => <Money of={total} />, numeric: true },
              { name: 'PDF', cell: (invoice) => <Button disabled={keep.isPending} aria-label={`Keep invoice ${invoice.number} as PDF`} onClick={() => { keep.mutate(invoice); }}>PDF</Button> },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}
