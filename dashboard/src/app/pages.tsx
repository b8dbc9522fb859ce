/** Every page: its path, what the navigation calls it, and who sees it there. A page's code is loaded with its first use. */
import { lazy, type ComponentType, type LazyExoticComponent } from 'react';

import type { Role } from './acting';

export interface PageEntry {
  /** Below /dashboard, as react-router has it. */
  readonly path: string;
  /** In the navigation; null: other pages lead there. */
  readonly label: string | null;
  readonly group: 'Market' | 'Work' | 'Money' | 'Settings' | 'Provider' | 'Operator';
  /** Any of them; empty: whoever is signed in. */
  readonly roles: readonly Role[];
  readonly Page: LazyExoticComponent<ComponentType>;
}

const CLIENT: readonly Role[] = ['client'];

export const PAGES: readonly PageEntry[] = [
  { path: 'network', label: 'Network', group: 'Market', roles: [], Page: lazy(() => import('../pages/network')) },
  { path: 'network/:nodeId', label: null, group: 'Market', roles: [], Page: lazy(() => import('../pages/network/node')) },
  { path: 'models', label: 'Models', group: 'Market', roles: CLIENT, Page: lazy(() => import('../pages/models')) },
  { path: 'submit', label: 'Submit', group: 'Work', roles: CLIENT, Page: lazy(() => import('../pages/submit')) },
  { path: 'tasks', label: 'Tasks', group: 'Work', roles: CLIENT, Page: lazy(() => import('../pages/tasks')) },
  { path: 'tasks/:taskId', label: null, group: 'Work', roles: CLIENT, Page: lazy(() => import('../pages/task')) },
  { path: 'batches', label: 'Batches', group: 'Work', roles: CLIENT, Page: lazy(() => import('../pages/batches')) },
  { path: 'explain', label: 'Explain', group: 'Work', roles: CLIENT, Page: lazy(() => import('../pages/explain')) },
  { path: 'billing', label: 'Billing', group: 'Money', roles: CLIENT, Page: lazy(() => import('../pages/billing')) },
  { path: 'provider', label: 'Provider', group: 'Provider', roles: ['provider'], Page: lazy(() => import('../pages/provider')) },
  { path: 'operator', label: 'Operator', group: 'Operator', roles: ['operator'], Page: lazy(() => import('../pages/operator')) },
  { path: 'keys', label: 'API keys', group: 'Settings', roles: [], Page: lazy(() => import('../pages/keys')) },
  { path: 'webhooks', label: 'Webhooks', group: 'Settings', roles: CLIENT, Page: lazy(() => import('../pages/webhooks')) },
];
