// What applications do with @solana/spl-token, on @solana/web3.js 1.x.

import { ledger } from './ledger.mjs';

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  AccountState,
  AuthorityType,
  TOKEN_PROGRAM_ID,
  TokenAccountNotFoundError,
  approve,
  approveChecked,
  burn,
  closeAccount,
  createAssociatedTokenAccount,
  createAssociatedTokenAccountIdempotent,
  createMint,
  createMultisig,
  createTransferCheckedInstruction,
  createWrappedNativeAccount,
  freezeAccount,
  getAccount,
  getAssociatedTokenAddressSync,
  getMint,
  getMultipleAccounts,
  getMultisig,
  getOrCreateAssociatedTokenAccount,
  mintTo,
  mintToChecked,
  revoke,
  setAuthority,
  thawAccount,
  transfer,
  transferChecked,
} from '@solana/spl-token';
import { Connection, Keypair, LAMPORTS_PER_SOL as SOL, Transaction } from '@solana/web3.js';

const USDC = 1_000_000n;

/** A connection, a rich wallet, its mint of six decimals, and its token account with 100. */
async function holder() {
  const connection = new Connection(ledger.rpc_url, {
    commitment: 'confirmed',
    wsEndpoint: ledger.ws_url,
  });
  const wallet = Keypair.generate();
  const latest = await connection.getLatestBlockhash();
  const signature = await connection.requestAirdrop(wallet.publicKey, 10 * SOL);
  await connection.confirmTransaction({ signature, ...latest });
  const mint = await createMint(connection, wallet, wallet.publicKey, wallet.publicKey, 6);
  const account = await createAssociatedTokenAccount(connection, wallet, mint, wallet.publicKey);
  await mintTo(connection, wallet, mint, account, wallet, 100n * USDC);
  return { connection, wallet, mint, account };
}

/** The associated account of somebody new. */
async function stranger({ connection, wallet, mint }) {
  const owner = Keypair.generate();
  const account = await createAssociatedTokenAccountIdempotent(
    connection,
    wallet,
    mint,
    owner.publicKey,
  );
  return { owner, account };
}

test('a mint is made and minted from', async () => {
  const { connection, wallet, mint, account } = await holder();
  await mintToChecked(connection, wallet, mint, account, wallet, 5n * USDC, 6);
  const made = await getMint(connection, mint);
  assert.equal(made.supply, 105n * USDC);
  assert.equal(made.decimals, 6);
  assert.ok(made.mintAuthority.equals(wallet.publicKey));
  assert.ok(made.freezeAuthority.equals(wallet.publicKey));
  const { value } = await connection.getTokenSupply(mint);
  assert.equal(value.uiAmountString, '105');
  const parsed = await connection.getParsedAccountInfo(mint);
  assert.equal(parsed.value.data.parsed.type, 'mint');
  assert.equal(parsed.value.data.parsed.info.supply, '105000000');
});

test('an associated account is found, or made, or missed', async () => {
  const { connection, wallet, mint } = await holder();
  const owner = Keypair.generate().publicKey;
  await assert.rejects(
    getAccount(connection, getAssociatedTokenAddressSync(mint, owner)),
    TokenAccountNotFoundError,
  );
  const made = await getOrCreateAssociatedTokenAccount(connection, wallet, mint, owner);
  assert.equal(made.amount, 0n);
  const found = await getOrCreateAssociatedTokenAccount(connection, wallet, mint, owner);
  assert.ok(found.address.equals(made.address));
  await assert.rejects(
    createAssociatedTokenAccount(connection, wallet, mint, owner),
    /IllegalOwner|Provided owner is not allowed/,
  );
});

test('tokens are transferred, checked and not', async () => {
  const world = await holder();
  const { connection, wallet, mint, account } = world;
  const to = await stranger(world);
  await transfer(connection, wallet, account, to.account, wallet, 2_500_000n);
  await transferChecked(connection, wallet, account, mint, to.account, wallet, 1n * USDC, 6);
  const [mine, theirs] = await getMultipleAccounts(connection, [account, to.account]);
  assert.equal(mine.amount, 96_500_000n);
  assert.equal(theirs.amount, 3_500_000n);
  await assert.rejects(
    transferChecked(connection, wallet, account, mint, to.account, wallet, 1n, 9),
    /custom program error: 0x12/,
  );
  await assert.rejects(
    transfer(connection, wallet, account, to.account, wallet, 1_000n * USDC),
    /insufficient funds|0x1/,
  );
});

test('a delegate spends up to its allowance until it is revoked', async () => {
  const world = await holder();
  const { connection, wallet, mint, account } = world;
  const to = await stranger(world);
  const delegate = Keypair.generate();
  await approve(connection, wallet, account, delegate.publicKey, wallet, 3n * USDC);
  await approveChecked(connection, wallet, mint, account, delegate.publicKey, wallet, 2n * USDC, 6);
  const approved = await getAccount(connection, account);
  assert.ok(approved.delegate.equals(delegate.publicKey));
  assert.equal(approved.delegatedAmount, 2n * USDC);
  const { value } = await connection.getParsedAccountInfo(account);
  assert.equal(value.data.parsed.info.delegatedAmount.uiAmountString, '2');
  await transfer(connection, wallet, account, to.account, delegate, 500_000n);
  await assert.rejects(transfer(connection, wallet, account, to.account, delegate, 2n * USDC));
  await revoke(connection, wallet, account, wallet);
  assert.equal((await getAccount(connection, account)).delegate, null);
  await assert.rejects(transfer(connection, wallet, account, to.account, delegate, 1n));
});

