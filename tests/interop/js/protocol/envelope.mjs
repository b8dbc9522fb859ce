// "Frames" and "Envelope" of docs/protocol.md.

import { decode, encode } from '@msgpack/msgpack';

import { canonical, sha256 } from './canonical.mjs';
import { isSigned, publicKeyOf } from './keys.mjs';
import { SAID_BY, Malformed, parse, parseBody } from './page.mjs';

const VERSION = 1;
const FRAME_BYTES_MAX = 1_048_576;
const CLOCK_TOLERANCE_MS = 120_000;
const FIELDS = 'body network recipient sender sent_at_ms sequence session signature type version';

/** The market's tag. */
export function networkTag(genesisHash, programId) {
  return `ng-${sha256(`neurogrid:${genesisHash}:${programId}`).slice(0, 16)}`;
}

/** What an envelope's signature covers. */
export function signedText(envelope) {
  const { signature, ...rest } = envelope;
  return Buffer.from(`neurogrid:${envelope.type}:v${envelope.version}\0${canonical(rest)}`);
}

export function envelopeHash(envelope) {
  return sha256(signedText(envelope), Buffer.from(envelope.signature, 'hex'));
}

/** The hash of a message: what was left out has its default, what is not in the table is dropped. */
export function messageHash(type, body) {
  return sha256(canonical(parse(type, body)));
}

/** Check all of an envelope that can be checked outside its session. */
export function checkEnvelope(envelope, network) {
  if (Object.keys(envelope).sort().join(' ') !== FIELDS) throw new Malformed('other fields');
  if (envelope.version !== VERSION) throw new Malformed(`version ${envelope.version}`);
  if (envelope.network !== network) throw new Malformed(`made for ${envelope.network}`);
  const signature = Buffer.from(envelope.signature, 'hex');
  if (!isSigned(publicKeyOf(envelope.sender), signedText(envelope), signature)) {
    throw new Malformed('a wrong signature');
  }
}

/** What one side says in a session, numbered and signed. */
export class Sender {
  constructor({ keys, network, recipient, session }) {
    Object.assign(this, { keys, network, recipient, session, sequence: 0 });
  }

  seal(type, body) {
    const envelope = {
      version: VERSION,
      network: this.network,
      type,
      sender: this.keys.peerId,
      recipient: this.recipient,
      session: this.session,
      sequence: this.sequence,
      sent_at_ms: Date.now(),
      body,
    };
    envelope.signature = this.keys.sign(signedText(envelope)).toString('hex');
    this.sequence += 1;
    return envelope;
  }
}

/** What one side expects of the other in a session. */
export class Receiver {
  constructor({ network, session, sender, recipient, by }) {
    Object.assign(this, { network, session, sender, recipient, by, sequence: 0 });
  }

  /** The message of an envelope, checked; throws `Unknown` for one that may be passed over. */
  open(envelope, nowMs = Date.now()) {
    checkEnvelope(envelope, this.network);
    for (const name of ['sender', 'recipient', 'session', 'sequence']) {
      if (envelope[name] !== this[name]) throw new Malformed(`${name} ${envelope[name]}, not ${this[name]}`);
    }
    if (Math.abs(nowMs - envelope.sent_at_ms) > CLOCK_TOLERANCE_MS) throw new Malformed('another time');
    this.sequence += 1;
    const message = parseBody(envelope.type, envelope.body);
    if (SAID_BY[envelope.type] !== this.by) throw new Malformed(`a ${envelope.type} is not said by ${this.by}`);
    return message;
  }
}

export function frame(envelope) {
  // Without `useBigInt64`, which would write large numbers as floats.
  const payload = Buffer.from(encode(envelope));
  if (payload.length > FRAME_BYTES_MAX) throw new Malformed('a frame over the limit');
  const header = Buffer.alloc(4);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}

/** Bytes in, envelopes out. */
export class Frames {
  constructor() {
    this.waiting = Buffer.alloc(0);
  }

  feed(bytes) {
    this.waiting = Buffer.concat([this.waiting, bytes]);
    const found = [];
    while (this.waiting.length >= 4) {
      const length = this.waiting.readUInt32BE();
      if (length > FRAME_BYTES_MAX) throw new Malformed('a frame over the limit');
      if (this.waiting.length < 4 + length) break;
      found.push(exact(decode(this.waiting.subarray(4, 4 + length), { useBigInt64: true })));
      this.waiting = this.waiting.subarray(4 + length);
    }
    return found;
  }
}

/** BigInt only where a number would be rounded. What did not travel as an integer is refused. */
function exact(value) {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  // The decoder makes numbers of floats and of integers of up to 32 bits.
  if (typeof value === 'number' && !(Number.isInteger(value) && Math.abs(value) < 2 ** 32)) {
    throw new Malformed('a float');
  }
  if (Array.isArray(value)) return value.map(exact);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, exact(item)]));
}
