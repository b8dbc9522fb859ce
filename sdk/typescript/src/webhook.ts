import { hex, subtle } from './hash.js';

// Clocks differ, and a delivery takes its time.
const TOLERANCE_S = 300;

export interface DeliveryHeaders {
  /** `X-Signature`. */
  signature: string;
  /** `X-Timestamp`, Unix seconds; left out where only the body is signed (`"signature": "payload"`, document 000). */
  timestamp?: string | null;
}

/**
 * Whether a delivery was signed with this secret, and not long ago. Remember `X-Delivery-Id` too: what is delivered may
 * come again.
 *
 * @param payload the body as it came, before anything parsed it.
 * @param signature `X-Signature` alone, of a webhook whose time is not signed; or both headers.
 * @param options.toleranceSeconds how far its time may be from this machine's clock; null for any time.
 */
export async function verifyWebhook(
  payload: string | Uint8Array<ArrayBuffer>,
  signature: string | DeliveryHeaders,
  secret: string,
  { toleranceSeconds = TOLERANCE_S }: { toleranceSeconds?: number | null } = {},
): Promise<boolean> {
  const headers = typeof signature === 'string' ? { signature } : signature;
  const encoder = new TextEncoder();
  const body = typeof payload === 'string' ? encoder.encode(payload) : payload;
  const stamp = headers.timestamp ?? '';
  if (typeof signature !== 'string' && headers.timestamp !== undefined) {
    if (!/^\d{1,12}$/.test(stamp)) return false;
    if (toleranceSeconds !== null && Math.abs(Date.now() / 1000 - Number(stamp)) > toleranceSeconds) return false;
  }
  const prefix = stamp === '' ? new Uint8Array() : encoder.encode(`${stamp}.`);
  const data = new Uint8Array(prefix.length + body.length);
  data.set(prefix);
  data.set(body, prefix.length);
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await subtle().importKey('raw', encoder.encode(secret), algorithm, false, ['sign']);
  return isSame(hex(new Uint8Array(await subtle().sign('HMAC', key, data))), headers.signature);
}

/** Compares in a time that says nothing of where they differ. */
function isSame(expected: string, given: string): boolean {
  let difference = expected.length ^ given.length;
  for (let at = 0; at < expected.length; at += 1) difference |= expected.charCodeAt(at) ^ given.charCodeAt(at);
  return difference === 0;
}
