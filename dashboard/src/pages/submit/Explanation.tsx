import type { schema } from '@neurogrid/sdk';

import { Card, Stat, Stats } from '../../design/Card';
import { duration, shortened } from '../../design/format';
import { Money } from '../../design/parts';
import { Loaded } from '../../design/states';
import { Table } from '../../design/Table';
import { useAsked } from './asking';

// A node may have many reasons, and a market many nodes.
const SHOWN_MAX = 50;

/** What it would cost now. */
export function Estimate({ request }: { request: schema.TaskRequest }) {
  const query = useAsked<schema.EstimateView>('/api/v1/match/estimate', request);
  return (
    <Card title="What it would cost">
      <Loaded query={query} what="Asking the market">
        {(of) => (
          <>
            <p>{of.summary}</p>
            <Stats>
              <Stat label="Expected in all" value={<Money of={of.total?.expected} />} note={<>at most <Money of={of.max_cost} /></>} />
              <Stat label="Per hour" value={<Money of={of.price_per_hour?.expected} />} />
              <Stat label="Nodes that could" value={`${of.suitable} of ${of.nodes}`} />
              <Stat label="Begins after" value={of.start_seconds === null ? '–' : duration(of.start_seconds)} />
              <Stat label="Free balance" value={<Money of={of.balance.available} />} note={of.balance.enough ? 'enough' : 'not enough: add funds'} />
            </Stats>
          </>
        )}
      </Loaded>
    </Card>
  );
}

/** Who could run it, and what is in the way of the others. */
export function Explanation({ request }: { request: schema.TaskRequest }) {
  const query = useAsked<schema.ExplanationView>('/api/v1/match/explain', request);
  return (
    <Card title="Who could run it">
      <Loaded query={query} what="Asking the market">
        {(of) => (
          <>
            <p>{of.summary}</p>
            {of.relaxation !== null && (
              <p>
                <strong>What would help:</strong> change <code>{of.relaxation.constraint}</code>, and {of.relaxation.nodes} nodes could.
              </p>
            )}
            <Table
              caption="What each condition leaves"
              rows={of.survivors.map((row, place) => ({ ...row, place }))}
              keyOf={({ place }) => String(place)}
              columns={[
                { name: 'Condition', cell: (row) => <code>{row.constraint}</code> },
                { name: 'Nodes left', cell: (row) => row.left, numeric: true },
              ]}
              empty="There is no condition."
            />
            {of.nearest.length > 0 && (
              <Table
                caption="Nodes that could not"
                rows={of.nearest.slice(0, SHOWN_MAX)}
                keyOf={(row) => row.node_id}
                columns={[
                  { name: 'Node', cell: (row) => <span title={row.node_id}>{shortened(row.node_id)}</span> },
                  { name: 'What is in the way', cell: (row) => row.reasons.slice(0, SHOWN_MAX).join('; ') },
                ]}
              />
            )}
          </>
        )}
      </Loaded>
    </Card>
  );
}
