import { NeuroGridError } from '../errors.js';

/** The first thing of a receipt that does not hold, in words. */
export class ReceiptInvalidError extends NeuroGridError {
  override readonly hint = 'Fetch the receipt again; if it repeats, somebody has changed it, or it is no receipt.';
}

export function demand(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new ReceiptInvalidError(otherwise);
}
