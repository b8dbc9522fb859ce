// What applications do with @solana/kit and the program clients made for it.

import { ledger, until, warp } from './ledger.mjs';

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  SOLANA_ERROR__BLOCK_HEIGHT_EXCEEDED,
  SOLANA_ERROR__INVALID_NONCE,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_MIN_CONTEXT_SLOT_NOT_REACHED,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE,
  address,
  airdropFactory,
  appendTransactionMessageInstructions,
  compressTransactionMessageUsingAddressLookupTables,
  createSolanaRpc,
  createSolanaRpcSubscriptions,
  createTransactionMessage,
  fetchAddressesForLookupTables,
  fetchEncodedAccount,
  fetchEncodedAccounts,
  fetchJsonParsedAccount,
  generateKeyPairSigner,
  getAddressDecoder,
  getAddressEncoder,
  getBase64EncodedWireTransaction,
  getBase64Decoder,
  getBase64Encoder,
  getCompiledTransactionMessageDecoder,
  getCompiledTransactionMessageEncoder,
  getProgramDerivedAddress,
  getSignatureFromTransaction,
  getStructDecoder,
  getTransactionDecoder,
  getU64Decoder,
  getU64Encoder,
  getU8Decoder,
  isSolanaError,
  lamports,
  compileTransactionMessage,
  pipe,
  sendAndConfirmDurableNonceTransactionFactory,
  sendAndConfirmTransactionFactory,
  sendTransactionWithoutConfirmingFactory,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  setTransactionMessageLifetimeUsingDurableNonce,
  signTransactionMessageWithSigners,
} from '@solana/kit';
import { getAddMemoInstruction } from '@solana-program/memo';
import {
  SYSTEM_PROGRAM_ADDRESS,
  fetchNonce,
  getCreateAccountInstruction,
  getInitializeNonceAccountInstruction,
  getNonceSize,
  getTransferSolInstruction,
} from '@solana-program/system';
import {
  TOKEN_PROGRAM_ADDRESS,
  fetchMint,
  fetchToken,
  findAssociatedTokenPda,
  getApproveInstruction,
  getBurnCheckedInstruction,
  getCloseAccountInstruction,
  getCreateAssociatedTokenIdempotentInstructionAsync,
  getFreezeAccountInstruction,
  getInitializeMint2Instruction,
  getMintSize,
  getMintToCheckedInstruction,
  getRevokeInstruction,
  getThawAccountInstruction,
  getTransferCheckedInstruction,
} from '@solana-program/token';

const SOL = 1_000_000_000n;
const USDC = 1_000_000n;
const LOOKUP_TABLE_PROGRAM = address('AddressLookupTab1e1111111111111111111111111');

const rpc = createSolanaRpc(ledger.rpc_url);
const rpcSubscriptions = createSolanaRpcSubscriptions(ledger.ws_url);
const airdrop = airdropFactory({ rpc, rpcSubscriptions });
const sendAndConfirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
const sendAndConfirmWithNonce = sendAndConfirmDurableNonceTransactionFactory({
  rpc,
  rpcSubscriptions,
});
const confirmed = { commitment: 'confirmed' };

async function funded(amount = 10n * SOL) {
  const signer = await generateKeyPairSigner();
  await airdrop({ ...confirmed, lamports: lamports(amount), recipientAddress: signer.address });
  return signer;
}

const pay = (source, destination, amount) =>
  getTransferSolInstruction({ source, destination, amount });

async function message(payer, instructions, lifetime) {
  const latest = lifetime ?? (await rpc.getLatestBlockhash(confirmed).send()).value;
  return pipe(
    createTransactionMessage({ version: 0 }),
    (one) => setTransactionMessageFeePayerSigner(payer, one),
    (one) => setTransactionMessageLifetimeUsingBlockhash(latest, one),
    (one) => appendTransactionMessageInstructions(instructions, one),
  );
}

async function send(payer, instructions) {
  const transaction = await signTransactionMessageWithSigners(await message(payer, instructions));
  await sendAndConfirm(transaction, confirmed);
  return getSignatureFromTransaction(transaction);
}

