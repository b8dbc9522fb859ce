// What the suites of @solana/web3.js share.

import { base58, ledger, until } from './ledger.mjs';

import assert from 'node:assert/strict';
import {
  Connection,
  Keypair,
  LAMPORTS_PER_SOL as SOL,
  NONCE_ACCOUNT_LENGTH,
  PublicKey,
  SystemProgram,
  TransactionInstruction,
  TransactionMessage,
  VersionedTransaction,
  sendAndConfirmTransaction,
} from '@solana/web3.js';

export const MEMO = new PublicKey('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr');

// One for each test: a connection keeps a blockhash for half a minute, and warps end it sooner.
export const connect = (commitment = 'confirmed') =>
  new Connection(ledger.rpc_url, { commitment, wsEndpoint: ledger.ws_url });

export async function funded(connection, lamports = 10 * SOL) {
  const wallet = Keypair.generate();
  const latest = await connection.getLatestBlockhash();
  const signature = await connection.requestAirdrop(wallet.publicKey, lamports);
  const { value } = await connection.confirmTransaction({ signature, ...latest });
  assert.equal(value.err, null);
  return wallet;
}

export const pay = (from, to, lamports) =>
  SystemProgram.transfer({ fromPubkey: from.publicKey, toPubkey: to, lamports });

export const memo = (text) =>
  new TransactionInstruction({ programId: MEMO, keys: [], data: Buffer.from(text) });

/** A signed transaction of version 0. */
export async function versioned(
  connection,
  signers,
  instructions,
  { tables = [], blockhash } = {},
) {
  const recentBlockhash = blockhash ?? (await connection.getLatestBlockhash()).blockhash;
  const message = new TransactionMessage({
    payerKey: signers[0].publicKey,
    recentBlockhash,
    instructions,
  }).compileToV0Message(tables);
  const transaction = new VersionedTransaction(message);
  transaction.sign(signers);
  return transaction;
}

export async function sendVersioned(connection, signers, instructions, options = {}) {
  const latest = await connection.getLatestBlockhash();
  const transaction = await versioned(connection, signers, instructions, {
    blockhash: latest.blockhash,
    ...options,
  });
  const signature = await connection.sendTransaction(transaction);
  const { value } = await connection.confirmTransaction({ signature, ...latest });
  assert.equal(value.err, null);
  return signature;
}

/** What a signed transaction will be known by. */
export const signatureOf = (transaction) =>
  base58(transaction.signature ?? transaction.signatures[0]);

export const nextSlot = async (connection) => {
  const slot = await connection.getSlot();
  await until(async () => (await connection.getSlot()) > slot);
};

export async function nonceAccount(connection, payer) {
  const account = Keypair.generate();
  const lamports = await connection.getMinimumBalanceForRentExemption(NONCE_ACCOUNT_LENGTH);
  const transaction = SystemProgram.createNonceAccount({
    fromPubkey: payer.publicKey,
    noncePubkey: account.publicKey,
    authorizedPubkey: payer.publicKey,
    lamports,
  });
  await sendAndConfirmTransaction(connection, transaction, [payer, account]);
  return account.publicKey;
}
