// How applications send with @solana/kit: lifetimes, simulation, lookup tables.

import {
  balance,
  confirmed,
  funded,
  memo,
  message,
  nextSlot,
  nonceAccount,
  pay,
  rpc,
  rpcSubscriptions,
  send,
  sendAndConfirm,
  SOL,
} from './kit.mjs';
import { warp } from './ledger.mjs';

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  SOLANA_ERROR__BLOCK_HEIGHT_EXCEEDED,
  SOLANA_ERROR__INVALID_NONCE,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE,
  address,
  appendTransactionMessageInstructions,
  compressTransactionMessageUsingAddressLookupTables,
  createTransactionMessage,
  fetchAddressesForLookupTables,
  generateKeyPairSigner,
  getAddressEncoder,
  getBase64EncodedWireTransaction,
  getBase64Decoder,
  getBase64Encoder,
  getCompiledTransactionMessageDecoder,
  getCompiledTransactionMessageEncoder,
  getProgramDerivedAddress,
  getSignatureFromTransaction,
  getTransactionDecoder,
  getU64Encoder,
  isSolanaError,
  compileTransactionMessage,
  pipe,
  sendAndConfirmDurableNonceTransactionFactory,
  sendAndConfirmTransactionFactory,
  sendTransactionWithoutConfirmingFactory,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingDurableNonce,
  signTransactionMessageWithSigners,
} from '@solana/kit';
import { SYSTEM_PROGRAM_ADDRESS, fetchNonce } from '@solana-program/system';

const LOOKUP_TABLE_PROGRAM = address('AddressLookupTab1e1111111111111111111111111');

const sendAndConfirmWithNonce = sendAndConfirmDurableNonceTransactionFactory({
  rpc,
  rpcSubscriptions,
});

test('an airdrop and a transfer are sent and confirmed', async () => {
  const payer = await funded();
  const { address: to } = await generateKeyPairSigner();
  const signature = await send(payer, [pay(payer, to, SOL)]);
  assert.equal(await balance(to), SOL);
  assert.equal(await balance(payer.address), 9n * SOL - 5000n);
  const { value } = await rpc.getSignatureStatuses([signature]).send();
  assert.equal(value[0].err, null);
});

test('a transaction is confirmed as finalized', async () => {
  const payer = await funded();
  const transaction = await signTransactionMessageWithSigners(
    await message(payer, [memo('final')]),
  );
  await sendAndConfirm(transaction, { commitment: 'finalized', preflightCommitment: 'confirmed' });
  const signature = getSignatureFromTransaction(transaction);
  const shown = await rpc
    .getTransaction(signature, { encoding: 'json', maxSupportedTransactionVersion: 0 })
    .send();
  assert.equal(shown.version, 0);
});

test('a transaction whose blockhash is too old is refused, and one never sent expires', async () => {
  const payer = await funded();
  const { value: latest } = await rpc.getLatestBlockhash(confirmed).send();
  const old = { ...latest, lastValidBlockHeight: latest.lastValidBlockHeight - 149n };
  await warp(1);
  const unsent = await signTransactionMessageWithSigners(
    await message(payer, [memo('unsent')], old),
  );
  // Its request is lost; the rest is the ledger's.
  const silent = {
    sendTransaction: () => ({ send: async () => getSignatureFromTransaction(unsent) }),
    getEpochInfo: (...args) => rpc.getEpochInfo(...args),
    getSignatureStatuses: (...args) => rpc.getSignatureStatuses(...args),
  };
  const lost = sendAndConfirmTransactionFactory({ rpc: silent, rpcSubscriptions });
  await assert.rejects(lost(unsent, confirmed), (error) =>
    isSolanaError(error, SOLANA_ERROR__BLOCK_HEIGHT_EXCEEDED),
  );
  await warp(151);
  await assert.rejects(sendAndConfirm(unsent, confirmed), (error) =>
    isSolanaError(error, SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE),
  );
});

test('a durable nonce transaction is confirmed, and a used nonce is not', async () => {
  const payer = await funded();
  const { address: to } = await generateKeyPairSigner();
  const account = await nonceAccount(payer);
  const { data } = await fetchNonce(rpc, account, confirmed);
  assert.equal(data.authority, payer.address);
  const withNonce = (amount) =>
    signTransactionMessageWithSigners(
      pipe(
        createTransactionMessage({ version: 0 }),
        (one) => setTransactionMessageFeePayerSigner(payer, one),
        (one) =>
          setTransactionMessageLifetimeUsingDurableNonce(
            {
              nonce: data.blockhash,
              nonceAccountAddress: account,
              nonceAuthorityAddress: payer.address,
            },
            one,
          ),
        (one) => appendTransactionMessageInstructions([pay(payer, to, amount)], one),
      ),
    );
  const [first, second] = [await withNonce(SOL), await withNonce(2n * SOL)];
  await sendAndConfirmWithNonce(first, confirmed);
  assert.equal(await balance(to), SOL);
  await assert.rejects(
    sendAndConfirmWithNonce(second, { ...confirmed, skipPreflight: true }),
    (error) => isSolanaError(error, SOLANA_ERROR__INVALID_NONCE),
  );
});

