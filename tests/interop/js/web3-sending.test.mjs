// How applications send and confirm with @solana/web3.js 1.x.

import { base58, until, warp } from './ledger.mjs';
import {
  MEMO,
  connect,
  funded,
  pay,
  memo,
  versioned,
  sendVersioned,
  signatureOf,
  nextSlot,
  nonceAccount,
} from './web3.mjs';

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  AddressLookupTableProgram,
  ComputeBudgetProgram,
  Keypair,
  LAMPORTS_PER_SOL as SOL,
  NonceAccount,
  PublicKey,
  SendTransactionError,
  SystemProgram,
  Transaction,
  TransactionExpiredBlockheightExceededError,
  TransactionExpiredNonceInvalidError,
  sendAndConfirmRawTransaction,
  sendAndConfirmTransaction,
} from '@solana/web3.js';

const LOOKUP_TABLE_COOLDOWN_SLOTS = 520;

test('an airdrop is confirmed over the websocket', async () => {
  const connection = connect();
  const wallet = await funded(connection, 3 * SOL);
  assert.equal(await connection.getBalance(wallet.publicKey), 3 * SOL);
});

test('a transfer costs what it moves and its fee', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const to = Keypair.generate().publicKey;
  const transaction = new Transaction().add(pay(payer, to, SOL));
  const signature = await sendAndConfirmTransaction(connection, transaction, [payer]);
  assert.equal(await connection.getBalance(to), SOL);
  assert.equal(await connection.getBalance(payer.publicKey), 9 * SOL - 5000);
  const { value } = await connection.getSignatureStatus(signature);
  assert.equal(value.err, null);
  assert.ok(['confirmed', 'finalized'].includes(value.confirmationStatus));
});

test('raw bytes are sent and confirmed', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const to = Keypair.generate().publicKey;
  const latest = await connection.getLatestBlockhash();
  const transaction = new Transaction({ feePayer: payer.publicKey, ...latest });
  transaction.add(pay(payer, to, SOL));
  transaction.sign(payer);
  const strategy = { signature: signatureOf(transaction), ...latest };
  await sendAndConfirmRawTransaction(connection, transaction.serialize(), strategy);
  assert.equal(await connection.getBalance(to), SOL);
});

test('a transaction is confirmed by polling, up to finalized', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const transaction = await versioned(connection, [payer], [pay(payer, payer.publicKey, 1)]);
  const signature = await connection.sendTransaction(transaction, { maxRetries: 0 });
  const status = await until(async () => {
    const { value } = await connection.getSignatureStatuses([signature]);
    return value[0]?.confirmationStatus === 'finalized' && value[0];
  });
  assert.equal(status.err, null);
  assert.equal(status.confirmations, null);
});

test('what was never sent expires with its block height', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const { blockhash } = await connection.getLatestBlockhash();
  const transaction = await versioned(connection, [payer], [memo('unsent')], { blockhash });
  const lastValidBlockHeight = (await connection.getBlockHeight()) + 1;
  await assert.rejects(
    connection.confirmTransaction({
      signature: signatureOf(transaction),
      blockhash,
      lastValidBlockHeight,
    }),
    TransactionExpiredBlockheightExceededError,
  );
});

test('a confirmation can be aborted', async () => {
  const connection = connect();
  const latest = await connection.getLatestBlockhash();
  const abort = new AbortController();
  const confirmation = connection.confirmTransaction({
    signature: base58(new Uint8Array(64).fill(7)),
    abortSignal: abort.signal,
    ...latest,
  });
  abort.abort(new Error('enough'));
  await assert.rejects(confirmation, /enough/);
});

test('a blockhash is valid until it is too old', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const { blockhash } = await connection.getLatestBlockhash();
  assert.equal((await connection.isBlockhashValid(blockhash)).value, true);
  await warp(151);
  assert.equal((await connection.isBlockhashValid(blockhash)).value, false);
  const late = await versioned(connection, [payer], [memo('late')], { blockhash });
  await assert.rejects(connection.sendTransaction(late), /Blockhash not found/);
});

async function withNonce(connection, payer, account, instruction) {
  const { context, value } = await connection.getNonceAndContext(account);
  const transaction = new Transaction({
    feePayer: payer.publicKey,
    minContextSlot: context.slot,
    nonceInfo: {
      nonce: value.nonce,
      nonceInstruction: SystemProgram.nonceAdvance({
        noncePubkey: account,
        authorizedPubkey: payer.publicKey,
      }),
    },
  });
  return transaction.add(instruction);
}

