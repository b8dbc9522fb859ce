// One lease, from award to closed: "How it goes" and "The node's lease" of docs/protocol.md.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { canonical, sha256 } from '../protocol/canonical.mjs';
import { messageHash } from '../protocol/envelope.mjs';
import { cost, mustPause } from '../protocol/money.mjs';
import { parse } from '../protocol/page.mjs';
import { fetchInputs, putOutputs } from './files.mjs';

const ZEROS = '0'.repeat(64);
const RESEND_MS = 3_000;
const TICK_MS = 500;
const KILL_AFTER_MS = 5_000;
const MAX_UNPAID_MS = 300_000;
const LOG_PIECE_BYTES = 16_384;
const LOG_BYTES_MAX = 16 * 1024 * 1024;

/** A run that was not to be: its outcome and a message for the client. */
class Refused extends Error {
  constructor(outcome, message) {
    super(message);
    this.outcome = outcome;
  }
}

export class Lease {
  /** `save()` puts it into the journal, before it returns. */
  constructor({ award, need, chain, save, log }) {
    Object.assign(this, { award, need, chain, save, log });
    this.id = award.lease_id;
    this.phase = 'accepted';
    this.channel = null;
    this.start = null;
    this.events = [];
    this.eventsStored = 0;
    this.meteredMs = 0;
    this.voucher = null;
    this.linked = ZEROS;
    this.logText = Buffer.alloc(0);
    this.logSent = 0;
    this.logStored = 0;
    this.logLimit = 0;
    this.stopReason = null;
    this.ending = null;
    this.claimed = null;
    this.changed = [];
    this.resending = setInterval(() => this.resend(), RESEND_MS);
  }

  status() {
    return { lease_id: this.id, phase: this.phase, metered_ms: this.meteredMs };
  }

  /** Enter a phase; it is on disk before anything follows from it. */
  enter(phase) {
    this.phase = phase;
    this.save();
    this.change();
  }

  change() {
    for (const wake of this.changed.splice(0)) wake();
  }

  /** Wait until something holds. */
  async until(holds) {
    while (!holds()) await new Promise((resolve) => this.changed.push(resolve));
  }

  isClosed() {
    return this.phase === 'closed';
  }

  /** Talk on a stream of this lease until it ends. */
  async carriedBy(channel) {
    this.channel = channel;
    // The limit is the stream's, and nothing may be sent before it was named on it.
    this.logLimit = 0;
    await channel.run(
      () =>
        channel.send('attach', {
          lease_id: this.id,
          has_start: this.start !== null,
          events: this.events.length,
          voucher_micro_usdc: this.voucher?.cumulative_micro_usdc ?? 0,
          voucher_hash: this.linked,
        }),
      (type, body) => this.heard(type, body),
    );
  }

  // --- what is said to the coordinator

  tell(type, body) {
    return this.channel?.send(type, { lease_id: this.id, ...body }) ?? null;
  }

  say(kind, result = null) {
    const previous = this.events.at(-1);
    const event = {
      lease_id: this.id,
      number: this.events.length,
      kind,
      at_ms: Date.now(),
      previous_hash: previous ? messageHash('event', previous) : messageHash('accept', this.accept()),
      result,
    };
    this.events.push(event);
    this.save();
    this.tell('event', event);
  }

  accept() {
    return { lease_id: this.id, award_hash: messageHash('award', this.award) };
  }

  /** Say again what was not acknowledged. */
  resend() {
    for (const event of this.events.slice(this.eventsStored)) this.tell('event', event);
    if (this.claimed) this.tell('claimed', { transaction: this.claimed });
  }

  sendLog() {
    const credit = Math.min(this.logText.length, this.logLimit);
    while (this.logSent < credit) {
      let end = Math.min(this.logSent + LOG_PIECE_BYTES, credit);
      // Whole characters: not before a byte that continues one.
      while (end > this.logSent && (this.logText[end] & 0xc0) === 0x80) end -= 1;
      const text = this.logText.subarray(this.logSent, end).toString();
      if (!text || !this.tell('log', { offset: this.logSent, text })) return;
      this.logSent = end;
    }
  }

