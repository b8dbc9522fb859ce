// The way to one coordinator: "Transport" and "How it goes: Joining, A lease's stream" of docs/protocol.md.

import '../with-resolvers.mjs';

import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';

import { Channel } from './channel.mjs';

const CONTROL = '/neurogrid/control/1';
const LEASE = '/neurogrid/lease/1';
const HEARTBEAT_MS = 5_000;
const SILENCE_LIMIT_MS = 45_000;
const BACKOFF_FIRST_MS = 200;
const BACKOFF_MAX_MS = 5_000;

/** Do something again and again, with longer and longer pauses while it fails soon, until `isOver()`. */
async function again(attempt, isOver, log) {
  let backoffMs = BACKOFF_FIRST_MS;
  while (!isOver()) {
    const started = Date.now();
    await attempt().catch((error) => log(error.stack));
    if (Date.now() - started > BACKOFF_MAX_MS) backoffMs = BACKOFF_FIRST_MS;
    const pauseMs = backoffMs * (0.5 + Math.random() / 2);
    if (!isOver()) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    backoffMs = Math.min(2 * backoffMs, BACKOFF_MAX_MS);
  }
}

/**
 * `node` is the provider: `hello()` and `heartbeat()` are the bodies of those messages, `heard(type, body)` takes what
 * the coordinator says on the control stream, `joined()` is called when streams of leases may be opened.
 */
export class Link {
  constructor({ address, network, keys, node, log }) {
    const coordinator = address.split('/p2p/').at(-1);
    Object.assign(this, { address: multiaddr(address), node, log, ends: { network, keys, coordinator } });
    this.control = null;
    this.connection = null;
  }

  /** Keep the connection up for ever. */
  async run() {
    this.host = await createLibp2p({
      privateKey: await generateKeyPairFromSeed('Ed25519', this.ends.keys.seed),
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      // The coordinator may be on this machine, which js-libp2p does not dial by itself.
      connectionGater: { denyDialMultiaddr: () => false },
    });
    await again(
      () => this.connect(),
      () => false,
      this.log,
    );
  }

  /** One connection, from dial to end. */
  async connect() {
    const connection = await this.host.dial(this.address);
    const control = new Channel(await connection.newStream(CONTROL, { negotiateFully: true }), this.ends);
    let heardAt = Date.now();
    const beating = setInterval(() => {
      control.send('heartbeat', this.node.heartbeat());
      if (Date.now() - heardAt > SILENCE_LIMIT_MS) connection.abort(new Error('silent'));
    }, HEARTBEAT_MS);
    try {
      await control.run(
        () => {
          this.control = control;
          control.send('hello', this.node.hello());
        },
        (type, body) => {
          heardAt = Date.now();
          if (type !== 'pulse') return this.node.heard(type, body);
          // The first pulse answers the hello.
          if (this.connection !== connection) {
            this.connection = connection;
            this.node.joined();
          }
          return undefined;
        },
      );
    } finally {
      clearInterval(beating);
      this.control = this.connection = null;
      connection.abort(new Error('over'));
    }
  }

  /** Lose the connection. */
  cut() {
    this.connection?.abort(new Error('cut'));
  }

  /** Say something on the control stream; what was signed, or null while there is none. */
  send(type, body) {
    return this.control?.send(type, body) ?? null;
  }

  /** Keep the stream of a lease up while this connection lasts and the lease has not been forgotten. */
  async carry(lease) {
    const { connection } = this;
    await again(
      async () => {
        const stream = await connection.newStream(LEASE, { negotiateFully: true });
        await lease.carriedBy(new Channel(stream, this.ends));
      },
      () => this.connection !== connection || connection === null || lease.isClosed(),
      this.log,
    );
  }
}
