// How applications read and listen with @solana/web3.js 1.x, and call our program.

import { base58, call, ledger, until, warp } from './ledger.mjs';
import { Market } from './market.mjs';
import {
  MEMO,
  connect,
  funded,
  pay,
  memo,
  versioned,
  sendVersioned,
  signatureOf,
  nonceAccount,
} from './web3.mjs';

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  Keypair,
  LAMPORTS_PER_SOL as SOL,
  NONCE_ACCOUNT_LENGTH,
  PublicKey,
  SystemProgram,
  Transaction,
  sendAndConfirmTransaction,
} from '@solana/web3.js';

/** What the first notification says, of a subscription that `subscribe` makes; then it ends it. */
function notified(subscribe, unsubscribe) {
  return new Promise((resolve, reject) => {
    const id = subscribe((...values) => unsubscribe(id).then(() => resolve(values), reject));
  });
}

/** A subscription is made in the background: repeat a payment until somebody has heard of it. */
async function whilePaying(connection, payer, to, wait) {
  let heard = false;
  const result = wait().finally(() => (heard = true));
  for (let amount = 1_000_000; !heard; amount += 1) {
    await connection.sendTransaction(new Transaction().add(pay(payer, to, amount)), [payer]);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return result;
}

test('signatures of an address are paged by before, until and limit', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const sent = [];
  for (let number = 0; number < 5; number += 1) {
    sent.unshift(await sendVersioned(connection, [payer], [memo(`note ${number}`)]));
  }
  const all = await connection.getSignaturesForAddress(payer.publicKey);
  assert.deepEqual(
    all.slice(0, 5).map((one) => one.signature),
    sent,
  );
  assert.equal(all.length, 6); // the airdrop
  assert.equal(all[0].memo, '[6] note 4');
  assert.equal(typeof all[0].blockTime, 'number');
  const page = await connection.getSignaturesForAddress(payer.publicKey, {
    before: sent[1],
    until: sent[4],
    limit: 2,
  });
  assert.deepEqual(
    page.map((one) => one.signature),
    [sent[2], sent[3]],
  );
});

test('a block is read whole, in signatures and parsed', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const signature = await sendVersioned(connection, [payer], [pay(payer, MEMO, SOL)]);
  const { slot, blockTime } = await connection.getTransaction(signature, {
    maxSupportedTransactionVersion: 0,
  });
  const config = { maxSupportedTransactionVersion: 0 };
  const block = await connection.getBlock(slot, config);
  const mine = block.transactions.find((one) => one.transaction.signatures[0] === signature);
  assert.equal(mine.version, 0);
  assert.ok(mine.transaction.message.staticAccountKeys[0].equals(payer.publicKey));
  assert.equal(block.blockTime, blockTime);
  assert.equal(await connection.getBlockTime(slot), blockTime);
  assert.ok(block.parentSlot < slot);
  const bare = await connection.getBlock(slot, { ...config, transactionDetails: 'none' });
  assert.equal(bare.transactions, undefined);
  const light = await connection.getBlock(slot, { ...config, transactionDetails: 'accounts' });
  const seen = light.transactions.find((one) => one.transaction.signatures[0] === signature);
  assert.ok(seen.transaction.accountKeys[0].pubkey.equals(payer.publicKey));
  const parsed = await connection.getParsedBlock(slot, config);
  const read = parsed.transactions.find((one) => one.transaction.signatures[0] === signature);
  assert.equal(read.transaction.message.instructions[0].parsed.info.lamports, SOL);
  const { signatures } = await connection.getBlockSignatures(slot);
  assert.ok(signatures.includes(signature));
  assert.ok((await connection.getBlocks(slot, slot + 1)).includes(slot));
  await assert.rejects(
    connection.getBlock(slot),
    /Transaction version \(0\) is not supported by the requesting client/,
  );
});

test('a transaction is read as it was sent, and parsed', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const to = Keypair.generate().publicKey;
  const account = Keypair.generate();
  const rent = await connection.getMinimumBalanceForRentExemption(10);
  const transaction = new Transaction().add(
    pay(payer, to, SOL),
    SystemProgram.createAccount({
      fromPubkey: payer.publicKey,
      newAccountPubkey: account.publicKey,
      lamports: rent,
      space: 10,
      programId: SystemProgram.programId,
    }),
    memo('thanks'),
  );
  const signature = await sendAndConfirmTransaction(connection, transaction, [payer, account]);
  const shown = await connection.getTransaction(signature);
  assert.equal(shown.meta.fee, 10_000);
  assert.equal(shown.transaction.message.header.numRequiredSignatures, 2);
  assert.ok(shown.meta.logMessages.length > 3);
  const parsed = await connection.getParsedTransaction(signature);
  const [payment, creation, note] = parsed.transaction.message.instructions;
  assert.equal(payment.parsed.info.destination, to.toBase58());
  assert.equal(creation.parsed.type, 'createAccount');
  assert.equal(creation.parsed.info.space, 10);
  assert.equal(note.parsed, 'thanks');
  const unknown = base58(new Uint8Array(64).fill(9));
  const [first, second] = await connection.getParsedTransactions([signature, unknown]);
  assert.equal(first.transaction.signatures[0], signature);
  assert.equal(second, null);
});

