// Ed25519 keys, peer ids and addresses: "Transport" of docs/protocol.md, RFC 8032, RFC 8410.

import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const PEER_ID_PREFIX = Buffer.from('002408011220', 'hex');
// The DER of an Ed25519 key up to its 32 bytes.
const PRIVATE_DER = Buffer.from('302e020100300506032b657004220420', 'hex');
const PUBLIC_DER = Buffer.from('302a300506032b6570032100', 'hex');

export function base58(bytes) {
  let number = BigInt(`0x0${Buffer.from(bytes).toString('hex')}`);
  let text = '';
  for (; number > 0n; number /= 58n) text = ALPHABET[Number(number % 58n)] + text;
  const zeros = bytes.findIndex((byte) => byte !== 0);
  return '1'.repeat(zeros < 0 ? bytes.length : zeros) + text;
}

export function fromBase58(text) {
  let number = 0n;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) throw new TypeError(`${character} is not base58`);
    number = number * 58n + BigInt(digit);
  }
  const hex = number === 0n ? '' : number.toString(16);
  const zeros = /^1*/.exec(text)[0].length;
  return Buffer.concat([Buffer.alloc(zeros), Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex')]);
}

/** A key pair from its 32-byte seed. */
export class KeyPair {
  constructor(seed) {
    this.seed = Buffer.from(seed);
    this.key = createPrivateKey({ key: Buffer.concat([PRIVATE_DER, this.seed]), format: 'der', type: 'pkcs8' });
    const der = createPublicKey(this.key).export({ format: 'der', type: 'spki' });
    this.publicKey = der.subarray(PUBLIC_DER.length);
    this.peerId = base58(Buffer.concat([PEER_ID_PREFIX, this.publicKey]));
    this.address = base58(this.publicKey);
  }

  sign(message) {
    return sign(null, message, this.key);
  }
}

/** The public key in a peer id. */
export function publicKeyOf(peerId) {
  const bytes = fromBase58(peerId);
  if (bytes.length !== 38 || !bytes.subarray(0, 6).equals(PEER_ID_PREFIX)) {
    throw new TypeError(`${peerId} is no Ed25519 peer id`);
  }
  return bytes.subarray(6);
}

/** Whether a signature is this public key's over a message. */
export function isSigned(publicKey, message, signature) {
  const key = createPublicKey({ key: Buffer.concat([PUBLIC_DER, publicKey]), format: 'der', type: 'spki' });
  return verify(null, message, key, signature);
}
