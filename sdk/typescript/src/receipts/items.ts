/** How much an item is worth. */
export type Proof =
  /** Follows from signatures and hashes alone: no signer could have made it up by itself. */
  | 'proven'
  /** The word of whoever signed it. */
  | 'claimed'
  /** The receipt says nothing of it. */
  | 'not present';

/** One thing that a receipt says. */
export interface ReceiptItem {
  /** For programs; the same in every receipt. docs/receipts.md explains each. */
  readonly name: string;
  readonly proof: Proof;
  /** Empty where nobody did. */
  readonly signedBy: string;
  /** Exactly what, for people. */
  readonly shows: string;
}

export const COORDINATOR = 'coordinator';
export const NODE = 'node';
export const BOTH = 'coordinator, node';

export function proven(name: string, signedBy: string, shows: string): ReceiptItem {
  return { name, proof: 'proven', signedBy, shows };
}

export function claimed(name: string, signedBy: string, shows: string): ReceiptItem {
  return { name, proof: 'claimed', signedBy, shows };
}

export function absent(name: string, shows: string): ReceiptItem {
  return { name, proof: 'not present', signedBy: '', shows };
}
