// One stream of a connection: its frames, and the session that the coordinator opens on it.

import { Frames, Receiver, Sender, frame } from '../protocol/envelope.mjs';

export class Channel {
  /** `ends`: network, keys (ours) and coordinator (its peer id). */
  constructor(stream, ends) {
    Object.assign(this, { stream, ...ends });
    this.sender = null;
  }

  /**
   * Hear until the stream ends: `welcomed()` once the session is open, then `heard(type, body)` for each message, one
   * after the other. Throws when the coordinator breaks the protocol.
   */
  async run(welcomed, heard) {
    const frames = new Frames();
    let receiver;
    try {
      for await (const piece of this.stream) {
        for (const envelope of frames.feed(Buffer.from(piece.subarray()))) {
          receiver ??= this.enter(envelope);
          const body = receiver.open(envelope);
          await (envelope.type === 'welcome' ? welcomed() : heard(envelope.type, body));
        }
      }
    } finally {
      this.sender = null;
      this.stream.abort(new Error('over'));
    }
  }

  /** The first envelope names the session. */
  enter({ type, session, body }) {
    if (type !== 'welcome' || body.session !== session) throw new Error('no welcome to its session');
    const { network, keys, coordinator } = this;
    this.sender = new Sender({ keys, network, recipient: coordinator, session });
    return new Receiver({ network, session, sender: coordinator, recipient: keys.peerId, by: 'C' });
  }

  /** Say something; what was signed, or null where there is no session (any more). */
  send(type, body) {
    if (!this.sender) return null;
    const envelope = this.sender.seal(type, body);
    this.stream.send(frame(envelope));
    return envelope;
  }

  /** Close our direction; the coordinator closes the other. */
  async close() {
    this.sender = null;
    await this.stream.close().catch(() => {});
  }
}