// The address that the ledger has, of the three that the library knows; its default is younger than the ledger's SVM.
const memo = (text, signers) =>
  getAddMemoInstruction(
    { memo: text, signers },
    { programAddress: address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr') },
  );

const balance = async (of) => (await rpc.getBalance(of, confirmed).send()).value;

async function nextSlot() {
  const slot = await rpc.getSlot(confirmed).send();
  await until(async () => (await rpc.getSlot(confirmed).send()) > slot);
}

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

async function nonceAccount(payer) {
  const account = await generateKeyPairSigner();
  const space = BigInt(getNonceSize());
  const rent = await rpc.getMinimumBalanceForRentExemption(space).send();
  await send(payer, [
    getCreateAccountInstruction({
      payer,
      newAccount: account,
      lamports: rent,
      space,
      programAddress: SYSTEM_PROGRAM_ADDRESS,
    }),
    getInitializeNonceAccountInstruction({
      nonceAccount: account.address,
      nonceAuthority: payer.address,
    }),
  ]);
  await nextSlot();
  return account.address;
}

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

test('tokens are minted, moved, delegated, frozen, burnt, and their account closed', async () => {
  const owner = await funded();
  const mint = await generateKeyPairSigner();
  const delegate = await generateKeyPairSigner();
  const other = await generateKeyPairSigner();
  const space = BigInt(getMintSize());
  const rent = await rpc.getMinimumBalanceForRentExemption(space).send();
  const associated = async (of) =>
    (
      await findAssociatedTokenPda({
        mint: mint.address,
        owner: of,
        tokenProgram: TOKEN_PROGRAM_ADDRESS,
      })
    )[0];
  const [mine, theirs] = [await associated(owner.address), await associated(other.address)];
  const create = (of) =>
    getCreateAssociatedTokenIdempotentInstructionAsync({
      payer: owner,
      mint: mint.address,
      owner: of,
    });
  await send(owner, [
    getCreateAccountInstruction({
      payer: owner,
      newAccount: mint,
      lamports: rent,
      space,
      programAddress: TOKEN_PROGRAM_ADDRESS,
    }),
    getInitializeMint2Instruction({
      mint: mint.address,
      decimals: 6,
      mintAuthority: owner.address,
      freezeAuthority: owner.address,
    }),
    await create(owner.address),
    await create(other.address),
    getMintToCheckedInstruction({
      mint: mint.address,
      token: mine,
      mintAuthority: owner,
      amount: 10n * USDC,
      decimals: 6,
    }),
  ]);
  const move = (authority, amount) =>
    getTransferCheckedInstruction({
      source: mine,
      mint: mint.address,
      destination: theirs,
      authority,
      amount,
      decimals: 6,
    });
  await send(owner, [
    move(owner, 2n * USDC),
    getApproveInstruction({
      source: mine,
      delegate: delegate.address,
      owner,
      amount: 3n * USDC,
    }),
  ]);
  await send(owner, [move(delegate, 1n * USDC), getRevokeInstruction({ source: mine, owner })]);
  await assert.rejects(send(owner, [move(delegate, 1n)]));
  const frozen = { account: mine, mint: mint.address, owner };
  await send(owner, [getFreezeAccountInstruction(frozen)]);
  await assert.rejects(send(owner, [move(owner, 1n)]));
  assert.equal((await fetchToken(rpc, theirs, confirmed)).data.amount, 3n * USDC);
  await send(owner, [
    getThawAccountInstruction(frozen),
    getBurnCheckedInstruction({
      account: mine,
      mint: mint.address,
      authority: owner,
      amount: 7n * USDC,
      decimals: 6,
    }),
    getCloseAccountInstruction({ account: mine, destination: owner.address, owner }),
  ]);
  assert.equal((await fetchMint(rpc, mint.address, confirmed)).data.supply, 3n * USDC);
  assert.equal((await fetchEncodedAccount(rpc, mine, confirmed)).exists, false);
  const { value: held } = await rpc
    .getTokenAccountsByOwner(
      other.address,
      { mint: mint.address },
      { ...confirmed, encoding: 'jsonParsed' },
    )
    .send();
  assert.equal(held[0].account.data.parsed.info.tokenAmount.uiAmountString, '3');
  const { value: supply } = await rpc.getTokenSupply(mint.address, confirmed).send();
  assert.equal(supply.amount, '3000000');
  const { value: largest } = await rpc.getTokenLargestAccounts(mint.address, confirmed).send();
  assert.equal(largest[0].address, theirs);
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
