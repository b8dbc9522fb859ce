import { ConfigurationError } from './errors.js';

export type Bytes = Uint8Array<ArrayBuffer>;

/** WebCrypto, which pages that came without TLS do not have. */
export function subtle(): SubtleCrypto {
  // The types know no page without it.
  const found = (globalThis.crypto as Crypto | undefined)?.subtle;
  if (!found) {
    throw new ConfigurationError(
      'there is no WebCrypto here: open the page by https or from localhost, or use Node.js 20',
    );
  }
  return found;
}

export function hex(bytes: Bytes): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** SHA-256, lower-case hex. */
export async function sha256Of(data: Bytes | ArrayBuffer): Promise<string> {
  return hex(new Uint8Array(await subtle().digest('SHA-256', data)));
}
