/** Wallets in the browser that can sign a message: Wallet Standard's, and `window.solana` as older ones have it. */

export interface BrowserWallet {
  readonly name: string;
  /**
   * Ask its owner for an address. It may show a window of its own and take as long as its owner does.
   */
  connect(): Promise<WalletAccount>;
}

export interface WalletAccount {
  /** Base58. */
  readonly address: string;
  /** The 64 bytes of the Ed25519 signature of the message. */
  sign(message: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
}

export interface StandardAccount {
  readonly address: string;
}

export interface StandardWallet {
  readonly name: string;
  readonly accounts: readonly StandardAccount[];
  readonly features: Readonly<Record<string, Record<string, unknown> | undefined>>;
}

interface LegacyProvider {
  readonly publicKey?: { toString(): string } | null;
  connect(): Promise<{ publicKey?: { toString(): string } } | undefined>;
  signMessage(message: Uint8Array<ArrayBuffer>, display?: string): Promise<{ signature: Uint8Array } | Uint8Array>;
}

export type Connect = (options?: object) => Promise<{ accounts: readonly StandardAccount[] }>;
type SignMessage = (input: {
  account: StandardAccount;
  message: Uint8Array;
}) => Promise<readonly { signature: Uint8Array }[]>;

/** Tell of wallets as they show up, from those that are there already on. The answer stops it. */
export function watchWallets(found: (wallet: BrowserWallet) => void, page: Window = window): () => void {
  const stop = watchStandard((wallet) => {
    const known = standard(wallet);
    if (known !== null) found(known);
  }, page);
  const { solana } = page as Window & { solana?: LegacyProvider };
  if (typeof solana?.signMessage === 'function') found(legacy(solana));
  return stop;
}

/** Tell of Wallet Standard's wallets: they announce themselves, and answer when the page says that it is ready. The answer stops it. */
export function watchStandard(found: (wallet: StandardWallet) => void, page: Window = window): () => void {
  const register = (...wallets: StandardWallet[]): (() => void) => {
    wallets.forEach(found);
    return () => undefined;
  };
  const announced = (event: Event): void => {
    const { detail } = event as CustomEvent<unknown>;
    if (typeof detail === 'function') (detail as (api: object) => void)({ register });
  };
  page.addEventListener('wallet-standard:register-wallet', announced);
  page.dispatchEvent(new CustomEvent('wallet-standard:app-ready', { detail: { register } }));
  return () => { page.removeEventListener('wallet-standard:register-wallet', announced); };
}

function standard(wallet: StandardWallet): BrowserWallet | null {
  const connect = wallet.features['standard:connect']?.connect as Connect | undefined;
  const signMessage = wallet.features['solana:signMessage']?.signMessage as SignMessage | undefined;
  if (connect === undefined || signMessage === undefined) return null;
  return {
    name: wallet.name,
    async connect() {
      const { accounts } = await connect();
      const account = accounts[0] ?? wallet.accounts[0];
      if (account === undefined) throw new Error(`${wallet.name} gave no address. Unlock it, and allow this page to see one.`);
      return {
        address: account.address,
        async sign(message) {
          const [signed] = await signMessage({ account, message });
          if (signed === undefined) throw new Error(`${wallet.name} has signed nothing.`);
          return signed.signature;
        },
      };
    },
  };
}

function legacy(provider: LegacyProvider): BrowserWallet {
  return {
    name: 'Browser wallet',
    async connect() {
      const publicKey = (await provider.connect())?.publicKey ?? provider.publicKey;
      if (!publicKey) throw new Error('The wallet gave no address. Unlock it, and allow this page to see one.');
      return {
        address: publicKey.toString(),
        async sign(message) {
          const signed = await provider.signMessage(message, 'utf8');
          return 'signature' in signed ? signed.signature : signed;
        },
      };
    },
  };
}
