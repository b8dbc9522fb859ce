// What applications read and follow with @solana/kit.

import { confirmed, funded, memo, nonceAccount, pay, rpc, rpcSubscriptions, send } from './kit.mjs';
import { ledger } from './ledger.mjs';

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_MIN_CONTEXT_SLOT_NOT_REACHED,
  address,
  fetchEncodedAccount,
  fetchEncodedAccounts,
  fetchJsonParsedAccount,
  generateKeyPairSigner,
  getAddressDecoder,
  getAddressEncoder,
  getBase64Encoder,
  getProgramDerivedAddress,
  getStructDecoder,
  getU64Decoder,
  getU8Decoder,
  isSolanaError,
} from '@solana/kit';
import { SYSTEM_PROGRAM_ADDRESS } from '@solana-program/system';

/** The first notification of a subscription that satisfies `wanted`, while `act` repeats. */
async function notified(subscription, act = async () => {}, wanted = () => true) {
  const abort = new AbortController();
  const notifications = await subscription.subscribe({ abortSignal: abort.signal });
  let heard = false;
  const acting = (async () => {
    while (!heard) {
      await act();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  try {
    for await (const notification of notifications) if (wanted(notification)) return notification;
    throw new Error('the subscription ended');
  } finally {
    heard = true;
    abort.abort();
    await acting;
  }
}

test('accounts are fetched, sliced, filtered and parsed', async () => {
  const payer = await funded();
  const nonce = await nonceAccount(payer);
  const [mine, none] = await fetchEncodedAccounts(
    rpc,
    [payer.address, (await generateKeyPairSigner()).address],
    confirmed,
  );
  assert.equal(mine.exists, true);
  assert.equal(none.exists, false);
  const parsed = await fetchJsonParsedAccount(rpc, nonce, confirmed);
  assert.equal(parsed.data.parsedAccountMeta.program, 'nonce');
  assert.equal(parsed.data.authority, payer.address);
  const { value } = await rpc
    .getProgramAccounts(SYSTEM_PROGRAM_ADDRESS, {
      ...confirmed,
      encoding: 'base64',
      withContext: true,
      dataSlice: { offset: 8, length: 32 },
      filters: [
        { dataSize: 80n },
        { memcmp: { offset: 8n, bytes: payer.address, encoding: 'base58' } },
      ],
    })
    .send();
  assert.deepEqual(
    value.map((one) => one.pubkey),
    [nonce],
  );
  const [data] = value[0].account.data;
  assert.equal(getAddressDecoder().decode(getBase64Encoder().encode(data)), payer.address);
  const packed = await rpc.getAccountInfo(nonce, { ...confirmed, encoding: 'base64+zstd' }).send();
  assert.equal(packed.value.data[1], 'base64+zstd');
  const { value: many } = await rpc
    .getMultipleAccounts([nonce], { ...confirmed, encoding: 'jsonParsed' })
    .send();
  assert.equal(many[0].data.program, 'nonce');
});

test('our market account decodes from the layout in idl.json', async () => {
  const described = ledger.idl.accounts.find((one) => one.name === 'config');
  const { fields } = described;
  const head = fields.slice(0, 4);
  const [config] = await getProgramDerivedAddress({
    programAddress: address(ledger.program_id),
    seeds: [
      'config',
      getAddressEncoder().encode(address(ledger.market_admin)),
      getAddressEncoder().encode(address(ledger.usdc_mint)),
    ],
  });
  const account = await fetchEncodedAccount(rpc, config, confirmed);
  assert.equal(account.programAddress, ledger.program_id);
  const decoded = getStructDecoder(head.map((one) => [one.name, getU8Decoder()])).decode(
    account.data,
  );
  assert.equal(decoded.tag, described.tag);
  assert.equal(decoded.version, described.version);
  const minStake = fields.find((one) => one.name === 'min_stake');
  assert.ok(getU64Decoder().read(account.data, minStake.offset)[0] > 0n);
  const admin = fields.find((one) => one.name === 'admin');
  assert.equal(getAddressDecoder().read(account.data, admin.offset)[0], ledger.market_admin);
});

test('accounts, programs, logs, signatures, slots and roots are subscribed to', async () => {
  const payer = await funded();
  const { address: to } = await generateKeyPairSigner();
  let amount = 1_000_000n;
  const act = () => send(payer, [pay(payer, to, (amount += 1n))]);
  const account = await notified(rpcSubscriptions.accountNotifications(to, confirmed), act);
  assert.ok(account.value.lamports > 0n);
  const program = await notified(
    rpcSubscriptions.programNotifications(SYSTEM_PROGRAM_ADDRESS, {
      ...confirmed,
      encoding: 'base64',
    }),
    act,
    ({ value }) => value.pubkey === to,
  );
  assert.ok(program.value.account.lamports > 0n);
  const logs = await notified(
    rpcSubscriptions.logsNotifications({ mentions: [to] }, confirmed),
    act,
  );
  assert.equal(logs.value.err, null);
  const all = await notified(rpcSubscriptions.logsNotifications('all', confirmed), act);
  assert.ok(all.value.signature);
  const slot = await notified(rpcSubscriptions.slotNotifications());
  assert.ok(slot.slot > slot.root);
  assert.ok((await notified(rpcSubscriptions.rootNotifications())) > 0n);
});

test('signatures of an address and the blocks they are in', async () => {
  const payer = await funded();
  const sent = [];
  for (const note of ['a', 'b', 'c']) {
    sent.unshift(await send(payer, [memo(note, [payer])]));
  }
  const page = await rpc
    .getSignaturesForAddress(payer.address, { ...confirmed, before: sent[0], limit: 2 })
    .send();
  assert.deepEqual(
    page.map((one) => one.signature),
    sent.slice(1),
  );
  assert.equal(page[0].memo, '[1] b');
  const block = await rpc
    .getBlock(page[0].slot, {
      ...confirmed,
      encoding: 'jsonParsed',
      maxSupportedTransactionVersion: 0,
      rewards: false,
    })
    .send();
  const mine = block.transactions.find((one) => one.transaction.signatures[0] === sent[1]);
  assert.equal(mine.transaction.message.instructions[0].parsed, 'b');
  assert.equal(await rpc.getBlockTime(page[0].slot).send(), block.blockTime);
  const slots = await rpc.getBlocks(page[0].slot, page[0].slot, confirmed).send();
  assert.deepEqual(slots, [page[0].slot]);
  const limited = await rpc.getBlocksWithLimit(page[0].slot, 1, confirmed).send();
  assert.deepEqual(limited, [page[0].slot]);
});

test('the cluster answers what nodes answer', async () => {
  const identity = (await rpc.getIdentity().send()).identity;
  assert.equal(await rpc.getHealth().send(), 'ok');
  assert.equal(await rpc.getGenesisHash().send(), ledger.genesis_hash);
  assert.match((await rpc.getVersion().send())['solana-core'], /^\d+\.\d+\.\d+$/);
  const epoch = await rpc.getEpochInfo(confirmed).send();
  assert.ok(epoch.absoluteSlot >= epoch.slotIndex);
  assert.equal((await rpc.getEpochSchedule().send()).slotsPerEpoch, epoch.slotsInEpoch);
  assert.equal(await rpc.getSlotLeader(confirmed).send(), identity);
  assert.deepEqual(await rpc.getSlotLeaders(epoch.absoluteSlot, 2).send(), [identity, identity]);
  const schedule = await rpc
    .getLeaderSchedule(epoch.absoluteSlot, { ...confirmed, identity })
    .send();
  assert.equal(BigInt(schedule[identity].length), epoch.slotsInEpoch);
  assert.equal((await rpc.getVoteAccounts(confirmed).send()).current[0].nodePubkey, identity);
  assert.equal((await rpc.getClusterNodes().send())[0].pubkey, identity);
  const { value: supply } = await rpc
    .getSupply({ ...confirmed, excludeNonCirculatingAccountsList: true })
    .send();
  assert.equal(supply.nonCirculating, 0n);
  const { value: largest } = await rpc.getLargestAccounts(confirmed).send();
  assert.equal(largest[0].address, ledger.faucet);
  assert.equal((await rpc.getInflationGovernor(confirmed).send()).initial, 0);
  assert.equal((await rpc.getInflationRate().send()).total, 0);
  assert.deepEqual(await rpc.getInflationReward([identity], { epoch: 0n }).send(), [null]);
  assert.ok((await rpc.getStakeMinimumDelegation(confirmed).send()).value > 0n);
  const production = await rpc.getBlockProduction({ ...confirmed, identity }).send();
  assert.equal(production.value.byIdentity[identity].length, 2);
  assert.equal((await rpc.getBlockCommitment(epoch.absoluteSlot).send()).totalStake, 0n);
  assert.ok((await rpc.getMaxRetransmitSlot().send()) >= epoch.absoluteSlot);
  assert.ok((await rpc.getMaxShredInsertSlot().send()) >= epoch.absoluteSlot);
  await assert.rejects(rpc.getHighestSnapshotSlot().send(), /snapshot/i);
  assert.ok((await rpc.getTransactionCount(confirmed).send()) > 0n);
  assert.ok((await rpc.getFirstAvailableBlock().send()) <= epoch.absoluteSlot);
  assert.ok((await rpc.minimumLedgerSlot().send()) <= epoch.absoluteSlot);
  await assert.rejects(rpc.getSlot({ minContextSlot: 2n ** 40n }).send(), (error) =>
    isSolanaError(error, SOLANA_ERROR__JSON_RPC__SERVER_ERROR_MIN_CONTEXT_SLOT_NOT_REACHED),
  );
});
