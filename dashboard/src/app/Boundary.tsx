import { Component, type ErrorInfo, type ReactNode } from 'react';

import { Button } from '../design/Button';
import { ErrorNote } from '../design/states';

interface Props {
  children: ReactNode;
}

/** Where a page that fails ends: the rest of the frame goes on. Give it a `key` that changes with the page. */
export class Boundary extends Component<Props, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override componentDidCatch(error: Error, info: ErrorInfo): void {
    console.error(error, info.componentStack);
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <div className="page">
        <h1>This page has failed</h1>
        <ErrorNote error={error} />
        <p>
          After an update of the coordinator, a page that was open may ask for code that is gone: load it again.
        </p>
        <Button onClick={() => { location.reload(); }}>Load the page again</Button>
      </div>
    );
  }
}
