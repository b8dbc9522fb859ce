import { useEffect, useRef, type ReactNode } from 'react';
import { useLocation } from 'react-router';

interface Props {
  /** The page's heading, and the window's title. */
  title: string;
  /** Buttons and links beside the heading. */
  actions?: ReactNode;
  /** A line below the heading. */
  lead?: ReactNode;
  children: ReactNode;
}

let shownPath: string | null = null;

/** Say where one begins: the page there may be left before it has arrived, and the next one is no beginning. */
export function beginAt(pathname: string): void {
  shownPath ??= pathname;
}

/** A page: its heading gets the focus when one comes from another page, so that a screen reader says where one is. */
export function Page({ title, actions, lead, children }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  const { pathname } = useLocation();
  useEffect(() => {
    document.title = `${title} · NeuroGrid`;
  }, [title]);
  useEffect(() => {
    if (shownPath !== null && shownPath !== pathname) {
      heading.current?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    shownPath = pathname;
  }, [pathname]);
  return (
    <div className="page">
      <div className="page-head">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {actions !== undefined && <div className="buttons">{actions}</div>}
      </div>
      {lead !== undefined && <p className="lead">{lead}</p>}
      {children}
    </div>
  );
}
