// A provider that is not ours: js-libp2p, @solana/web3.js and docs/protocol.md.
//
//   node main.mjs CONFIG     a JSON file: coordinator, market (with rpc_url, genesis_hash, idl), identity_seed_hex,
//                            wallet_seed_hex, price_micro_usdc_per_hour, journal
//
// It prints one JSON object a line: who it is, every time that it has joined, and every phase that a lease enters.
// SIGUSR2 cuts its connection, as a network might.

import { randomBytes } from 'node:crypto';
import { fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';

import { Keypair } from '@solana/web3.js';

import { isMet, judges, knows } from '../protocol/conditions.mjs';
import { envelopeHash, messageHash, networkTag } from '../protocol/envelope.mjs';
import { KeyPair } from '../protocol/keys.mjs';
import { cost, quote } from '../protocol/money.mjs';
import { commitment } from '../protocol/sealing.mjs';
import { Chain } from './chain.mjs';
import { Lease } from './lease.mjs';
import { Link } from './link.mjs';

const START_MS = 500;
const BID_VALID_MS = 3_000;
// From `reveal` to the bid.
const REVEAL_MS = 1_000;
const LEASES_MAX = 4;
const TOTAL = { cpu_millis: 2_000, memory_bytes: 2 ** 31, disk_bytes: 2 ** 32, gpus: [] };

const log = (text) => console.error(text);
const say = (value) => console.log(JSON.stringify(value));

class Provider {
  constructor(config) {
    this.config = config;
    this.wallet = Keypair.fromSeed(Buffer.from(config.wallet_seed_hex, 'hex'));
    this.chain = new Chain(config.market, this.wallet);
    this.keys = new KeyPair(Buffer.from(config.identity_seed_hex, 'hex'));
    this.prices = {
      base_micro_usdc_per_hour: config.price_micro_usdc_per_hour,
      cpu_core_micro_usdc_per_hour: 0,
      memory_gib_micro_usdc_per_hour: 0,
      gpu_micro_usdc_per_hour: 0,
    };
    this.leases = new Map();
    this.phases = new Map();
    this.bids = new Map();
    this.journal = openSync(config.journal, 'a');
    const { genesis_hash: genesis, program_id: program } = config.market;
    this.link = new Link({
      address: config.coordinator,
      network: networkTag(genesis, program),
      keys: this.keys,
      node: this,
      log,
    });
  }

  async run() {
    await this.chain.register();
    say({ peer_id: this.keys.peerId, wallet: this.wallet.publicKey.toBase58() });
    process.on('SIGUSR2', () => this.link.cut());
    await this.link.run();
  }

  /** On disk before it is said. */
  save(lease) {
    const { award, phase, events, voucher, claimed } = lease;
    writeSync(this.journal, `${JSON.stringify({ award, phase, events, voucher, claimed })}\n`);
    fsyncSync(this.journal);
    if (this.phases.get(lease.id) === phase) return;
    this.phases.set(lease.id, phase);
    say({ lease_id: lease.id, phase });
    if (phase !== 'closed') return;
    this.leases.delete(lease.id);
    this.phases.delete(lease.id);
    this.link.send('heartbeat', this.heartbeat());
  }

  // --- what is said of this machine

  free() {
    const now = Date.now();
    for (const [id, { bid }] of this.bids) if (bid.valid_until_ms <= now) this.bids.delete(id);
    const needs = [...this.leases.values(), ...this.bids.values()].map(({ need }) => need);
    const left = (name) => Math.max(0, TOTAL[name] - needs.reduce((sum, need) => sum + need[name], 0));
    return {
      cpu_millis: left('cpu_millis'),
      memory_bytes: left('memory_bytes'),
      disk_bytes: left('disk_bytes'),
      gpus: [],
    };
  }

  statuses() {
    return [...this.leases.values()].map((lease) => lease.status());
  }

  hello() {
    const offer = {
      node_id: this.keys.peerId,
      wallet: this.wallet.publicKey.toBase58(),
      software: 'js-provider/1',
      region: 'local',
      total: TOTAL,
      free: this.free(),
      prices: this.prices,
      images: this.config.images,
    };
    return { offer, leases: this.statuses() };
  }

  heartbeat() {
    return { free: this.free(), accepting: true, leases: this.statuses() };
  }

  joined() {
    say({ joined: this.link.ends.coordinator });
    for (const lease of this.leases.values()) this.link.carry(lease);
  }

  // --- what the coordinator says

  heard(type, body) {
    if (type === 'demand') this.asked(body);
    if (type === 'reveal') this.revealed(body);
    if (type === 'award') this.awarded(body);
  }

  asked(demand) {
    const decline = (code) => this.link.send('decline', { demand_id: demand.demand_id, code });
    const { requirements: need, demand_id: id } = demand;
    if (demand.serves) return decline('no_models');
    if (demand.use) return decline('no_replica');
    const free = this.free();
    const fits =
      need.cpu_millis <= free.cpu_millis &&
      need.memory_bytes <= free.memory_bytes &&
      need.disk_bytes + demand.input_bytes <= free.disk_bytes &&
      need.gpu_count === 0;
    const price = quote(this.prices, need);
    if (!fits) return decline('does_not_fit');
    const facts = { offer: this.hello().offer, demand };
    if (!demand.where.every(knows)) return decline('unknown_condition');
    if (!demand.where.every((clause) => !judges(clause) || isMet(clause, facts))) return decline('does_not_fit');
    if (this.leases.size >= LEASES_MAX) return decline('busy');
    if (price > demand.max_price_micro_usdc_per_hour) return decline('price_too_low');
    const bid = {
      demand_id: id,
      demand_hash: messageHash('demand', demand),
      price_micro_usdc_per_hour: price,
      start_ms: START_MS,
      valid_until_ms: Date.now() + demand.bid_window_ms + BID_VALID_MS + (demand.sealed_bids ? REVEAL_MS : 0),
      wallet: this.wallet.publicKey.toBase58(),
      nonce: demand.sealed_bids ? randomBytes(32).toString('hex') : '',
    };
    const made = { bid, demand, need, hash: null, reveal_hash: '' };
    this.bids.set(id, made);
    if (!demand.sealed_bids) return this.show(made);
    const hidden = commitment(this.keys.peerId, bid);
    return this.link.send('commit', { demand_id: id, demand_hash: bid.demand_hash, commitment: hidden });
  }

  /** Let the coordinator see a bid. */
  show(made) {
    const said = this.link.send('bid', made.bid);
    if (said) made.hash = envelopeHash(said);
  }

  /** Everybody has committed: show the bid, once, if our commitment stands as we made it. */
  revealed(reveal) {
    const made = this.bids.get(reveal.demand_id);
    const ours = reveal.commitments[this.keys.peerId];
    if (!made?.demand.sealed_bids || made.hash || ours !== commitment(this.keys.peerId, made.bid)) return;
    made.reveal_hash = messageHash('reveal', reveal);
    this.show(made);
  }

  awarded(award) {
    const deny = (code) => this.link.send('deny', { lease_id: award.lease_id, code });
    const known = this.leases.get(award.lease_id);
    if (known) {
      const isSame = messageHash('award', award) === messageHash('award', known.award);
      return isSame ? this.link.send('accept', known.accept()) : deny('terms_changed');
    }
    const made = this.bids.get(award.demand_id);
    if (!made || made.bid.valid_until_ms <= Date.now()) return deny('reservation_expired');
    const price = award.price_micro_usdc_per_hour;
    const holds =
      award.bid_hash === made.hash &&
      award.reveal_hash === made.reveal_hash &&
      award.demand_hash === made.bid.demand_hash &&
      ['job_hash', 'timeout_s', 'voucher_interval_s'].every((name) => award[name] === made.demand[name]) &&
      price >= made.bid.price_micro_usdc_per_hour &&
      award.max_cost_micro_usdc >= cost(price, award.timeout_s * 1000);
    if (!holds) return deny('terms_changed');
    this.bids.delete(award.demand_id);
    const save = () => this.save(lease);
    const lease = new Lease({ award, need: made.need, chain: this.chain, save, log });
    this.leases.set(lease.id, lease);
    lease.enter('accepted');
    const said = this.link.send('accept', lease.accept());
    if (said) this.link.carry(lease);
    this.link.send('heartbeat', this.heartbeat());
    return said;
  }
}

await new Provider(JSON.parse(readFileSync(process.argv[2], 'utf8'))).run();
