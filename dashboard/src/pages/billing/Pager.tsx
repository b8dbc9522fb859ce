import { Button } from '../../design/Button';

interface Props {
  offset: number;
  limit: number;
  total: number;
  go: (offset: number) => void;
}

/** Which part of a long list is shown, and the ones beside it. */
export function Pager({ offset, limit, total, go }: Props) {
  if (total <= limit && offset === 0) return null;
  return (
    <nav className="buttons" aria-label="Parts of the list">
      <Button disabled={offset === 0} onClick={() => { go(Math.max(0, offset - limit)); }}>
        Newer
      </Button>
      <span className="muted" role="status">
        {total === 0 ? 0 : offset + 1} to {Math.min(total, offset + limit)} of {total}
      </span>
      <Button disabled={offset + limit >= total} onClick={() => { go(offset + limit); }}>
        Older
      </Button>
    </nav>
  );
}
