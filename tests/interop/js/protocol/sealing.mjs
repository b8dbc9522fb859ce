// "Sealed bids" of docs/protocol.md.

import { canonical, sha256 } from './canonical.mjs';
import { parse } from './page.mjs';

/** What a node shows in place of its bid. */
export function commitment(nodeId, bid) {
  return sha256(canonical({ bid: parse('bid', bid), node_id: nodeId }));
}
