// The private network of a gang: "Gangs" of docs/protocol.md, and the streams of /neurogrid/gang/1.

import { canonical } from './canonical.mjs';

const FRAME_MAX = 9_000;
const PACKET_MAX = 65_535;

export const addressOf = (rank) => `10.77.0.${rank + 1}`;

/** Host name to address, of every member. */
export const hosts = (place) =>
  Object.fromEntries(place.members.map((_, rank) => [`rank-${rank}`, addressOf(rank)]));

/** What the member's container is told; customary names that the client has given stay the client's. */
export function environment(place, given) {
  const customary = {
    MASTER_ADDR: addressOf(0),
    MASTER_PORT: '29500',
    RANK: String(place.rank),
    WORLD_SIZE: String(place.members.length),
  };
  for (const name of given) delete customary[name];
  return {
    ...customary,
    NEUROGRID_RANK: String(place.rank),
    NEUROGRID_WORLD_SIZE: String(place.members.length),
    NEUROGRID_RENDEZVOUS: `${addressOf(0)}:29500`,
  };
}

function framed(content) {
  const frame = Buffer.alloc(2 + content.length);
  frame.writeUInt16BE(content.length);
  frame.set(content, 2);
  return frame;
}

/** The first frame that a member's node writes. */
export const greeting = ({ gang_id, attempt, rank }) =>
  framed(Buffer.from(canonical({ gang_id, attempt, rank })));

/** Whether the node of `place` dials that of `rank`. */
export function dials(place, rank) {
  const has = (one) => place.members[one].addresses.length > 0;
  if (has(place.rank) !== has(rank)) return has(rank);
  const evenSum = (place.rank + rank) % 2 === 0;
  return evenSum ? place.rank > rank : place.rank < rank;
}

/** Source and destination of a frame's packet, or null where it is dropped whatever they are. */
function ends(frame) {
  const length = frame.readUInt16BE();
  if (length > FRAME_MAX || frame.length !== 2 + length) throw new Error('no frame');
  const packet = frame.subarray(2);
  if (length < 20 || packet[0] >> 4 !== 4) return null;
  const header = (packet[0] & 15) * 4;
  if (packet.readUInt16BE(2) !== length || header < 20 || header > length) return null;
  if ((packet.readUInt16BE(6) & 0x1fff) * 8 + length > PACKET_MAX) return null;
  const address = (from) => packet.subarray(from, from + 4).join('.');
  return { source: address(12), destination: address(16) };
}

/** The rank that a packet of our member goes to; null if it is dropped. */
export function outgoing(place, frame) {
  const found = ends(frame);
  if (!found || found.source !== addressOf(place.rank)) return null;
  const rank = place.members.findIndex((_, one) => one !== place.rank && addressOf(one) === found.destination);
  return rank < 0 ? null : rank;
}

/** Whether our member gets a packet from the node of `rank`. */
export function passes(place, frame, rank) {
  const found = ends(frame);
  return found !== null && found.source === addressOf(rank) && found.destination === addressOf(place.rank);
}
