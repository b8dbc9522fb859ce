// Checks every file of tests/vectors against this implementation and prints, for each, what went wrong, or null:
//
//   node check-vectors.mjs FOLDER
//
// A file without a check here is wrong, too: who adds one adds its check.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { advertText, checkAdvert, meetingPlace, providerKey } from './advert.mjs';
import { canonical, sha256 } from './canonical.mjs';
import { readManifest } from './checkpoint.mjs';
import { Device, command } from './challenge.mjs';
import { allowed, isMet, judges, knows } from './conditions.mjs';
import { Frames, Receiver, Sender, envelopeHash, frame, messageHash, networkTag, signedText } from './envelope.mjs';
import { dials, environment, greeting, hosts, outgoing, passes } from './gang.mjs';
import { jobFrame, readFrame } from './job-stream.mjs';
import { parseJson } from './json.mjs';
import { KeyPair, base58, fromBase58, isSigned, publicKeyOf } from './keys.mjs';
import { hash64, pool, ranking, sample } from './market.mjs';
import { cost, escrowJobId, mustPause, quote, signable, unitCost, usdc, voucherMessage } from './money.mjs';
import { Malformed, SAID_BY, Unknown, parse, parseBody } from './page.mjs';
import { verifyReceipt } from './receipt.mjs';
import { openFile, unwrapKey } from './sealed.mjs';
import { commitment } from './sealing.mjs';

const folder = process.argv[2];
const read = (name) => readFileSync(join(folder, name), 'utf8');
const hex = (number) => number.toString(16).padStart(16, '0');
const parties = Object.fromEntries(parseJson(read('keys.json')).parties.map((party) => [party.name, party]));

/** Every list of a file has something to check: an empty loop would pass. */
function each(list, check) {
  assert.ok(list.length > 0);
  for (const one of list) check(one);
}

/** What was said on streams is what this implementation would have said, and heard. */
function told(vectors) {
  const sessions = new Map();
  each(vectors, (vector) => {
    const { envelope } = vector;
    const [sender, recipient] = [parties[vector.sender], parties[vector.recipient]];
    assert.deepEqual([envelope.sender, envelope.recipient], [sender.peer_id, recipient.peer_id]);
    assert.deepEqual(new Frames().feed(Buffer.from(vector.frame_hex, 'hex')), [envelope]);
    assert.deepEqual(new Frames().feed(frame(envelope)), [envelope]);
    assert.equal(String(signedText(envelope)), vector.signed_text);
    assert.equal(envelopeHash(envelope), vector.envelope_hash);
    const { network, session, type } = envelope;
    const key = `${session} ${sender.name}`;
    const by = sender.name === 'coordinator' ? 'C' : 'N';
    const ends = { network, session, sender: sender.peer_id, recipient: recipient.peer_id, by };
    if (!sessions.has(key)) sessions.set(key, new Receiver(ends));
    sessions.get(key).open(envelope, envelope.sent_at_ms);
    if (vector.message_hash) assert.equal(messageHash(type, envelope.body), vector.message_hash);
    // What this implementation signs is, time aside, what is in the file.
    const keys = new KeyPair(Buffer.from(sender.seed_hex, 'hex'));
    const ours = new Sender({ keys, network, recipient: recipient.peer_id, session });
    ours.sequence = envelope.sequence;
    const sealed = ours.seal(type, envelope.body);
    const again = { ...sealed, sent_at_ms: envelope.sent_at_ms };
    assert.equal(keys.sign(signedText(again)).toString('hex'), envelope.signature);
  });
}

/** A receipt holds, and no digit of its links may be another. */
function receiptHolds(receipt, text) {
  assert.equal(verifyReceipt(text).outcome, 'completed');
  each(receipt.links, ({ hash }) => {
    const other = hash.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
    assert.throws(() => verifyReceipt(text.replace(hash, other)));
  });
}