  meter() {
    const { price_micro_usdc_per_hour: price, max_cost_micro_usdc: most } = this.award;
    this.tell('meter', {
      metered_ms: this.meteredMs,
      cumulative_micro_usdc: Math.min(most, cost(price, this.meteredMs)),
      voucher_hash: this.linked,
    });
  }

  // --- what the coordinator says

  async heard(type, body) {
    if (type === 'start' && this.start === null) {
      this.start = body;
      this.run(body).catch((error) => this.log(error.stack));
    } else if (type === 'funded' && this.start === null && this.phase === 'reported') {
      this.start = body;
      this.giveUp(body).catch((error) => this.log(error.stack));
    } else if (type === 'stop') {
      this.stop(body.reason);
    } else if (type === 'voucher') {
      await this.take(body);
    } else if (type === 'acknowledge') {
      this.acknowledged(body);
    }
    this.change();
  }

  acknowledged({ events, log_bytes: logBytes, log_limit_bytes: limit, closed }) {
    // The first of a stream says where to go on; what was lost with the stream before is said again.
    if (this.logLimit === 0) {
      this.logSent = logBytes;
      this.eventsStored = events;
      this.resend();
    }
    this.eventsStored = Math.max(this.eventsStored, events);
    this.logStored = Math.max(this.logStored, logBytes);
    this.logLimit = Math.max(this.logLimit, limit);
    this.sendLog();
    if (closed) this.close();
  }

  stop(reason) {
    this.stopReason ??= reason;
    this.endContainer();
    if (this.start !== null || this.events.length > 0) return;
    // It never began, so there is no escrow that we know of, and nothing to claim before `funded` comes.
    this.say('finished', this.result(reason, -1, 'stopped before it began'));
    this.enter('reported');
  }

  /** A better voucher than the one we have is kept. */
  async take(voucher) {
    if (this.escrow) {
      if (!(await this.chain.isGood(this.escrow, voucher))) return;
    } else if (voucher.cumulative_micro_usdc !== 0) {
      // Only one over nothing needs no escrow to be checked against, and may come before `funded`. Another comes again.
      return;
    }
    if (this.isClosed()) return;
    if (voucher.cumulative_micro_usdc < (this.voucher?.cumulative_micro_usdc ?? 0)) return;
    this.voucher = voucher;
    if (voucher.link) this.linked = messageHash('voucher', voucher);
    this.save();
  }

  /** Said again, where the word of it was thought lost: it changes nothing. */
  close() {
    if (this.isClosed()) return;
    clearInterval(this.resending);
    this.enter('closed');
    this.channel.close();
  }

  // --- the run

  async run(start) {
    this.enter('preparing');
    this.say('preparing');
    const folder = await mkdtemp(join(tmpdir(), 'neurogrid-js-'));
    let result;
    try {
      result = await this.work(start, folder);
    } catch (error) {
      const outcome = error instanceof Refused ? error.outcome : 'start_failed';
      result = this.result(outcome, -1, error.message);
    }
    await rm(folder, { recursive: true, force: true });
    this.say('finished', result);
    this.enter('reported');
    if (this.escrow) await this.claim();
  }

  /** It ended before it began, and its escrow has been opened since. */
  async giveUp(funded) {
    try {
      this.escrow = await this.chain.escrow(funded, this.award.max_cost_micro_usdc);
    } catch (error) {
      // `funded` comes again, and is looked at again.
      this.start = null;
      throw error;
    }
    await this.claim();
  }

  /** Redeem and close the escrow, once the final voucher is here. */
  async claim() {
    await this.until(() => this.voucher?.final);
    this.enter('claiming');
    this.claimed = await this.chain.redeem(this.escrow, this.voucher);
    // The coordinator, who looks at the chain itself, may have closed the lease by now.
    if (this.isClosed()) return;
    this.save();
    this.resend();
  }

