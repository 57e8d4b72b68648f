// A chart over time. uPlot draws on a canvas, so the colours are asked of the page, anew when the theme changes;
// who cannot see the canvas is told the latest values.
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { onTheme } from '../theme';

export type Row = { label: string; colour: string; values: Array<number | null>; fill?: boolean };

function colour(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function faint(value: string): string {
  return value.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.12)');
}

type Props = {
  label: string;
  times: number[];
  rows: Row[];
  unit: (value: number) => string;
  /** The top of the scale, where it is known. */
  top?: number | undefined;
  height?: number;
};

/** With seconds where little time is shown, as after a start. */
function clockOf(at: number, soon: boolean): string {
  return new Date(at * 1000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', ...(soon ? { second: '2-digit' } : {}) });
}

function options({ times, rows, unit, top }: Props, width: number, height: number): uPlot.Options {
  const soon = (times.at(-1) ?? 0) - (times[0] ?? 0) < 600;
  const ink = colour('--dim');
  const grid = { stroke: colour('--line'), width: 1 };
  const axis = { stroke: ink, grid, ticks: { ...grid, size: 4 }, font: '11px system-ui, sans-serif' };
  return {
    width,
    height,
    padding: [8, 8, 0, 0],
    legend: { show: true, live: true },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { y: { range: (_, __, max) => [0, top ?? (max > 0 ? max * 1.1 : 1)] } },
    axes: [
      { ...axis, space: 56, size: 26, values: (_, splits) => splits.map((at) => clockOf(at, soon)) },
      { ...axis, size: 52, space: 28, values: (_, splits) => splits.map(unit) },
    ],
    series: [
      { label: 'Time', value: (_, at) => (at === null ? '–' : new Date(at * 1000).toLocaleTimeString('en-GB')) },
      ...rows.map((row): uPlot.Series => {
        const stroke = colour(row.colour);
        return {
          label: row.label,
          stroke,
          width: 1.5,
          points: { show: false },
          value: (_, value) => (value === null ? '–' : unit(value)),
          ...(row.fill ? { fill: faint(stroke) } : {}),
        };
      }),
    ],
  };
}

export function Chart(props: Props) {
  const { label, times, rows, unit, height = 132 } = props;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = (): uPlot.AlignedData => [times, ...rows.map((row) => row.values)];
  const shape = rows.map((row) => row.label).join('|');

  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const draw = (): void => {
      plot.current?.destroy();
      plot.current = new uPlot(options(props, element.clientWidth, height), data(), element);
    };
    draw();
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    const unlisten = onTheme(draw);
    return () => {
      observer.disconnect();
      unlisten();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, height]);

  useEffect(() => plot.current?.setData(data()), [times, rows]);

  const latest = rows.map((row) => {
    const value = row.values.findLast((one) => one !== null);
    return `${row.label} ${value === undefined || value === null ? 'unknown' : unit(value)}`;
  });
  return (
    <figure class="chart">
      <figcaption>{label}</figcaption>
      <div ref={place} role="img" aria-label={`${label}: latest ${latest.join(', ')}`} />
    </figure>
  );
}
