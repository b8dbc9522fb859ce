/** What a key may do: it decides what the navigation shows. The coordinator decides what is done. */
export type Role = 'client' | 'provider' | 'operator';
export type Scope = 'read' | 'write' | 'keys';

export interface Key {
  readonly id: string;
  readonly name: string;
  readonly hint: string;
  readonly kind: 'key' | 'sign_in' | 'application';
  readonly scopes: readonly Scope[];
  readonly roles: readonly Role[];
  readonly expires_at: string | null;
}

/** Whether it acts in one of these roles; no role: whoever is signed in. */
export function acts(key: Key | undefined, roles: readonly Role[]): boolean {
  return roles.length === 0 || (key?.roles.some((role) => roles.includes(role)) ?? false);
}
