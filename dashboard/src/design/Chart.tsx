import { lazy, Suspense } from 'react';

import { Loading } from './states';

export interface Series {
  name: string;
  /** One for each label; null: nothing was measured. */
  values: readonly (number | null)[];
}

export interface ChartProps {
  /** What it shows, for those who can't see it. */
  title: string;
  kind: 'line' | 'bar';
  labels: readonly string[];
  series: readonly Series[];
  /** Of the values, such as `USDC`; beside each figure in the table. */
  unit?: string;
}

// Chart.js is more than the rest of a page, so that it comes with the first chart.
const Canvas = lazy(() => import('./ChartCanvas'));

/** A chart, and the same figures as a table for who can't use it. */
export function Chart(props: ChartProps) {
  const { title, labels, series, unit = '' } = props;
  return (
    <figure className="chart">
      <figcaption>{title}</figcaption>
      <Suspense fallback={<Loading what="Drawing" />}>
        <Canvas {...props} />
      </Suspense>
      <details>
        <summary>The same as a table</summary>
        <div className="table-scroll" role="region" aria-label={title} tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">When</th>
                {series.map(({ name }) => (
                  <th key={name} scope="col" className="numeric">
                    {name}
                    {unit !== '' && ` (${unit})`}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {labels.map((label, index) => (
                <tr key={label}>
                  <th scope="row">{label}</th>
                  {series.map(({ name, values }) => (
                    <td key={name} className="numeric">
                      {values[index] ?? '–'}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
