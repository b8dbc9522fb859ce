import { useEffect, useState, type SubmitEvent } from 'react';

import { Button } from '../design/Button';
import { CheckField, TextField } from '../design/fields';
import { ErrorNote, Note } from '../design/states';
import { signInWithKey, signInWithWallet } from './signing_in';
import { watchWallets, type BrowserWallet } from './wallet';

/** Shown in place of every page while nobody is signed in, so that signing in leads to where one was. */
export function SignIn({ notice }: { notice: string }) {
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState('');
  const attempt = async (name: string, way: () => Promise<void>): Promise<void> => {
    setBusy(name);
    setError(null);
    try {
      await way();
    } catch (failure) {
      setError(failure);
      setBusy('');
    }
  };
  useEffect(() => {
    document.title = 'Sign in · NeuroGrid';
  }, []);
  return (
    <main className="sign-in" id="main">
      <h1>Sign in to NeuroGrid</h1>
      {notice !== '' && <Note>{notice}</Note>}
      {error !== null && <ErrorNote error={error} />}
      <WithKey busy={busy} attempt={attempt} />
      <WithWallet busy={busy} attempt={attempt} />
      <p className="muted">
        What you sign in with stays in this tab and is forgotten when you close it. It is never kept for longer, so that
        whoever uses this machine next isn’t you. <a href="/docs">API documentation</a>
      </p>
    </main>
  );
}

interface WayProps {
  busy: string;
  attempt: (name: string, way: () => Promise<void>) => Promise<void>;
}

function WithKey({ busy, attempt }: WayProps) {
  const [key, setKey] = useState('');
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    void attempt('key', () => signInWithKey(key));
  };
  return (
    <form className="card" onSubmit={submit} aria-labelledby="with-key">
      <h2 id="with-key">With an API key</h2>
      <TextField
        label="API key"
        type="password"
        value={key}
        onChange={setKey}
        autoComplete="off"
        autoFocus
        hint="On a devnet: api_key in network.json. Else: neurogrid api-keys create, or ask the operator for the first one."
      />
      <Button kind="main" type="submit" busy={busy === 'key'} disabled={busy !== ''}>
        Sign in
      </Button>
    </form>
  );
}

function WithWallet({ busy, attempt }: WayProps) {
  const [wallets, setWallets] = useState<readonly BrowserWallet[]>([]);
  const [withKeys, setWithKeys] = useState(false);
  useEffect(
    () =>
      watchWallets((wallet) => {
        setWallets((known) => (known.some(({ name }) => name === wallet.name) ? known : [...known, wallet]));
      }),
    [],
  );
  const scopes = ['read', 'write', ...(withKeys ? ['keys'] : [])];
  return (
    <section className="card" aria-labelledby="with-wallet">
      <h2 id="with-wallet">With your wallet</h2>
      <p>You sign a message; it moves no money and holds for an hour. Look at its line “Coordinator” first: it has to be where you are.</p>
      {wallets.length === 0 ? (
        <p className="muted">No wallet was found in this browser. Install one that signs messages, such as those for Solana, and load this page again.</p>
      ) : (
        <>
          <CheckField label="May also make and revoke API keys" checked={withKeys} onChange={setWithKeys} />
          <div className="buttons">
            {wallets.map((wallet) => (
              <Button
                key={wallet.name}
                busy={busy === wallet.name}
                disabled={busy !== ''}
                onClick={() => void attempt(wallet.name, () => signInWithWallet(wallet, scopes))}
              >
                Sign in with {wallet.name}
              </Button>
            ))}
          </div>
        </>
      )}
    </section>
  );
}
