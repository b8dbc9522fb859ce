import { useQueryClient } from '@tanstack/react-query';
import { Suspense, useEffect, useState } from 'react';
import { Link, Navigate, NavLink, Route, Routes, useLocation } from 'react-router';

import { Empty, Loading } from '../design/states';
import { beginAt, Page } from '../design/Page';
import { Time } from '../design/parts';
import { Boundary } from './Boundary';
import { acts, useKey, type Key } from './identity';
import { LiveMark } from './LiveMark';
import { startLive } from './live';
import { PAGES } from './pages';
import { end, useSession } from './session';
import { SignIn } from './SignIn';
import { useTheme } from './theme';

/** The whole: sign-in, or navigation and page. */
export function Frame() {
  const { session, notice } = useSession();
  const cache = useQueryClient();
  const credential = session?.credential;
  useEffect(() => {
    // Nothing of one account's is shown to the next.
    if (credential === undefined) {
      cache.clear();
      return;
    }
    return startLive(cache);
  }, [credential, cache]);
  return session === null ? <SignIn notice={notice} /> : <SignedIn key={credential} />;
}

function SignedIn() {
  const key = useKey().data;
  const { pathname } = useLocation();
  const [openAt, setOpenAt] = useState<string | null>(null);
  const isOpen = openAt === pathname;
  useEffect(() => { beginAt(pathname); }, [pathname]);
  return (
    <div className="frame">
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <header className="bar">
        <button
          type="button"
          className="menu-button"
          aria-expanded={isOpen}
          aria-controls="navigation"
          onClick={() => { setOpenAt(isOpen ? null : pathname); }}
        >
          Menu
        </button>
        <Link to="/network" className="brand">
          NeuroGrid
        </Link>
        <LiveMark />
        <ThemeSwitch />
        {key !== undefined && (
          <span className="who" title={`Scopes: ${key.scopes.join(', ')}. Roles: ${key.roles.join(', ')}.`}>
            {key.kind === 'sign_in' ? 'Wallet' : key.name}
            {key.expires_at !== null && (
              <>
                , until <Time at={key.expires_at} />
              </>
            )}
          </span>
        )}
        <button type="button" className="button quiet" onClick={() => { end(); }}>
          Sign out
        </button>
      </header>
      <Navigation of={key} isOpen={isOpen} />
      <main id="main" tabIndex={-1}>
        <Boundary key={pathname}>
          <Suspense fallback={<Loading />}>
            <Routes>
              <Route index element={<Navigate to="/network" replace />} />
              {PAGES.map(({ path, Page }) => (
                <Route key={path} path={path} element={<Page />} />
              ))}
              <Route path="*" element={<NoSuchPage />} />
            </Routes>
          </Suspense>
        </Boundary>
      </main>
    </div>
  );
}

function Navigation({ of, isOpen }: { of: Key | undefined; isOpen: boolean }) {
  const shown = PAGES.filter(({ label, roles }) => label !== null && acts(of, roles));
  const groups = [...new Set(shown.map(({ group }) => group))];
  return (
    <nav id="navigation" aria-label="Pages" className={isOpen ? 'navigation open' : 'navigation'}>
      {groups.map((group) => (
        <div key={group} className="navigation-group">
          <h2>{group}</h2>
          <ul>
            {shown
              .filter((entry) => entry.group === group)
              .map(({ path, label }) => (
                <li key={path}>
                  <NavLink to={`/${path}`}>{label}</NavLink>
                </li>
              ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}

function ThemeSwitch() {
  const [theme, next] = useTheme();
  return (
    <button type="button" className="button quiet" onClick={next} title="System, light or dark">
      Theme: {theme}
    </button>
  );
}

function NoSuchPage() {
  return (
    <Page title="No such page">
      <Empty>
        Nothing is at this address. <Link to="/network">Go to the network</Link>, or choose a page from the navigation.
      </Empty>
    </Page>
  );
}
