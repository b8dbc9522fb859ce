// Hashes, Ed25519 and names that are keys, by WebCrypto: "Transport" of docs/protocol.md.

import { ConfigurationError } from '../errors.js';
import { hex, sha256Of, subtle, type Bytes } from '../hash.js';
import { canonical, type Json } from './json.js';
import { ReceiptInvalidError } from './invalid.js';

export { hex, type Bytes };

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
// Identity multihash over the protobuf {type: Ed25519, data: 32 bytes}.
const PEER_ID_PREFIX = '002408011220';
const CHARACTERS_MAX = 128;

const encoder = new TextEncoder();

export function utf8(text: string): Bytes {
  return encoder.encode(text);
}

export function joined(...parts: Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Lower-case hex of so many bytes; anything else is refused, so that it has one spelling. */
export function fromHex(text: string, length: number): Bytes {
  if (text.length !== 2 * length || !/^[0-9a-f]*$/.test(text)) {
    throw new ReceiptInvalidError(`a signature is not ${2 * length} lower-case hex digits`);
  }
  return Uint8Array.from({ length }, (_, at) => parseInt(text.slice(2 * at, 2 * at + 2), 16));
}

/** The bytes of a base58 text that has to have so many. */
export function fromBase58(text: string, length: number): Bytes {
  const wrong = () => new ReceiptInvalidError(`${text.slice(0, 60)} is not ${length} bytes in base58`);
  if (text.length > CHARACTERS_MAX) throw wrong();
  let number = 0n;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) throw wrong();
    number = number * 58n + BigInt(digit);
  }
  const zeros = /^1*/.exec(text)?.[0].length ?? 0;
  const digits = number === 0n ? '' : number.toString(16);
  const whole = '00'.repeat(zeros) + digits.padStart(digits.length + (digits.length % 2), '0');
  if (whole.length !== 2 * length) throw wrong();
  return fromHex(whole, length);
}

/** The public key in a peer id. */
export function publicKeyOf(peerId: string): Bytes {
  const bytes = fromBase58(peerId, 38);
  if (hex(bytes.subarray(0, 6)) !== PEER_ID_PREFIX) {
    throw new ReceiptInvalidError(`${peerId} is not the peer id of an Ed25519 key`);
  }
  return bytes.subarray(6);
}

/** SHA-256, lower-case hex. */
export async function sha256(...parts: Bytes[]): Promise<string> {
  return sha256Of(joined(...parts));
}

/** How messages refer to one another: SHA-256 of the canonical form. */
export async function hashOf(value: Json): Promise<string> {
  return sha256(utf8(canonical(value)));
}

/** Whether a signature is this public key's over a message. */
export async function isSigned(publicKey: Bytes, message: Bytes, signature: Bytes): Promise<boolean> {
  let key: CryptoKey;
  try {
    key = await subtle().importKey('raw', publicKey, { name: 'Ed25519' }, false, ['verify']);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NotSupportedError') {
      throw new ConfigurationError('this browser knows no Ed25519: use a newer one', { cause: error });
    }
    // No point of the curve.
    return false;
  }
  return subtle().verify({ name: 'Ed25519' }, key, signature, message);
}