test('a durable nonce outlives its blockhash and works once', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const to = Keypair.generate().publicKey;
  const account = await nonceAccount(connection, payer);
  await nextSlot(connection);
  const transaction = await withNonce(connection, payer, account, pay(payer, to, SOL));
  const nonce = transaction.nonceInfo.nonce;
  await warp(200);
  await sendAndConfirmTransaction(connection, transaction, [payer]);
  assert.equal(await connection.getBalance(to), SOL);
  const after = await connection.getNonce(account);
  assert.notEqual(after.nonce, nonce);
  assert.ok(after.authorizedPubkey.equals(payer.publicKey));
  assert.equal(after.feeCalculator.lamportsPerSignature, 5000);

  const again = new Transaction({
    feePayer: payer.publicKey,
    minContextSlot: transaction.minContextSlot,
    nonceInfo: { nonce, nonceInstruction: transaction.nonceInfo.nonceInstruction },
  }).add(pay(payer, to, 2 * SOL));
  again.sign(payer);
  await assert.rejects(
    connection.sendRawTransaction(again.serialize()),
    (error) => error instanceof SendTransactionError && /Blockhash not found/.test(error.message),
  );
  await assert.rejects(
    connection.confirmTransaction({
      signature: signatureOf(again),
      nonceAccountPubkey: account,
      nonceValue: nonce,
      minContextSlot: transaction.minContextSlot,
    }),
    TransactionExpiredNonceInvalidError,
  );
});

test('a nonce account changes hands and is withdrawn', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const heir = await funded(connection);
  const account = await nonceAccount(connection, payer);
  const authorize = SystemProgram.nonceAuthorize({
    noncePubkey: account,
    authorizedPubkey: payer.publicKey,
    newAuthorizedPubkey: heir.publicKey,
  });
  await sendAndConfirmTransaction(connection, new Transaction().add(authorize), [payer]);
  await nextSlot(connection);
  const { data, lamports } = await connection.getAccountInfo(account);
  assert.ok(NonceAccount.fromAccountData(data).authorizedPubkey.equals(heir.publicKey));
  const withdraw = SystemProgram.nonceWithdraw({
    noncePubkey: account,
    authorizedPubkey: heir.publicKey,
    toPubkey: heir.publicKey,
    lamports,
  });
  await sendVersioned(connection, [heir], [withdraw]);
  assert.equal(await connection.getAccountInfo(account), null);
});

test('an address lookup table is created, extended, used, deactivated and closed', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const [create, address] = AddressLookupTableProgram.createLookupTable({
    authority: payer.publicKey,
    payer: payer.publicKey,
    recentSlot: await connection.getSlot('finalized'),
  });
  await sendVersioned(connection, [payer], [create]);
  const payees = Array.from({ length: 25 }, () => Keypair.generate().publicKey);
  const extend = AddressLookupTableProgram.extendLookupTable({
    lookupTable: address,
    authority: payer.publicKey,
    payer: payer.publicKey,
    addresses: payees,
  });
  await sendVersioned(connection, [payer], [extend]);
  // New addresses can be looked up from the next slot on.
  await nextSlot(connection);
  const { value: table } = await connection.getAddressLookupTable(address);
  assert.equal(table.state.addresses.length, 25);
  assert.ok(table.isActive());

  const payments = payees.map((to) => pay(payer, to, SOL / 100));
  await assert.rejects(versioned(connection, [payer], payments).then((one) => one.serialize()));
  const signature = await sendVersioned(connection, [payer], payments, { tables: [table] });
  assert.equal(await connection.getBalance(payees[24]), SOL / 100);
  const shown = await connection.getTransaction(signature, { maxSupportedTransactionVersion: 0 });
  assert.equal(shown.version, 0);
  assert.equal(shown.meta.loadedAddresses.writable.length, 25);
  const parsed = await connection.getParsedTransaction(signature, {
    maxSupportedTransactionVersion: 0,
  });
  const sources = parsed.transaction.message.accountKeys.map((key) => key.source);
  assert.equal(sources.filter((source) => source === 'lookupTable').length, 25);
  const info = await connection.getParsedAccountInfo(address);
  assert.equal(info.value.data.program, 'address-lookup-table');
  assert.equal(info.value.data.parsed.info.addresses[3], payees[3].toBase58());

  const common = { lookupTable: address, authority: payer.publicKey };
  await sendVersioned(
    connection,
    [payer],
    [AddressLookupTableProgram.deactivateLookupTable(common)],
  );
  const close = AddressLookupTableProgram.closeLookupTable({
    ...common,
    recipient: payer.publicKey,
  });
  await assert.rejects(sendVersioned(connection, [payer], [close]), SendTransactionError);
  await warp(LOOKUP_TABLE_COOLDOWN_SLOTS);
  await sendVersioned(connection, [payer], [close]);
  assert.equal((await connection.getAddressLookupTable(address)).value, null);
});

