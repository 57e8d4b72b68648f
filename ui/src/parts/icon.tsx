// A few pictures, drawn here: no font and no file is loaded for them.
const PATHS = {
  overview: 'M2 13V8m4 5V3m4 10V6m4 7V9',
  events: 'M2 4h12M2 8h12M2 12h8',
  dead: 'M8 2l6.5 11.5h-13zM8 6.5v3.5m0 1.6v.4',
  routes: 'M2 4h4l4 8h4M12 10l2 2-2 2M2 12h3M10 4h4M12 2l2 2-2 2',
  playground: 'M6 4L2 8l4 4m4-8l4 4-4 4',
  moon: 'M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z',
  sun: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1m8 8l1 1M13 3l-1 1M4 12l-1 1',
  system: 'M2 3h12v8H2zM6 14h4m-2-3v3',
  arrow: 'M3 8h9m-3-3l3 3-3 3',
  close: 'M4 4l8 8m0-8l-8 8',
  copy: 'M5 5h8v9H5zM3 11V2h8',
  pause: 'M5 3v10m6-10v10',
  play: 'M5 3l8 5-8 5z',
  retry: 'M13 8a5 5 0 1 1-1.5-3.5M13 2v3h-3',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