test('accounts are read in slices, filtered, and many at a time', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const nonce = await nonceAccount(connection, payer);
  const filters = [
    { dataSize: NONCE_ACCOUNT_LENGTH },
    { memcmp: { offset: 8, bytes: payer.publicKey.toBase58() } },
  ];
  const found = await connection.getProgramAccounts(SystemProgram.programId, {
    filters,
    dataSlice: { offset: 8, length: 32 },
  });
  assert.equal(found.length, 1);
  assert.ok(found[0].pubkey.equals(nonce));
  assert.deepEqual(found[0].account.data, payer.publicKey.toBuffer());
  const { context, value } = await connection.getProgramAccounts(SystemProgram.programId, {
    filters,
    withContext: true,
  });
  assert.ok(context.slot > 0);
  assert.equal(value.length, 1);
  const parsed = await connection.getParsedProgramAccounts(SystemProgram.programId, { filters });
  assert.equal(parsed[0].account.data.parsed.info.authority, payer.publicKey.toBase58());
  assert.equal(parsed[0].account.data.parsed.type, 'initialized');
  const nobody = Keypair.generate().publicKey;
  const [one, other, none] = await connection.getMultipleAccountsInfo([
    payer.publicKey,
    nonce,
    nobody,
  ]);
  assert.equal(one.lamports, await connection.getBalance(payer.publicKey));
  assert.equal(other.data.length, NONCE_ACCOUNT_LENGTH);
  assert.equal(none, null);
  const slice = await connection.getAccountInfo(nonce, { dataSlice: { offset: 0, length: 4 } });
  assert.equal(slice.data.length, 4);
  const many = await connection.getMultipleParsedAccounts([nonce]);
  assert.equal(many.value[0].data.program, 'nonce');
});

test('programs are accounts that can be looked into', async () => {
  const connection = connect();
  const program = new PublicKey(ledger.program_id);
  const { value } = await connection.getParsedAccountInfo(program);
  assert.equal(value.executable, true);
  assert.equal(value.data.program, 'bpf-upgradeable-loader');
  assert.equal(value.data.parsed.type, 'program');
  const data = await connection.getParsedAccountInfo(
    new PublicKey(value.data.parsed.info.programData),
  );
  assert.equal(data.value.data.parsed.info.authority, ledger.faucet);
});

test('accounts, programs, logs, slots and roots are subscribed to', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const to = Keypair.generate().publicKey;
  const [account] = await whilePaying(connection, payer, to, () =>
    notified(
      (hear) => connection.onAccountChange(to, hear, { commitment: 'confirmed' }),
      (id) => connection.removeAccountChangeListener(id),
    ),
  );
  assert.ok(account.lamports > 0);
  const [logs] = await whilePaying(connection, payer, to, () =>
    notified(
      (hear) => connection.onLogs(to, hear, 'confirmed'),
      (id) => connection.removeOnLogsListener(id),
    ),
  );
  assert.equal(logs.err, null);
  const [program] = await whilePaying(connection, payer, to, () =>
    notified(
      (hear) =>
        connection.onProgramAccountChange(SystemProgram.programId, hear, {
          commitment: 'confirmed',
          filters: [{ dataSize: 0 }],
        }),
      (id) => connection.removeProgramAccountChangeListener(id),
    ),
  );
  assert.ok(program.accountInfo.lamports > 0);
  const [slot] = await notified(
    (hear) => connection.onSlotChange(hear),
    (id) => connection.removeSlotChangeListener(id),
  );
  assert.ok(slot.slot > slot.parent && slot.parent >= slot.root);
  const [root] = await notified(
    (hear) => connection.onRootChange(hear),
    (id) => connection.removeRootChangeListener(id),
  );
  assert.ok(root > 0);
});

test('a signature subscription says once what became of a transaction', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const transaction = await versioned(connection, [payer], [memo('listen')]);
  const said = new Promise((resolve) =>
    connection.onSignature(signatureOf(transaction), resolve, 'finalized'),
  );
  await connection.sendTransaction(transaction);
  assert.equal((await said).err, null);
});

