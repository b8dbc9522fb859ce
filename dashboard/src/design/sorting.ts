export type Direction = 'ascending' | 'descending';
export type SortValue = string | number | bigint | null;

/** A copy in order; what has no value comes last, either way. Rows that are equal keep their order. */
export function sorted<T>(rows: readonly T[], by: (row: T) => SortValue, direction: Direction): T[] {
  const sign = direction === 'ascending' ? 1 : -1;
  return [...rows].sort((left, right) => {
    const [a, b] = [by(left), by(right)];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    if (typeof a === 'string' && typeof b === 'string') return sign * a.localeCompare(b, 'en', { numeric: true });
    return sign * (a < b ? -1 : a > b ? 1 : 0);
  });
}
