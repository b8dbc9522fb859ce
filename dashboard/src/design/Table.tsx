import { useState, type ReactNode } from 'react';

import { sorted, type Direction, type SortValue } from './sorting';

export interface Column<T> {
  /** Its heading, and its key among the columns. */
  name: string;
  cell: (row: T) => ReactNode;
  /** What it is sorted by; left out: it can't be. */
  by?: (row: T) => SortValue;
  /** Right-aligned, figures below each other. */
  numeric?: boolean;
}

interface Props<T> {
  /** What the table is of, for screen readers. */
  caption: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string;
  /** By which column at first, and how; left out: in the order of `rows`. */
  sort?: readonly [string, Direction];
  /** In place of rows where there are none. */
  empty?: ReactNode;
}

/** A table that is sorted by its headings. On a narrow screen it scrolls by itself, not the page. */
export function Table<T>({ caption, columns, rows, keyOf, sort, empty = 'There is nothing here yet.' }: Props<T>) {
  const [[name, direction], setSort] = useState<readonly [string, Direction]>(sort ?? ['', 'ascending']);
  const by = columns.find((column) => column.name === name)?.by;
  const shown = by === undefined ? rows : sorted(rows, by, direction);
  if (rows.length === 0) return <div className="empty">{empty}</div>;
  return (
    // It scrolls, so keys have to reach it.
    <div className="table-scroll" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption className="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.name}
                scope="col"
                className={column.numeric ? 'numeric' : ''}
                {...(column.by !== undefined && { 'aria-sort': column.name === name ? direction : 'none' })}
              >
                {column.by === undefined ? (
                  column.name
                ) : (
                  <button
                    type="button"
                    className="sort"
                    onClick={() => { setSort([column.name, column.name === name && direction === 'ascending' ? 'descending' : 'ascending']); }}
                  >
                    {column.name}
                    <span aria-hidden="true">{column.name !== name ? '' : direction === 'ascending' ? ' ▲' : ' ▼'}</span>
                  </button>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <td key={column.name} className={column.numeric ? 'numeric' : ''}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
