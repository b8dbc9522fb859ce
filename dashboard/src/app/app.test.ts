import { describe, expect, test } from 'vitest';

import { acts, type Key } from './acting';
import { EVERYTHING, outdatedBy } from './outdated';
import { watchWallets, type BrowserWallet } from './wallet';

describe('events', () => {
  test('of tasks make what was asked of tasks old, and heartbeats nothing', () => {
    expect(outdatedBy('task.completed')).toContain('/api/v1/tasks');
    expect(outdatedBy('node.status')).toContain('/api/v1/nodes');
    for (const type of ['heartbeat', 'connected', 'taskless', '']) expect(outdatedBy(type)).toEqual([]);
    expect(EVERYTHING).toEqual(expect.arrayContaining([...outdatedBy('batch.completed')]));
  });
});

describe('keys', () => {
  const key: Key = { id: 'key_1', name: 'one', hint: 'ng_1', kind: 'key', scopes: ['read'], roles: ['client'], expires_at: null };
  test('act in the roles that they have', () => {
    expect(acts(key, ['client'])).toBe(true);
    expect(acts(key, ['provider', 'operator'])).toBe(false);
  });
  test('that are not known yet see only what everybody does', () => {
    expect(acts(undefined, ['client'])).toBe(false);
    expect(acts(undefined, [])).toBe(true);
  });
});

describe('wallets', () => {
  const sign = (): Promise<readonly { signature: Uint8Array }[]> => Promise.resolve([{ signature: new Uint8Array([7]) }]);
  const wallet = (features: object): object => ({ name: 'One', accounts: [{ address: 'Address' }], features });
  const complete = wallet({
    'standard:connect': { connect: () => Promise.resolve({ accounts: [] }) },
    'solana:signMessage': { signMessage: sign },
  });
  const registering = (page: EventTarget, of: object): void => {
    page.dispatchEvent(
      new CustomEvent('wallet-standard:register-wallet', {
        detail: (api: { register: (wallet: object) => void }) => { api.register(of); },
      }),
    );
  };

  test('that announce themselves later are found, until nobody looks', async () => {
    const page = new EventTarget();
    const found: BrowserWallet[] = [];
    const stop = watchWallets((one) => found.push(one), page as Window);
    expect(found).toEqual([]);
    registering(page, complete);
    expect(found.map(({ name }) => name)).toEqual(['One']);
    const account = await found[0]?.connect();
    expect(account?.address).toBe('Address');
    expect(await account?.sign(new Uint8Array())).toEqual(new Uint8Array([7]));
    stop();
    registering(page, complete);
    expect(found).toHaveLength(1);
  });

  test('that sign no messages are not offered', () => {
    const page = new EventTarget();
    const found: BrowserWallet[] = [];
    watchWallets((one) => found.push(one), page as Window);
    registering(page, wallet({ 'standard:connect': { connect: () => Promise.resolve({ accounts: [] }) } }));
    registering(page, wallet({}));
    expect(found).toEqual([]);
  });
});
