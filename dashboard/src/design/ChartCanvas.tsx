import { BarController, BarElement, CategoryScale, Chart as ChartJs, Legend, LinearScale, LineController, LineElement, PointElement, Tooltip } from 'chart.js';
import { useEffect, useRef } from 'react';

import type { ChartProps } from './Chart';

ChartJs.register(BarController, BarElement, CategoryScale, Legend, LinearScale, LineController, LineElement, PointElement, Tooltip);
const COLOURS = ['--series-1', '--series-2', '--series-3', '--series-4'];

/** The picture of a chart; a new one where what it shows or the theme has changed. */
export default function ChartCanvas({ title, kind, labels, series, unit = '' }: ChartProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (canvas.current === null) return;
    const element = canvas.current;
    const draw = (): ChartJs => {
      const style = getComputedStyle(element);
      const colour = (name: string): string => style.getPropertyValue(name).trim();
      const axis = { ticks: { color: colour('--muted') }, grid: { color: colour('--border') } };
      return new ChartJs(element, {
        type: kind,
        data: {
          labels: [...labels],
          datasets: series.map(({ name, values }, index) => {
            const shown = colour(COLOURS[index % COLOURS.length] ?? '--series-1');
            return { label: name, data: [...values], borderColor: shown, backgroundColor: shown, pointRadius: 2 };
          }),
        },
        options: {
          responsive: true,
          maintainAspectRatio: false,
          animation: false,
          scales: { x: axis, y: { ...axis, beginAtZero: true, title: { display: unit !== '', text: unit, color: colour('--muted') } } },
          plugins: { legend: { display: series.length > 1, labels: { color: colour('--text') } } },
        },
      });
    };
    let chart = draw();
    const again = (): void => {
      chart.destroy();
      chart = draw();
    };
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const theme = new MutationObserver(again);
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    dark.addEventListener('change', again);
    return () => {
      theme.disconnect();
      dark.removeEventListener('change', again);
      chart.destroy();
    };
  }, [kind, labels, series, unit]);
  return (
    <div className="chart-canvas">
      <canvas ref={canvas} role="img" aria-label={title} />
    </div>
  );
}
