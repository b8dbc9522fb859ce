// "Sealed inputs" of docs/protocol.md: opening a sealed file, and the key to it.

import { createDecipheriv, createPrivateKey, createPublicKey, diffieHellman, hkdfSync, createHmac } from 'node:crypto';

import { canonical } from './canonical.mjs';

const CHUNK = 65536;
const TAG = 16;
const HEADER = 40;

function open(key, nonce, sealed) {
  const cipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG });
  cipher.setAuthTag(sealed.subarray(-TAG));
  return Buffer.concat([cipher.update(sealed.subarray(0, -TAG)), cipher.final()]);
}

/** What was sealed; throws unless all of it authenticates. */
export function openFile(contentKey, file) {
  if (file.subarray(0, 8).toString() !== 'NGSEAL01') throw new Error('not a sealed file');
  const salt = file.subarray(8, HEADER);
  const key = Buffer.from(hkdfSync('sha256', contentKey, salt, 'neurogrid:sealed-input:v1', 32));
  const chunks = [];
  let rest = file.subarray(HEADER);
  for (let number = 0n; ; number += 1n) {
    const last = rest.length <= CHUNK + TAG;
    const nonce = Buffer.alloc(12);
    nonce.writeBigUInt64BE(number, 3);
    nonce[11] = last ? 1 : 0;
    const chunk = open(key, nonce, last ? rest : rest.subarray(0, CHUNK + TAG));
    if (last && !chunk.length && number) throw new Error('an empty chunk at the end');
    chunks.push(chunk);
    if (last) return Buffer.concat(chunks);
    rest = rest.subarray(CHUNK + TAG);
  }
}

// RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
const KEM_SUITE = Buffer.from('4b454d0020', 'hex');
const HPKE_SUITE = Buffer.from('48504b45002000010003', 'hex');

const extract = (suite, salt, label, ikm) =>
  createHmac('sha256', salt.length ? salt : Buffer.alloc(32))
    .update(Buffer.concat([Buffer.from('HPKE-v1'), suite, Buffer.from(label), ikm]))
    .digest();

function expand(suite, secret, label, info, length) {
  const size = Buffer.from([length >> 8, length & 255]);
  const labelled = Buffer.concat([size, Buffer.from('HPKE-v1'), suite, Buffer.from(label), info]);
  // One block is enough: nothing here is longer than a hash.
  const block = createHmac('sha256', secret).update(labelled).update(Buffer.from([1])).digest();
  return block.subarray(0, length);
}

const privateKeyOf = (bytes) =>
  createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), bytes]),
    format: 'der',
    type: 'pkcs8',
  });
const publicKeyFrom = (bytes) =>
  createPublicKey({
    key: Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), bytes]),
    format: 'der',
    type: 'spki',
  });
const rawPublic = (key) => createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);

/** The content key that was wrapped for this lease, node and job. */
export function unwrapKey(wrapped, privateBytes, target) {
  const privateKey = privateKeyOf(privateBytes);
  const encapsulated = wrapped.subarray(0, 32);
  const shared = diffieHellman({ privateKey, publicKey: publicKeyFrom(encapsulated) });
  const context = Buffer.concat([encapsulated, rawPublic(privateKey)]);
  const none = Buffer.alloc(0);
  const secret = expand(KEM_SUITE, extract(KEM_SUITE, none, 'eae_prk', shared), 'shared_secret', context, 32);
  const info = Buffer.from(`neurogrid:sealed-key:v1\0${canonical(target)}`);
  const schedule = Buffer.concat([
    Buffer.from([0]),
    extract(HPKE_SUITE, none, 'psk_id_hash', none),
    extract(HPKE_SUITE, none, 'info_hash', info),
  ]);
  const whole = extract(HPKE_SUITE, secret, 'secret', none);
  const key = expand(HPKE_SUITE, whole, 'key', schedule, 32);
  const nonce = expand(HPKE_SUITE, whole, 'base_nonce', schedule, 12);
  return open(key, nonce, wrapped.subarray(32));
}