test('a frozen account moves nothing until it is thawed', async () => {
  const world = await holder();
  const { connection, wallet, mint, account } = world;
  const to = await stranger(world);
  await freezeAccount(connection, wallet, account, mint, wallet);
  assert.equal((await getAccount(connection, account)).isFrozen, true);
  const { value } = await connection.getParsedAccountInfo(account);
  assert.equal(value.data.parsed.info.state, 'frozen');
  await assert.rejects(
    transfer(connection, wallet, account, to.account, wallet, 1n),
    /custom program error: 0x11/,
  );
  await thawAccount(connection, wallet, account, mint, wallet);
  await transfer(connection, wallet, account, to.account, wallet, 1n);
  const raw = await connection.getAccountInfo(account);
  assert.equal(raw.data[108], AccountState.Initialized);
});

test('an account is emptied and closed, and its rent returns', async () => {
  const world = await holder();
  const { connection, wallet, mint, account } = world;
  await assert.rejects(closeAccount(connection, wallet, account, wallet.publicKey, wallet), /0xb/);
  await burn(connection, wallet, account, mint, wallet, 100n * USDC);
  assert.equal((await getMint(connection, mint)).supply, 0n);
  const heir = Keypair.generate().publicKey;
  await closeAccount(connection, wallet, account, heir, wallet);
  assert.equal(await connection.getAccountInfo(account), null);
  assert.equal(
    await connection.getBalance(heir),
    await connection.getMinimumBalanceForRentExemption(165),
  );
});

test('a multisig mints and pays when enough of its members sign', async () => {
  const world = await holder();
  const { connection, wallet, mint } = world;
  const members = [Keypair.generate(), Keypair.generate(), Keypair.generate()];
  const keys = members.map((one) => one.publicKey);
  const multisig = await createMultisig(connection, wallet, keys, 2);
  const made = await getMultisig(connection, multisig);
  assert.deepEqual([made.m, made.n], [2, 3]);
  const { value } = await connection.getParsedAccountInfo(multisig);
  assert.equal(value.data.parsed.type, 'multisig');
  assert.deepEqual(value.data.parsed.info.signers, keys.map(String));
  await setAuthority(connection, wallet, mint, wallet, AuthorityType.MintTokens, multisig);
  const account = await createAssociatedTokenAccountIdempotent(
    connection,
    wallet,
    mint,
    multisig,
    undefined,
    undefined,
    undefined,
    true,
  );
  await mintTo(connection, wallet, mint, account, multisig, 9n * USDC, members.slice(0, 2));
  const to = await stranger(world);
  await assert.rejects(
    transfer(connection, wallet, account, to.account, multisig, 1n * USDC, members.slice(2)),
    /missing required signature/,
  );
  await transfer(connection, wallet, account, to.account, multisig, 1n * USDC, members.slice(1));
  assert.equal((await getAccount(connection, to.account)).amount, 1n * USDC);
});

test('SOL is wrapped and unwrapped', async () => {
  const { connection, wallet } = await holder();
  const wrapped = await createWrappedNativeAccount(connection, wallet, wallet.publicKey, SOL);
  const account = await getAccount(connection, wrapped);
  assert.equal(account.amount, BigInt(SOL));
  assert.equal(account.isNative, true);
  await closeAccount(connection, wallet, wrapped, wallet.publicKey, wallet);
  assert.equal(await connection.getAccountInfo(wrapped), null);
});

test('token accounts are listed by owner, delegate, mint and program', async () => {
  const world = await holder();
  const { connection, wallet, mint, account } = world;
  const to = await stranger(world);
  await transfer(connection, wallet, account, to.account, wallet, 40n * USDC);
  const byMint = await connection.getTokenAccountsByOwner(wallet.publicKey, { mint });
  assert.deepEqual(
    byMint.value.map((one) => one.pubkey.toBase58()),
    [account.toBase58()],
  );
  const byProgram = await connection.getParsedTokenAccountsByOwner(wallet.publicKey, {
    programId: TOKEN_PROGRAM_ID,
  });
  assert.equal(byProgram.value[0].account.data.parsed.info.tokenAmount.uiAmount, 60);
  const largest = await connection.getTokenLargestAccounts(mint);
  assert.deepEqual(
    largest.value.map((one) => one.uiAmount),
    [60, 40],
  );
  const { value } = await connection.getTokenAccountBalance(to.account);
  assert.equal(value.amount, '40000000');
  const holders = await connection.getParsedProgramAccounts(TOKEN_PROGRAM_ID, {
    filters: [{ dataSize: 165 }, { memcmp: { offset: 0, bytes: mint.toBase58() } }],
  });
  assert.equal(holders.length, 2);
});

test('a parsed transaction shows the transfer and the balances around it', async () => {
  const world = await holder();
  const { connection, wallet, mint, account } = world;
  const to = await stranger(world);
  const latest = await connection.getLatestBlockhash();
  const order = new Transaction({ feePayer: wallet.publicKey, ...latest }).add(
    createTransferCheckedInstruction(account, mint, to.account, wallet.publicKey, 7n * USDC, 6),
  );
  const signature = await connection.sendTransaction(order, [wallet]);
  await connection.confirmTransaction({ signature, ...latest });
  const { transaction, meta } = await connection.getParsedTransaction(signature);
  const [instruction] = transaction.message.instructions;
  assert.equal(instruction.program, 'spl-token');
  assert.equal(instruction.parsed.type, 'transferChecked');
  assert.equal(instruction.parsed.info.tokenAmount.uiAmount, 7);
  const after = Object.fromEntries(
    meta.postTokenBalances.map((one) => [one.owner, one.uiTokenAmount.amount]),
  );
  assert.equal(after[wallet.publicKey.toBase58()], '93000000');
  assert.equal(after[to.owner.publicKey.toBase58()], '7000000');
});
