import type { schema } from '@neurogrid/sdk';

import { useApi } from '../../app/api';
import { Card } from '../../design/Card';
import { duration, shortened } from '../../design/format';
import { Money, Time } from '../../design/parts';
import { Loaded } from '../../design/states';
import { Table } from '../../design/Table';
import { whyWon } from './auction';

/** Who offered to run it, and why the winner won. */
export function Bids({ taskId }: { taskId: string }) {
  const path = `/api/v1/tasks/${encodeURIComponent(taskId)}/auctions`;
  const auctions = useApi<schema.AuctionListView>(path);
  return (
    <Card title="Bids">
      <Loaded query={auctions}>
        {(of) => of.auctions.length === 0 ? <p>No auction has been decided yet.</p> : of.auctions.map((each) => <Auction key={each.lease_id} of={each} />)}
      </Loaded>
    </Card>
  );
}

function Auction({ of }: { of: schema.AuctionView }) {
  return (
    <>
      <p>{whyWon(of)} Decided <Time at={of.held_at} />.</p>
      <Table
        caption={`Bids for lease ${shortened(of.lease_id)}`}
        rows={of.bids}
        keyOf={(bid) => bid.node_id}
        columns={[
          { name: 'Node', cell: (bid) => <span title={bid.node_id}>{shortened(bid.node_id)}</span> },
          { name: 'Outcome', cell: (bid) => bid.won ? 'won' : 'lost' },
          { name: 'Per hour', cell: (bid) => <Money of={bid.price_per_hour} />, numeric: true },
          { name: 'Starts after', cell: (bid) => duration(bid.start_seconds), numeric: true },
          { name: 'Image there, GB', cell: (bid) => bid.cached_gb, numeric: true },
          { name: 'Score', cell: (bid) => bid.score, numeric: true },
        ]}
      />
      {of.unrevealed.length > 0 && <p>{of.unrevealed.length} sealed bids were not opened, and did not count.</p>}
    </>
  );
}
