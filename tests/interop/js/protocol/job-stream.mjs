// Streams into jobs: "Streams into jobs" of docs/protocol.md.

import { canonical } from './canonical.mjs';

const PAYLOAD_MAX = 65_536;
const KINDS = [
  'OPEN', 'OPENED', 'REFUSED', 'INPUT', 'END_OF_INPUT', 'OUTPUT', 'ERRORS', 'RESIZE', 'SIGNAL', 'CREDIT', 'EXITED', 'OPEN_PORT',
];

/** A frame with these bytes, or these words, in it. */
export function jobFrame(kind, content) {
  const payload = Buffer.isBuffer(content) ? content : Buffer.from(canonical(content));
  const head = Buffer.alloc(5);
  head.writeUInt8(KINDS.indexOf(kind) + 1);
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

/** Kind and payload of a whole frame. */
export function readFrame(data) {
  const kind = KINDS[data.readUInt8() - 1];
  const length = data.readUInt32BE(1);
  if (kind === undefined || length > PAYLOAD_MAX) throw new Error('no frame');
  return { kind, payload: data.subarray(5, 5 + length) };
}