test('a refused preflight is an error with its cause and logs', async () => {
  const payer = await funded(SOL);
  const { address: to } = await generateKeyPairSigner();
  await assert.rejects(send(payer, [pay(payer, to, 2n * SOL)]), (error) => {
    assert.ok(
      isSolanaError(error, SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE),
    );
    assert.ok(error.context.logs.some((line) => line.includes('insufficient lamports')));
    assert.equal(error.cause.context.code, 1);
    return true;
  });
});

test('a transaction is simulated with every option', async () => {
  const payer = await funded();
  const { address: to } = await generateKeyPairSigner();
  const zero = { blockhash: SYSTEM_PROGRAM_ADDRESS, lastValidBlockHeight: 0n };
  const transaction = await signTransactionMessageWithSigners(
    await message(payer, [pay(payer, to, SOL)], zero),
  );
  const wire = getBase64EncodedWireTransaction(transaction);
  const { value } = await rpc
    .simulateTransaction(wire, {
      ...confirmed,
      encoding: 'base64',
      replaceRecentBlockhash: true,
      innerInstructions: true,
      accounts: { addresses: [to], encoding: 'jsonParsed' },
    })
    .send();
  assert.equal(value.err, null);
  assert.equal(value.accounts[0].lamports, SOL);
  assert.ok(value.unitsConsumed > 0n);
  assert.ok(value.replacementBlockhash.lastValidBlockHeight > 0n);
  assert.deepEqual(value.innerInstructions, []);
  const checked = await rpc
    .simulateTransaction(wire, { ...confirmed, encoding: 'base64', sigVerify: true })
    .send();
  assert.equal(checked.value.err, 'BlockhashNotFound');
});

test('the fee of a message is asked for', async () => {
  const payer = await funded();
  const compiled = compileTransactionMessage(await message(payer, [memo('fee')]));
  const bytes = getCompiledTransactionMessageEncoder().encode(compiled);
  const { value } = await rpc.getFeeForMessage(getBase64Decoder().decode(bytes), confirmed).send();
  assert.equal(value, 5000n);
  const fees = await rpc.getRecentPrioritizationFees([payer.address]).send();
  assert.ok(fees.length > 0);
});

test('sent bytes decode to what was signed', async () => {
  const payer = await funded();
  const transaction = await signTransactionMessageWithSigners(
    await message(payer, [memo('round trip')]),
  );
  const unconfirmed = sendTransactionWithoutConfirmingFactory({ rpc });
  await unconfirmed(transaction, confirmed);
  const signature = getSignatureFromTransaction(transaction);
  const shown = await rpc
    .getTransaction(signature, {
      ...confirmed,
      encoding: 'base64',
      maxSupportedTransactionVersion: 0,
    })
    .send();
  const decoded = getTransactionDecoder().decode(getBase64Encoder().encode(shown.transaction[0]));
  assert.deepEqual(decoded.messageBytes, transaction.messageBytes);
  assert.deepEqual(decoded.signatures, transaction.signatures);
  const compiled = getCompiledTransactionMessageDecoder().decode(decoded.messageBytes);
  assert.equal(compiled.staticAccounts[0], payer.address);
});

test('a message is compressed with a lookup table', async () => {
  const payer = await funded();
  const recentSlot = await rpc.getSlot({ commitment: 'finalized' }).send();
  const slotBytes = getU64Encoder().encode(recentSlot);
  const [table, bump] = await getProgramDerivedAddress({
    programAddress: LOOKUP_TABLE_PROGRAM,
    seeds: [getAddressEncoder().encode(payer.address), slotBytes],
  });
  const payees = [];
  for (let count = 0; count < 20; count += 1) payees.push((await generateKeyPairSigner()).address);
  const accounts = [
    { address: table, role: 1 },
    { address: payer.address, role: 2, signer: payer },
    { address: payer.address, role: 3, signer: payer },
    { address: SYSTEM_PROGRAM_ADDRESS, role: 0 },
  ];
  await send(payer, [
    {
      programAddress: LOOKUP_TABLE_PROGRAM,
      accounts,
      data: new Uint8Array([0, 0, 0, 0, ...slotBytes, bump]),
    },
    {
      programAddress: LOOKUP_TABLE_PROGRAM,
      accounts,
      data: new Uint8Array([
        ...[2, 0, 0, 0],
        ...getU64Encoder().encode(BigInt(payees.length)),
        ...payees.flatMap((one) => [...getAddressEncoder().encode(one)]),
      ]),
    },
  ]);
  await nextSlot();
  const tables = await fetchAddressesForLookupTables([table], rpc, confirmed);
  assert.deepEqual(tables[table], payees);
  const payments = payees.map((to) => pay(payer, to, SOL / 100n));
  const compressed = compressTransactionMessageUsingAddressLookupTables(
    await message(payer, payments),
    tables,
  );
  const transaction = await signTransactionMessageWithSigners(compressed);
  await sendAndConfirm(transaction, confirmed);
  assert.equal(await balance(payees[19]), SOL / 100n);
});