  /** Everything between the first and the last event; the result. */
  async work(start, folder) {
    if (sha256(canonical(parse('Job', start.job))) !== this.award.job_hash) {
      throw new Refused('job_refused', 'not the job that was auctioned');
    }
    try {
      this.escrow = await this.chain.escrow(start, this.award.max_cost_micro_usdc);
    } catch (error) {
      throw new Refused('escrow_unseen', error.message);
    }
    const [inputs, outputs] = ['inputs', 'outputs'].map((name) => join(folder, name));
    await mkdir(inputs);
    await mkdir(outputs);
    // The image's own user writes there.
    await chmod(outputs, 0o777);
    await fetchInputs(start, inputs).catch((error) => {
      throw new Refused('input_unavailable', error.message);
    });
    const exitCode = await this.runContainer(start.job, inputs, outputs);
    this.enter('collecting');
    const listed = await putOutputs(start, outputs);
    this.sendLog();
    await this.until(() => this.logStored === this.logText.length);
    const ended = exitCode === 0 ? 'completed' : (this.stopReason ?? 'exit_nonzero');
    return this.result(ended, exitCode, '', listed);
  }

  result(outcome, exitCode, message, outputs = []) {
    return {
      outcome,
      exit_code: exitCode,
      message,
      metered_ms: this.meteredMs,
      outputs,
      logs_sha256: createHash('sha256').update(this.logText).digest('hex'),
      logs_bytes: this.logText.length,
      voucher_hash: this.linked,
    };
  }

  /** The job in a container of its own, without network; its exit code. */
  async runContainer({ image, command, environment }, inputs, outputs) {
    this.container = `neurogrid-js-${this.id}`;
    const variables = Object.entries(environment).flatMap(([key, value]) => ['--env', `${key}=${value}`]);
    const mounts = ['--volume', `${inputs}:/inputs:ro`, '--volume', `${outputs}:/outputs`];
    const options = ['run', '--rm', '--name', this.container, '--network', 'none', ...mounts, ...variables];
    const child = spawn('docker', [...options, image, ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      // What is not UTF-8 becomes U+FFFD.
      stream.setEncoding('utf8').on('data', (text) => {
        const piece = Buffer.from(text);
        if (this.logText.length + piece.length > LOG_BYTES_MAX) return;
        this.logText = Buffer.concat([this.logText, piece]);
        this.sendLog();
      });
    }
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    const startedAt = Date.now();
    this.enter('running');
    this.say('started');
    if (this.stopReason) this.endContainer();
    const { voucher_interval_s: interval_s, timeout_s: limit_s, price_micro_usdc_per_hour: price } = this.award;
    let saidMs = 0;
    const ticking = setInterval(() => {
      this.meteredMs = Date.now() - startedAt;
      if (this.meteredMs - saidMs >= interval_s * 1000) {
        saidMs = this.meteredMs;
        this.meter();
      }
      const paid = this.voucher?.cumulative_micro_usdc ?? 0;
      // Freezing a container is not this provider's business: it ends what is not paid.
      if (mustPause(price, this.meteredMs, paid, MAX_UNPAID_MS)) this.stop('exposure_exhausted');
      if (this.meteredMs > limit_s * 1000) this.stop('time_exceeded');
    }, TICK_MS);
    const code = await new Promise((resolve) => child.once('close', (exit) => resolve(exit ?? 137)));
    clearInterval(ticking);
    clearTimeout(this.ending);
    this.meteredMs = Math.min(Date.now() - startedAt, limit_s * 1000);
    return code;
  }

  /** Politely, then not. */
  endContainer() {
    if (!this.child || this.ending) return;
    this.child.kill('SIGTERM');
    this.ending = setTimeout(() => spawn('docker', ['kill', this.container], { stdio: 'ignore' }), KILL_AFTER_MS);
  }
}