const CHECKS = {
  // docs/authentication.md, made with nothing but what Node.js has.
  'signed_requests.json': ({ wallet, network, requests, sign_in: signIn }) => {
    const keys = new KeyPair(Buffer.from(wallet.seed_hex, 'hex'));
    assert.equal(keys.address, wallet.address);
    const isWallets = (text, signature) => isSigned(keys.publicKey, Buffer.from(text), Buffer.from(signature, 'base64'));
    each(requests, ({ method, target, body, timestamp, signed_text: text, signature }) => {
      const lines = ['neurogrid-request-v1', network, method, target, timestamp, sha256(Buffer.from(body))];
      assert.equal(lines.join('\n'), text);
      assert.ok(isWallets(text, signature));
      assert.ok(!isWallets(text.replace('v1', 'v2'), signature));
    });
    assert.ok(isWallets(signIn.message, signIn.signature));
    assert.ok(signIn.message.includes(`\nNetwork: ${network}\nWallet: ${wallet.address}\n`));
  },

  'keys.json': ({ parties: all, base58: texts, network }) => {
    each(all, (party) => {
      const keys = new KeyPair(Buffer.from(party.seed_hex, 'hex'));
      assert.equal(party.seed_hex, sha256(party.name));
      assert.equal(keys.publicKey.toString('hex'), party.public_key_hex);
      assert.equal(keys.peerId, party.peer_id);
      assert.equal(keys.address, party.address);
      assert.deepEqual(publicKeyOf(party.peer_id), keys.publicKey);
    });
    each(texts, ({ hex: bytes, text }) => {
      assert.equal(base58(Buffer.from(bytes, 'hex')), text);
      assert.equal(fromBase58(text).toString('hex'), bytes);
    });
    assert.equal(networkTag(network.genesis_hash, network.program_id), network.network);
  },

  'adverts.json': (file) => {
    assert.equal(meetingPlace(file.network), file.meeting_place);
    assert.equal(providerKey(file.network).toString('hex'), file.provider_key_hex);
    assert.deepEqual(checkAdvert(file.advert, file.network, file.now_ms), file.advert);
    assert.equal(String(advertText(file.advert)), file.signed_text);
    assert.deepEqual(new Frames().feed(Buffer.from(file.frame_hex, 'hex')), [{ adverts: [file.advert] }]);
    each(file.refused, ({ why, advert, now_ms: nowMs }) =>
      assert.throws(() => checkAdvert(advert, file.network, nowMs), Malformed, why));
  },

  'canonical.json': ({ accepted, refused }) => {
    each(accepted, ({ value, text, sha256: hash }) => {
      assert.equal(canonical(value), text);
      assert.equal(sha256(text), hash);
    });
    each(refused, ({ json, why }) => assert.throws(() => canonical(parseJson(json)), undefined, why));
  },

  'messages.json': (vectors) => {
    told(vectors);
    const said = (type) => vectors.map(({ envelope }) => envelope).filter((one) => one.type === type);
    each(said('commit'), ({ sender, body }) => {
      const [bid] = said('bid').filter((one) => one.sender === sender && one.body.demand_id === body.demand_id);
      if (bid) assert.equal(commitment(sender, bid.body), body.commitment);
    });
    const heard = new Set(vectors.map(({ envelope }) => envelope.type));
    assert.deepEqual(heard, new Set(Object.keys(SAID_BY)));
  },

  'messages_of_use.json': (vectors) => {
    told(vectors);
    const later = vectors.filter(({ envelope: { body } }) => 'use' in body || 'serves' in body || 'served' in body);
    assert.deepEqual(later.map(({ envelope }) => envelope.type), ['demand', 'demand', 'meter']);
  },

  'units.json': ({ costs, of_requests: { prices, requests }, holds_back: held }) => {
    each(costs, (one) => assert.equal(String(unitCost(one.prices, one.units)), one.cost_micro_usdc));
    const sum = Object.fromEntries(Object.keys(prices).map((name) => [name, 0]));
    each(requests, ({ units, cost_micro_usdc: expected }) => {
      const before = unitCost(prices, sum);
      for (const name of Object.keys(units)) sum[name] += units[name];
      assert.equal(Number(unitCost(prices, sum) - before), expected);
    });
    each(held, (one) => {
      const unpaid = Number(unitCost(one.prices, one.units)) - one.voucher_micro_usdc;
      assert.equal(unpaid > one.max_unpaid_micro_usdc, one.holds_back);
    });
  },
  'versions.json': (cases) =>
    each(cases, ({ type, body, verdict }) => {
      let found = 'taken';
      try {
        parseBody(type, body);
      } catch (error) {
        assert.ok(error instanceof Malformed, error);
        found = error instanceof Unknown ? 'passed over' : 'refused';
      }
      assert.equal(found, verdict, JSON.stringify(body));
    }),

  'vouchers.json': (file) => {
    assert.equal(escrowJobId(file.lease_id).toString('hex'), file.escrow_job_id_hex);
    const signer = new KeyPair(Buffer.from(parties[file.voucher_signer].seed_hex, 'hex'));
    each(file.vouchers, (voucher) => {
      const { domain, sequence, cumulative_micro_usdc: cumulative } = voucher;
      const message = voucherMessage({ domain, escrow: file.escrow, sequence, cumulative });
      assert.equal(message.toString('hex'), voucher.message_hex);
      assert.equal(signer.sign(message).toString('hex'), voucher.signature_hex);
      assert.ok(isSigned(signer.publicKey, message, Buffer.from(voucher.signature_hex, 'hex')));
    });
  },

  'auctions.json': (auctions) =>
    each(auctions, ({ name, max_price_micro_usdc_per_hour: most, gang, bids, ranking: expected }) =>
      assert.deepEqual(ranking(most, bids, gang), expected, name),
    ),

  'conditions.json': ({ offer, demand, judged }) =>
    each(judged, ({ text, where, met, gpus }) => {
      const facts = { offer, demand: { ...demand, where } };
      assert.ok(where.every((clause) => judges(clause) && knows(clause)), text);
      assert.deepEqual(where.map((clause) => isMet(clause, facts)), met, text);
      assert.deepEqual(allowed(facts).map(({ uuid }) => uuid), gpus, text);
    }),

  'sampling.json': (file) => {
    const { demand_id: demand, nodes, larger_market: larger } = file;
    const ids = nodes.map((node) => node.node_id);
    const weights = Object.fromEntries(nodes.map((node) => [node.node_id, node.weight]));
    assert.equal(hex(hash64(`${demand}:${ids[0]}`)), file.digest_of_the_first_hex);
    assert.deepEqual(sample(demand, ids, 8, weights), file.first_eight);
    assert.deepEqual(sample(demand, ids, 16, weights), file.first_sixteen);
    assert.deepEqual(sample(demand, ids, 8), file.first_eight_without_weights);
    const everybody = Object.keys(larger.places_hex);
    assert.equal(hex(hash64(demand)), larger.place_of_the_demand_hex);
    each(everybody, (id) => assert.equal(hex(hash64(id)), larger.places_hex[id]));
    assert.deepEqual(pool(demand, everybody), larger.pool);
    assert.deepEqual(sample(demand, everybody, 8), larger.first_eight_without_weights);
  },

  'money.json': ({ costs, quotes, signable: signed, pauses, texts }) => {
    each(costs, (one) => assert.equal(cost(one.price_micro_usdc_per_hour, one.metered_ms), one.cost_micro_usdc));
    each(quotes, (one) => assert.equal(quote(one.prices, one.requirements), one.price_micro_usdc_per_hour));
    each(signed, (one) => {
      const { price_micro_usdc_per_hour: price, max_cost_micro_usdc: most, metered_ms, elapsed_ms } = one;
      assert.equal(signable(price, most, metered_ms, elapsed_ms), one.signable_micro_usdc);
    });
    each(pauses, (one) => {
      const { price_micro_usdc_per_hour: price, metered_ms, voucher_micro_usdc: voucher, max_unpaid_ms } = one;
      assert.equal(mustPause(price, metered_ms, voucher, max_unpaid_ms), one.must_pause);
    });
    each(texts, (one) => assert.equal(usdc(one.micro_usdc), one.text));
  },

  'sealed.json': ({ content_key_hex, files, key }) => {
    const contentKey = Buffer.from(content_key_hex, 'hex');
    each(files, ({ plain_text: plain, times, sealed_hex: hexOfIt }) => {
      const sealed = Buffer.from(hexOfIt, 'hex');
      assert.equal(String(openFile(contentKey, sealed)), plain.repeat(times));
      assert.throws(() => openFile(contentKey, sealed.subarray(0, -1)));
      sealed[sealed.length - 1] ^= 1;
      assert.throws(() => openFile(contentKey, sealed));
    });
    const { lease_id, node_id, job_hash } = key;
    const wrapped = Buffer.from(key.wrapped_key, 'hex');
    const privateKey = Buffer.from(key.private_key_hex, 'hex');
    const target = { lease_id, node_id, job_hash };
    assert.equal(unwrapKey(wrapped, privateKey, target).toString('hex'), content_key_hex);
    assert.throws(() => unwrapKey(wrapped, privateKey, { ...target, node_id: lease_id }));
  },

  'challenge.json': ({ challenge, command: expected, devices }) => {
    assert.deepEqual(command(challenge), expected);
    let place = 0;
    each(devices, ({ first_words: words, first_tile_sha256: hash, walk_ends: ends }) => {
      const device = new Device(challenge, place++);
      assert.deepEqual(device.words(0n, words.length).map(Number), words.map(Number));
      assert.equal(device.tileHash(0n), hash);
      let walk = 0;
      each(ends, (end) => assert.equal(device.walkEnd(walk++), Number(end)));
    });
  },

  'gang_network.json': (file) => {
    const { place } = file;
    const ranks = place.members.map((_, rank) => rank);
    assert.deepEqual(parse('GangPlace', place), place);
    assert.deepEqual(hosts(place), file.hosts);
    assert.deepEqual(environment(place, file.environment_given), file.environment);
    each(ranks, (rank) => {
      const there = { ...place, rank };
      assert.equal(greeting(there).toString('hex'), file.greetings_hex[rank]);
      assert.deepEqual(ranks.map((other) => other !== rank && dials(there, other)), file.dials[rank]);
    });
    each(file.outgoing, ({ about, frame_hex: frameHex, to_rank: to }) =>
      assert.equal(outgoing(place, Buffer.from(frameHex, 'hex')), to, about));
    each(file.incoming, ({ about, frame_hex: frameHex, passes: does }) =>
      assert.equal(passes(place, Buffer.from(frameHex, 'hex'), file.incoming_from_rank), does, about));
  },

  'checkpoints.json': (file) => {
    const { checkpoint } = file;
    assert.deepEqual(parse('Checkpoint', checkpoint), checkpoint);
    assert.deepEqual(readManifest(file.manifest, checkpoint), file.files);
    assert.throws(() => readManifest(`${file.manifest} `, checkpoint), Malformed);
    each(file.refused, ({ why, manifest }) =>
      assert.throws(() => readManifest(manifest, { ...checkpoint, manifest_sha256: sha256(manifest) }), Malformed, why));
  },

  'job_stream.json': ({ words, bytes, no_frames_hex: noFrames }) => {
    each(words, ({ kind, words: said, frame_hex: frameHex }) => {
      assert.equal(jobFrame(kind, said).toString('hex'), frameHex);
      assert.equal(readFrame(Buffer.from(frameHex, 'hex')).kind, kind);
    });
    each(bytes, ({ kind, payload_hex: payloadHex, frame_hex: frameHex }) => {
      assert.equal(jobFrame(kind, Buffer.from(payloadHex, 'hex')).toString('hex'), frameHex);
      assert.equal(readFrame(Buffer.from(frameHex, 'hex')).payload.toString('hex'), payloadHex);
    });
    each(noFrames, (hex) => assert.throws(() => readFrame(Buffer.from(hex, 'hex'))));
  },

  'receipt.json': receiptHolds,
  'receipt_of_use.json': receiptHolds,
};

const wrong = {};
for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
  try {
    const check = CHECKS[name];
    assert.ok(check, `no check of ${name} in tests/interop/js/protocol/check-vectors.mjs: add one`);
    check(parseJson(read(name)), read(name));
    wrong[name] = null;
  } catch (error) {
    wrong[name] = error.stack;
  }
}
console.log(JSON.stringify(wrong));
