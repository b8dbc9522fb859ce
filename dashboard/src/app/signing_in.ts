/** Ways to be signed in. Each is tried at the coordinator before anything is kept. */
import { NeuroGridClient } from '@neurogrid/sdk';

import { begin } from './session';
import type { BrowserWallet } from './wallet';

interface Token {
  readonly access_token: string;
}

/** A client without a key, so that a key that is refused ends no session. */
function stranger(apiKey: string | null): NeuroGridClient {
  return new NeuroGridClient({ apiKey, baseUrl: location.origin, options: { retry: { maxAttempts: 2 } } });
}

/** Be signed in with a key, once the coordinator knows it. */
export async function signInWithKey(text: string): Promise<void> {
  const key = text.trim();
  if (key === '') throw new Error('Paste an API key. It begins with ng_.');
  // A header takes nothing else, and an error of the browser's own would say less.
  if (!/^[\x21-\x7e]{1,512}$/.test(key)) throw new Error('That is no API key: keys have no spaces and begin with ng_.');
  await stranger(key).request('GET', '/api/v1/api-keys/current');
  begin({ credential: key });
}

/** Be signed in for an hour, for a message that the wallet signs (docs/authentication.md). */
export async function signInWithWallet(wallet: BrowserWallet, scopes: readonly string[]): Promise<void> {
  const account = await wallet.connect();
  const client = stranger(null);
  const { message } = await client.request<{ message: string }>('POST', '/api/v1/auth/challenge', {
    body: { wallet: account.address },
  });
  const signature = await account.sign(new TextEncoder().encode(message));
  const { access_token } = await client.request<Token>('POST', '/api/v1/auth/token', {
    body: { message, signature: base64(signature), scopes },
  });
  begin({ credential: access_token });
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
