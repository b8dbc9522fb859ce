import type { ButtonHTMLAttributes } from 'react';

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  /** `main`: what the page is for; `danger`: what can't be taken back; `quiet`: beside others. */
  kind?: 'main' | 'plain' | 'danger' | 'quiet';
  /** It is being done. */
  busy?: boolean;
}

export function Button({ kind = 'plain', busy = false, className = '', children, ...rest }: Props) {
  return (
    <button type="button" className={`button ${kind} ${className}`.trim()} aria-busy={busy} {...rest}>
      {children}
      {busy && <span aria-hidden="true"> …</span>}
    </button>
  );
}