test('commitments differ, and a context slot can be asked for', async () => {
  const connection = connect();
  const finalized = await connection.getSlot('finalized');
  const processed = await connection.getSlot('processed');
  assert.ok(finalized < processed);
  const payer = Keypair.generate().publicKey;
  const signature = await connection.requestAirdrop(payer, SOL);
  const latest = await connection.getLatestBlockhash();
  await connection.confirmTransaction({ signature, ...latest }, 'finalized');
  assert.equal(await connection.getBalance(payer, 'finalized'), SOL);
  const { context, value } = await connection.getBalanceAndContext(payer);
  assert.equal(value, SOL);
  assert.ok(context.slot >= finalized);
  await assert.rejects(
    connection.getBalance(payer, { minContextSlot: 2 ** 40 }),
    /Minimum context slot has not been reached/,
  );
});

test('the cluster describes itself', async () => {
  const connection = connect();
  const version = await connection.getVersion();
  assert.match(version['solana-core'], /^\d+\.\d+\.\d+$/);
  assert.equal(await connection.getGenesisHash(), ledger.genesis_hash);
  const epoch = await connection.getEpochInfo();
  assert.ok(epoch.absoluteSlot >= epoch.slotIndex && epoch.slotsInEpoch > 0);
  const schedule = await connection.getEpochSchedule();
  assert.equal(schedule.getEpoch(epoch.absoluteSlot), epoch.epoch);
  const [node] = await connection.getClusterNodes();
  assert.equal(await connection.getSlotLeader(), node.pubkey);
  const leaders = await connection.getSlotLeaders(epoch.absoluteSlot, 3);
  assert.deepEqual(leaders.map(String), [node.pubkey, node.pubkey, node.pubkey]);
  assert.deepEqual(Object.keys(await connection.getLeaderSchedule()), [node.pubkey]);
  const { current, delinquent } = await connection.getVoteAccounts();
  assert.equal(current[0].nodePubkey, node.pubkey);
  assert.deepEqual(delinquent, []);
  const { value: supply } = await connection.getSupply();
  assert.equal(supply.total, supply.circulating + supply.nonCirculating);
  assert.deepEqual(supply.nonCirculatingAccounts, []);
  const { value: largest } = await connection.getLargestAccounts({ filter: 'circulating' });
  assert.equal(largest[0].address.toBase58(), ledger.faucet);
  assert.ok(largest.length <= 20);
  const governor = await connection.getInflationGovernor();
  assert.equal(governor.terminal, 0);
  assert.equal((await connection.getInflationRate()).total, 0);
  assert.deepEqual(
    await connection.getInflationReward(
      [node.pubkey].map((k) => new PublicKey(k)),
      0,
    ),
    [null],
  );
  await warp(150); // a minute: samples are of whole ones
  const [sample] = await connection.getRecentPerformanceSamples(1);
  assert.ok(sample.numSlots > 0 && sample.samplePeriodSecs > 0);
  const production = await connection.getBlockProduction();
  assert.ok(node.pubkey in production.value.byIdentity);
  assert.ok((await connection.getStakeMinimumDelegation()).value > 0);
  assert.ok((await connection.getTransactionCount()) > 0);
  assert.ok((await connection.getFirstAvailableBlock()) <= epoch.absoluteSlot);
  assert.ok((await connection.getMinimumLedgerSlot()) <= epoch.absoluteSlot);
  assert.ok((await connection.getBlockHeight()) > 0);
});

test('our program is called through its interface description', async () => {
  const connection = connect();
  const owner = await funded(connection);
  await call('neurogrid_requestUsdc', owner.publicKey.toBase58(), 5_000_000);
  const market = new Market();
  const parties = market.parties(owner.publicKey);
  await sendVersioned(
    connection,
    [owner],
    [
      market.instruction('open_client', {}, parties),
      market.instruction('deposit', { amount: 3_000_000n }, parties),
    ],
  );
  const { data } = await connection.getAccountInfo(market.client(owner.publicKey));
  const client = market.read('client', data);
  assert.equal(client.balance, 3_000_000n);
  assert.equal(client.locked, 0n);
  assert.ok(client.owner.equals(owner.publicKey));
  const named = market.idl.errors.find((one) => one.name === 'MISSING_SIGNER');
  const bare = market.instruction('deposit', { amount: 1n }, parties);
  bare.keys[0].isSigner = false;
  await assert.rejects(
    versioned(connection, [await funded(connection)], [bare]).then((one) =>
      connection.sendTransaction(one),
    ),
    (error) => error.message.includes(`custom program error: 0x${named.code.toString(16)}`),
  );
});
