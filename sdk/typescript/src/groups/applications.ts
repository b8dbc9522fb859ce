// Other people's programs, which use the account by OAuth; and signing in by wallet.

import { path } from '../path.js';
import type {
  ApplicationListView,
  ApplicationRequest,
  ApplicationView,
  ChallengeRequest,
  ChallengeView,
  GrantEndView,
  GrantListView,
  NewApplicationView,
  SignInRequest,
  TokenView,
} from '../schema.js';
import type { CallOptions } from '../transport.js';
import { Group, type PageQuery } from './group.js';

export class Applications extends Group {
  create(application: ApplicationRequest, options?: CallOptions): Promise<NewApplicationView> {
    return this.send('/oauth/clients', application, options);
  }

  get(clientId: string, options?: CallOptions): Promise<ApplicationView> {
    return this.read(path`/oauth/clients/${clientId}`, undefined, options);
  }

  list(query?: PageQuery, options?: CallOptions): Promise<ApplicationListView> {
    return this.read('/oauth/clients', query, options);
  }

  rotateSecret(clientId: string, options?: CallOptions): Promise<NewApplicationView> {
    return this.send(path`/oauth/clients/${clientId}/rotate-secret`, undefined, options);
  }

  delete(clientId: string, options?: CallOptions): Promise<ApplicationView> {
    return this.call('DELETE', path`/oauth/clients/${clientId}`, options);
  }

  /** Applications that may use the account. */
  grants(query?: PageQuery, options?: CallOptions): Promise<GrantListView> {
    return this.read('/oauth/grants', query, options);
  }

  /** Take back what an application may. */
  revokeGrant(grantId: string, options?: CallOptions): Promise<GrantEndView> {
    return this.call('DELETE', path`/oauth/grants/${grantId}`, options);
  }

  /** What a wallet has to sign to sign in; needs no key. */
  challenge(request: ChallengeRequest, options?: CallOptions): Promise<ChallengeView> {
    return this.send('/auth/challenge', request, options);
  }

  /** A token, for a challenge that the wallet has signed. */
  signIn(request: SignInRequest, options?: CallOptions): Promise<TokenView> {
    return this.send('/auth/token', request, options);
  }
}
