// What came in, live. The filters are the address, so that a view can be kept or handed on.
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { api, isAbort, words, type Query } from '../api/client';
import { listen } from '../api/stream';
import type { AttemptRow, EventRow, Overview, State } from '../api/types';
import { count, plural, shortId, size } from '../format';
import { Ago, Button, Empty, Loading, Panel, Select, Table, Trouble } from '../parts/basics';
import { Chip, StateChip } from '../parts/chip';
import { href, replace } from '../router';

const PAGE = 50;
/** Rows that are held while the list is paused or grows live; older ones are a page away. */
const MOST_ROWS = 500;
const FILTERS = ['source', 'type', 'route', 'target', 'state', 'unmatched', 'message_id', 'since', 'until'] as const;
type Filter = (typeof FILTERS)[number];
type Filters = Partial<Record<Filter, string>>;
/** The deliveries of each event that we know of, by state. */
type Known = Record<string, Record<string, State>>;

export function Events({ params, overview }: { params: URLSearchParams; overview: Overview | null }) {
  const filters = useMemo(() => read(params), [params.toString()]);
  const list = useEvents(filters);
  const change = (changed: Filters): void => replace(href('events', '', { ...filters, ...changed }));
  const any = Object.keys(filters).length > 0;
  return (
    <>
      <header class="head">
        <h1>Events</h1>
        <LiveState list={list} filters={filters} />
      </header>
      <FilterBar filters={filters} change={change} overview={overview} />
      <Panel flush>
        <Trouble words={list.trouble} again={list.again} />
        {list.rows === null && !list.trouble && <Loading what="events" />}
        {list.rows?.length === 0 && list.next === null && (any
          ? <Empty title="No event passes these filters"><button type="button" class="link" onClick={() => replace(href('events'))}>Clear the filters</button></Empty>
          : <Empty title="No event has come in yet">Point a sender at one of your sources, or try one: <code>ingate send --source NAME --event FILE</code></Empty>)}
        {list.rows && list.rows.length > 0 && <Rows rows={list.rows} known={list.known} fresh={list.fresh} />}
        {list.next !== null && (
          <div class="more">
            <Button busy={list.loadingMore} press={list.more}>
              {list.rows?.length ? 'Older events' : 'Nothing among the latest. Look further back'}
            </Button>
          </div>
        )}
      </Panel>
    </>
  );
}

function read(params: URLSearchParams): Filters {
  const found: Filters = {};
  for (const name of FILTERS) {
    const value = params.get(name);
    if (value) found[name] = value;
  }
  return found;
}

/** What the stream cannot filter by: with these, the first page is asked for again and again instead. */
function canStream(filters: Filters): boolean {
  return !filters.state && !filters.until && !filters.unmatched;
}

function useEvents(filters: Filters) {
  const key = JSON.stringify(filters);
  const [rows, setRows] = useState<EventRow[] | null>(null);
  const [known, setKnown] = useState<Known>({});
  const [next, setNext] = useState<string | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const [cut, setCut] = useState<string | null>(null);
  const [paused, setPaused] = useState(false);
  const [held, setHeld] = useState<EventRow[]>([]);
  const [loadingMore, setLoadingMore] = useState(false);
  const [round, setRound] = useState(0);
  const fresh = useRef(new Set<string>());
  /** Whether older pages stand below the first: then it is not taken anew as a whole. */
  const grown = useRef(false);
  const pausedNow = useRef(paused);
  pausedNow.current = paused;
  const again = useCallback(() => setRound((now) => now + 1), []);

  const load = useCallback(async (before: string | null, signal?: AbortSignal) => {
    const page = await api.events({ ...filters, limit: PAGE, before }, signal);
    if (before !== null || !grown.current) setNext(page.next);
    void states(filters, page.items, signal).then((found) => setKnown((now) => merge(now, found))).catch(() => undefined);
    return page.items;
  }, [key]);

  useEffect(() => {
    setRows(null);
    setNext(null);
    setHeld([]);
    grown.current = false;
    fresh.current.clear();
  }, [key]);

  useEffect(() => {
    const ended = new AbortController();
    load(null, ended.signal)
      .then((items) => {
        setRows((now) => (grown.current ? add(items, now ?? []) : items));
        setTrouble(null);
      })
      .catch((error: unknown) => {
        if (!isAbort(error)) setTrouble(words(error));
      });
    return () => ended.abort();
  }, [key, round]);

  useEffect(() => {
    if (!canStream(filters)) {
      const timer = setInterval(() => {
        if (!pausedNow.current && !grown.current && !document.hidden) again();
      }, 5000);
      return () => clearInterval(timer);
    }
    return listen(streamQuery(filters), {
      event: (row) => {
        if (filters.message_id && row.message_id !== filters.message_id) return;
        fresh.current.add(row.id);
        if (pausedNow.current) setHeld((now) => [row, ...now].slice(0, MOST_ROWS));
        else setRows((now) => add([row], now ?? []));
        setKnown((now) => merge(now, { [row.id]: Object.fromEntries(row.deliveries.map((id) => [id, 'pending' as const])) }, true));
      },
      attempt: (row) => setKnown((now) => merge(now, stateOf(row))),
      lost: () => {
        if (!pausedNow.current) again();
      },
      state: (why, gap) => {
        setCut(why);
        if (gap && !pausedNow.current) again();
      },
    });
  }, [key]);

  const more = (): void => {
    setLoadingMore(true);
    grown.current = true;
    load(next)
      .then((items) => setRows((now) => [...(now ?? []), ...items.filter((item) => !now?.some((row) => row.id === item.id))]))
      .catch((error: unknown) => setTrouble(words(error)))
      .finally(() => setLoadingMore(false));
  };
  const pause = (): void => {
    if (paused) {
      setRows((now) => add(held, now ?? []));
      setHeld([]);
      again();
    }
    setPaused(!paused);
  };
  return { rows, known, next, trouble, cut, paused, held: held.length, loadingMore, grown: grown.current, fresh: fresh.current, again, more, pause };
}

