import { Button } from './Button';

interface Props {
  /** What is paged through, for screen readers. */
  label: string;
  offset: number;
  limit: number;
  /** Of all that fit. */
  total: number;
  onMove: (offset: number) => void;
}

/** Ways to the answers' next and previous parts; nothing where one answer has all. */
export function Pager({ label, offset, limit, total, onMove }: Props) {
  if (total <= limit && offset === 0) return null;
  const last = Math.min(total, offset + limit);
  return (
    <nav className="pager" aria-label={`${label}: parts`}>
      <Button disabled={offset === 0} onClick={() => { onMove(Math.max(0, offset - limit)); }}>
        Previous
      </Button>
      <span role="status">
        {total === 0 ? 'none' : `${Math.min(offset + 1, last)} to ${last} of ${total}`}
      </span>
      <Button disabled={last >= total} onClick={() => { onMove(offset + limit); }}>
        Next
      </Button>
    </nav>
  );
}
