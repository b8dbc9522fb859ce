// What of a receipt's messages the checks read; docs/protocol.md has all of them.

export const NO_HASH = '0'.repeat(64);

export interface Units {
  readonly input_tokens: number;
  readonly cached_input_tokens: number;
  readonly output_tokens: number;
  readonly images: number;
  readonly audio_ms: number;
  readonly requests: number;
}

export interface Use {
  readonly replica: string;
  readonly model: string;
  readonly prices: Units;
  readonly max_cost_micro_usdc: number;
}

export interface Comparator {
  readonly kind: 'exact' | 'numeric' | 'image';
  readonly relative: string;
  readonly absolute: string;
  readonly image: string | null;
  readonly files: readonly { readonly pattern: string }[];
}

export interface Demand {
  readonly demand_id: string;
  readonly job_hash: string;
  readonly image: string;
  readonly timeout_s: number;
  readonly voucher_interval_s: number;
  readonly max_price_micro_usdc_per_hour: number;
  readonly verify: 'none' | 'spot_check' | 'quorum';
  readonly comparator: Comparator | null;
  readonly sealed_bids: boolean;
  readonly gang: { readonly size: number; readonly apart: 'node' | 'wallet' } | null;
  readonly serves?: { readonly max_prices: Units } | null;
  readonly use?: Use | null;
}

export interface Bid {
  readonly demand_hash: string;
  readonly price_micro_usdc_per_hour: number;
  readonly start_ms: number;
  readonly wallet: string;
  readonly reclaim_window_s: number;
  readonly unit_prices?: Units | null;
}

export interface Award {
  readonly demand_id: string;
  readonly demand_hash: string;
  readonly job_hash: string;
  readonly lease_id: string;
  readonly bid_hash: string;
  readonly other_bid_hashes: readonly string[];
  readonly start_factors_permille: Readonly<Record<string, number>>;
  readonly price_micro_usdc_per_hour: number;
  readonly max_cost_micro_usdc: number;
  readonly timeout_s: number;
  readonly voucher_interval_s: number;
  readonly reveal_hash: string;
  readonly unit_prices?: Units | null;
}

export interface Accept {
  readonly lease_id: string;
  readonly award_hash: string;
}

export interface Checkpoint {
  readonly sequence: number;
  readonly manifest_sha256: string;
  readonly files: number;
  readonly size_bytes: number;
}

/** What a node reported of a run. */
export interface Result {
  readonly outcome: string;
  readonly exit_code: number;
  readonly metered_ms: number;
  readonly outputs: readonly { readonly path: string; readonly sha256: string; readonly size_bytes: number }[];
  readonly logs_sha256: string;
  readonly logs_bytes: number;
  readonly voucher_hash: string;
  readonly resumed: Checkpoint | null;
  readonly checkpoint: Checkpoint | null;
  readonly served?: Units | null;
}

export interface Event {
  readonly lease_id: string;
  readonly number: number;
  readonly previous_hash: string;
  readonly kind: 'preparing' | 'started' | 'reclaimed' | 'finished';
  readonly at_ms: number;
  readonly result: Result | null;
}

export interface Meter {
  readonly lease_id: string;
  readonly metered_ms: number;
  readonly voucher_hash: string;
  readonly served?: Units | null;
}

export interface Voucher {
  readonly lease_id: string;
  readonly cumulative_micro_usdc: number;
  readonly final: boolean;
  readonly signature: string;
  readonly link: { readonly number: number; readonly previous_hash: string; readonly answers_hash: string } | null;
}

export interface Claimed {
  readonly lease_id: string;
  readonly transaction: string;
}

/** What the coordinator says of the chain. */
export interface Settlement {
  readonly program_id: string;
  readonly domain: number | bigint;
  readonly client: string;
  readonly client_account: string;
  readonly escrow: string;
  readonly escrow_bump: number;
  readonly escrow_sequence: number | bigint;
  readonly voucher_signer: string;
  readonly transaction: string;
  readonly paid_micro_usdc: number;
  readonly closed_at_ms: number;
  readonly billed?: Units | null;
}

export interface Messages {
  demand: Demand;
  commit: { readonly demand_hash: string; readonly commitment: string };
  reveal: { readonly commitments: Readonly<Record<string, string>> };
  bid: Bid;
  award: Award;
  accept: Accept;
  event: Event;
  meter: Meter;
  voucher: Voucher;
  claimed: Claimed;
  settlement: Settlement;
}