function add(rows: EventRow[], to: EventRow[]): EventRow[] {
  const there = new Set(to.map((row) => row.id));
  return [...rows.filter((row) => !there.has(row.id)), ...to].slice(0, Math.max(MOST_ROWS, to.length));
}

function streamQuery(filters: Filters): Query {
  const { source, type, route, target } = filters;
  return { source, type, route, target };
}

const stateOf = (row: AttemptRow): Known => ({ [row.event]: { [row.delivery]: row.state } });

/** Puts what was found over what was known; with `weak` only where nothing was. */
function merge(now: Known, found: Known, weak = false): Known {
  const all = { ...now };
  for (const [event, deliveries] of Object.entries(found)) {
    all[event] = weak ? { ...deliveries, ...all[event] } : { ...all[event], ...deliveries };
  }
  return all;
}

/** How the deliveries of a page's events stand: one more call, since rows of events do not say it. */
async function states(filters: Filters, rows: EventRow[], signal?: AbortSignal): Promise<Known> {
  const newest = rows[0];
  const oldest = rows.at(-1);
  if (!newest || !oldest) return {};
  const around = (time: string, ms: number): string => new Date(Date.parse(time) + ms).toISOString();
  const { source, type, message_id } = filters;
  const query = { source, type, message_id, limit: 500, since: around(oldest.received_at, -2000), until: around(newest.received_at, 2000) };
  const found: Known = {};
  for (const row of (await api.deliveries(query, signal)).items) {
    found[row.event] = { ...found[row.event], [row.id]: row.state };
  }
  return found;
}

function LiveState({ list, filters }: { list: ReturnType<typeof useEvents>; filters: Filters }) {
  const live = list.paused
    ? <Chip tone="warn">{list.held > 0 ? `paused, ${count(list.held)} new` : 'paused'}</Chip>
    : list.cut
      ? <Chip tone="bad" title={list.cut}>not live</Chip>
      : <Chip tone="good">{canStream(filters) ? 'live' : list.grown ? 'as it was' : 'every 5 s'}</Chip>;
  return (
    <div class="actions">
      <span role="status">{live}</span>
      <Button icon={list.paused ? 'play' : 'pause'} press={list.pause} aria-pressed={list.paused}>
        {list.paused ? 'Go on' : 'Pause'}
      </Button>
    </div>
  );
}