test('a refused preflight is a SendTransactionError with its logs', async () => {
  const connection = connect();
  const payer = await funded(connection, SOL);
  const transaction = await versioned(connection, [payer], [pay(payer, MEMO, 2 * SOL)]);
  await assert.rejects(connection.sendTransaction(transaction), (error) => {
    assert.ok(error instanceof SendTransactionError);
    assert.match(error.message, /Simulation failed/);
    assert.match(error.transactionError.message, /custom program error: 0x1/);
    assert.ok(error.logs.some((line) => line.includes('insufficient lamports')));
    return true;
  });
});

test('without preflight a failing transaction lands and its error is confirmed', async () => {
  const connection = connect();
  const payer = await funded(connection, SOL);
  const latest = await connection.getLatestBlockhash();
  const transaction = await versioned(connection, [payer], [pay(payer, MEMO, 2 * SOL)], latest);
  const signature = await connection.sendTransaction(transaction, { skipPreflight: true });
  // web3.js throws the error itself where it finds the status before its subscription tells it.
  const error = await connection.confirmTransaction({ signature, ...latest }).then(
    ({ value }) => value.err,
    (thrown) => thrown,
  );
  assert.deepEqual(error, { InstructionError: [0, { Custom: 1 }] });
  assert.equal(await connection.getBalance(payer.publicKey), SOL - 5000);
});

test('simulation replaces the blockhash and shows accounts, logs and inner instructions', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const to = Keypair.generate().publicKey;
  const old = await versioned(connection, [payer], [pay(payer, to, SOL), memo('hello')], {
    blockhash: PublicKey.default.toBase58(),
  });
  const refused = await connection.simulateTransaction(old);
  assert.equal(refused.value.err, 'BlockhashNotFound');
  const { value } = await connection.simulateTransaction(old, {
    replaceRecentBlockhash: true,
    innerInstructions: true,
    accounts: { encoding: 'base64', addresses: [to.toBase58()] },
  });
  assert.equal(value.err, null);
  assert.equal(value.accounts[0].lamports, SOL);
  assert.ok(value.logs.some((line) => line.includes('hello')));
  assert.ok(value.unitsConsumed > 0);
  assert.deepEqual(value.innerInstructions, []);
  assert.ok(value.replacementBlockhash.blockhash);
  assert.equal(await connection.getBalance(to), 0);
});

test('simulation verifies signatures when asked to', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const transaction = await versioned(connection, [payer], [memo('hello')]);
  const { value } = await connection.simulateTransaction(transaction, { sigVerify: true });
  assert.equal(value.err, null);
  transaction.signatures[0] = new Uint8Array(64).fill(1);
  await assert.rejects(
    connection.simulateTransaction(transaction, { sigVerify: true }),
    /signature verification failure/,
  );
  const legacy = new Transaction().add(memo('legacy'));
  assert.equal((await connection.simulateTransaction(legacy, [payer])).value.err, null);
});

test('fees follow signatures and priority', async () => {
  const connection = connect();
  const payer = await funded(connection);
  const budget = [
    ComputeBudgetProgram.setComputeUnitLimit({ units: 10_000 }),
    ComputeBudgetProgram.setComputeUnitPrice({ microLamports: 1_000_000 }),
  ];
  const transaction = await versioned(connection, [payer], [...budget, memo('dear')]);
  const fee = await connection.getFeeForMessage(transaction.message);
  assert.equal(fee.value, 15_000);
  await connection.sendTransaction(transaction);
  assert.equal(await connection.getBalance(payer.publicKey), 10 * SOL - 15_000);
  const recent = await connection.getRecentPrioritizationFees({
    lockedWritableAccounts: [payer.publicKey],
  });
  assert.ok(recent.every((one) => one.slot >= 0 && one.prioritizationFee >= 0));
  assert.equal(
    await new Transaction({
      feePayer: payer.publicKey,
      ...(await connection.getLatestBlockhash()),
    })
      .add(memo('cheap'))
      .getEstimatedFee(connection),
    5000,
  );
});
