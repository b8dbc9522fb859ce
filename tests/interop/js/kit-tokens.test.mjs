// What applications do with tokens through @solana/kit and the program client made for it.

import { confirmed, funded, rpc, send } from './kit.mjs';

import assert from 'node:assert/strict';
import test from 'node:test';
import { fetchEncodedAccount, generateKeyPairSigner } from '@solana/kit';
import { getCreateAccountInstruction } from '@solana-program/system';
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

const USDC = 1_000_000n;

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
