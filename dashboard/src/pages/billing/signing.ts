/** Browser wallets that sign transactions, by Wallet Standard's `solana:signTransaction`. */
import { useEffect, useState } from 'react';

import { watchStandard, type Connect, type StandardAccount, type StandardWallet } from '../../app/wallet';

export interface Signer {
  readonly name: string;
  connect(): Promise<readonly StandardAccount[]>;
  sign(account: StandardAccount, transaction: Uint8Array): Promise<Uint8Array>;
}

type Sign = (input: { account: StandardAccount; transaction: Uint8Array }) => Promise<readonly { signedTransaction: Uint8Array }[]>;

/** Those that this browser has, as they show up. */
export function useSigners(): readonly Signer[] {
  const [signers, setSigners] = useState<readonly Signer[]>([]);
  useEffect(
    () =>
      watchStandard((wallet) => {
        const signer = signerOf(wallet);
        if (signer !== null) setSigners((old) => [...old.filter(({ name }) => name !== signer.name), signer]);
      }),
    [],
  );
  return signers;
}

function signerOf(wallet: StandardWallet): Signer | null {
  const connect = wallet.features['standard:connect']?.connect as Connect | undefined;
  const sign = wallet.features['solana:signTransaction']?.signTransaction as Sign | undefined;
  if (connect === undefined || sign === undefined) return null;
  return {
    name: wallet.name,
    async connect() {
      const { accounts } = await connect();
      return accounts.length > 0 ? accounts : wallet.accounts;
    },
    async sign(account, transaction) {
      const [signed] = await sign({ account, transaction });
      if (signed === undefined) throw new Error(`${wallet.name} has signed nothing.`);
      return signed.signedTransaction;
    },
  };
}

/**
 * A transaction with its wallet's signature, both in base64.
 *
 * @param address whose signature is wanted; another one of the same browser would be refused by the chain.
 */
export async function signTransaction(signer: Signer, address: string, transaction: string): Promise<string> {
  const account = (await signer.connect()).find((each) => each.address === address);
  if (account === undefined) throw new Error(`${signer.name} does not show ${address}. Choose that account in it, and try again.`);
  const bytes = Uint8Array.from(atob(transaction), (char) => char.charCodeAt(0));
  const signed = await signer.sign(account, bytes);
  return btoa(Array.from(signed, (byte) => String.fromCharCode(byte)).join(''));
}
