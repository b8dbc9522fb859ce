// What the suites of @solana/kit share.

import { ledger, until } from './ledger.mjs';

import {
  address,
  airdropFactory,
  appendTransactionMessageInstructions,
  createSolanaRpc,
  createSolanaRpcSubscriptions,
  createTransactionMessage,
  generateKeyPairSigner,
  getSignatureFromTransaction,
  lamports,
  pipe,
  sendAndConfirmTransactionFactory,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from '@solana/kit';
import { getAddMemoInstruction } from '@solana-program/memo';
import {
  SYSTEM_PROGRAM_ADDRESS,
  getCreateAccountInstruction,
  getInitializeNonceAccountInstruction,
  getNonceSize,
  getTransferSolInstruction,
} from '@solana-program/system';

export const SOL = 1_000_000_000n;
export const confirmed = { commitment: 'confirmed' };

export const rpc = createSolanaRpc(ledger.rpc_url);
export const rpcSubscriptions = createSolanaRpcSubscriptions(ledger.ws_url);
const airdrop = airdropFactory({ rpc, rpcSubscriptions });
export const sendAndConfirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });

export async function funded(amount = 10n * SOL) {
  const signer = await generateKeyPairSigner();
  await airdrop({ ...confirmed, lamports: lamports(amount), recipientAddress: signer.address });
  return signer;
}

export const pay = (source, destination, amount) =>
  getTransferSolInstruction({ source, destination, amount });

export async function message(payer, instructions, lifetime) {
  const latest = lifetime ?? (await rpc.getLatestBlockhash(confirmed).send()).value;
  return pipe(
    createTransactionMessage({ version: 0 }),
    (one) => setTransactionMessageFeePayerSigner(payer, one),
    (one) => setTransactionMessageLifetimeUsingBlockhash(latest, one),
    (one) => appendTransactionMessageInstructions(instructions, one),
  );
}

export async function send(payer, instructions) {
  const transaction = await signTransactionMessageWithSigners(await message(payer, instructions));
  await sendAndConfirm(transaction, confirmed);
  return getSignatureFromTransaction(transaction);
}

// The address that the ledger has, of the three that the library knows; its default is younger than the ledger's SVM.
export const memo = (text, signers) =>
  getAddMemoInstruction(
    { memo: text, signers },
    { programAddress: address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr') },
  );

export const balance = async (of) => (await rpc.getBalance(of, confirmed).send()).value;

export async function nextSlot() {
  const slot = await rpc.getSlot(confirmed).send();
  await until(async () => (await rpc.getSlot(confirmed).send()) > slot);
}

/** The address of a new durable nonce that the payer decides about. */
export async function nonceAccount(payer) {
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