function FilterBar(props: { filters: Filters; change: (changed: Filters) => void; overview: Overview | null }) {
  const { filters, change, overview } = props;
  const names = (all: string[], none: string, held: string | undefined): Array<[string, string]> => [
    ['', none],
    ...[...new Set([...all, ...(held ? [held] : [])])].map((name): [string, string] => [name, name]),
  ];
  const routes = [...new Set((overview?.targets ?? []).flatMap((target) => target.routes))];
  const any = Object.keys(filters).length > 0;
  return (
    <details class="fold" open={wide() || any}>
      <summary>Filters</summary>
      <form class="filters" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
        <Select label="Source" value={filters.source ?? ''} options={names((overview?.sources ?? []).map((one) => one.name), 'all', filters.source)} change={(source) => change({ source })} />
        <Typed label="Type" hint="vendor.*" value={filters.type} change={(type) => change({ type })} />
        <Select label="Route" value={filters.route ?? ''} options={names(routes, 'all', filters.route)} change={(route) => change({ route, unmatched: '' })} />
        <Select label="Target" value={filters.target ?? ''} options={names((overview?.targets ?? []).map((one) => one.name), 'all', filters.target)} change={(target) => change({ target, unmatched: '' })} />
        <Select
          label="State"
          value={filters.unmatched ? 'unmatched' : (filters.state ?? '')}
          options={[['', 'all'], ['pending', 'pending'], ['delivered', 'delivered'], ['dead', 'dead'], ['discarded', 'discarded'], ['unmatched', 'unmatched']]}
          change={(state) => change(state === 'unmatched' ? { state: '', route: '', target: '', unmatched: 'true' } : { state, unmatched: '' })}
        />
        <Typed label="Message id" hint="the sender's id" value={filters.message_id} change={(message_id) => change({ message_id })} />
        <Moment label="From" value={filters.since} change={(since) => change({ since })} />
        <Moment label="Until" value={filters.until} change={(until) => change({ until })} />
        {any && <Button kind="quiet" icon="close" press={() => replace(href('events'))}>Clear</Button>}
      </form>
    </details>
  );
}

/** On a phone the filters are folded away until they are wanted. */
const wide = (): boolean => matchMedia('(min-width: 761px)').matches;

/** A text that becomes the filter a moment after the last key, or at once on Enter. */
function Typed(props: { label: string; hint: string; value: string | undefined; change: (value: string) => void }) {
  const [text, setText] = useState(props.value ?? '');
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => setText(props.value ?? ''), [props.value]);
  const later = (value: string): void => {
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => props.change(value.trim()), 400);
  };
  return (
    <label class="field">
      <span class="label">{props.label}</span>
      <input
        type="text"
        spellcheck={false}
        autocomplete="off"
        placeholder={props.hint}
        value={text}
        onInput={(event) => later(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter') return;
          clearTimeout(timer.current);
          props.change(event.currentTarget.value.trim());
        }}
      />
    </label>
  );
}

function Moment(props: { label: string; value: string | undefined; change: (value: string) => void }) {
  const at = props.value ? new Date(props.value) : null;
  const local = at && !Number.isNaN(at.getTime())
    ? new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
    : '';
  return (
    <label class="field moment">
      <span class="label">{props.label}</span>
      <input
        type="datetime-local"
        value={local}
        onChange={(event) => {
          const value = event.currentTarget.value;
          props.change(value ? new Date(value).toISOString() : '');
        }}
      />
    </label>
  );
}

function Rows({ rows, known, fresh }: { rows: EventRow[]; known: Known; fresh: Set<string> }) {
  return (
    <Table label="Events" class="cards events" head={['Received', 'Source', 'Type', 'Deliveries', 'Message id', 'Size']}>
      {rows.map((row) => (
        <tr key={row.id} class={fresh.has(row.id) ? 'fresh' : undefined}>
          <td class="when" data-label="Received"><Ago at={row.received_at} /></td>
          <td data-label="Source">{row.source}</td>
          <th scope="row">
            <a class="row" href={href('events', row.id)}>{row.type}</a>
          </th>
          <td data-label="Deliveries"><Outcome row={row} known={known[row.id] ?? {}} /></td>
          <td class="mono dim cut" data-label="Message id" title={row.message_id ?? undefined}>{row.message_id ? shorten(row.message_id) : '–'}</td>
          <td class="num" data-label="Size">{size(row.size_bytes)}</td>
        </tr>
      ))}
    </Table>
  );
}

const shorten = (id: string): string => (id.length > 28 ? shortId(id) : id);

function Outcome({ row, known }: { row: EventRow; known: Record<string, State> }) {
  if (row.purged_at) return <Chip tone="quiet">purged</Chip>;
  const states = Object.values(known);
  if (row.deliveries.length === 0 && states.length === 0) return <Chip tone="warn">unmatched</Chip>;
  if (states.length === 0) return <Chip tone="quiet">{plural(row.deliveries.length, 'delivery', 'deliveries')}</Chip>;
  const order: State[] = ['dead', 'pending', 'delivered', 'discarded'];
  return (
    <span class="chips">
      {order.map((state) => {
        const many = states.filter((one) => one === state).length;
        return many > 0 && <StateChip key={state} state={state} more={states.length > 1 ? count(many) : undefined} />;
      })}
    </span>
  );
}
