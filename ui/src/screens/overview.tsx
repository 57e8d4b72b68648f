// How it goes: the last minute in figures, the last hour or day in charts, each target and source in a row.
import { useState } from 'preact/hooks';
import { api } from '../api/client';
import type { Overview, Series, Source, Target } from '../api/types';
import { count, duration, plural, rate, success } from '../format';
import { Ago, Button, Empty, Facts, Loading, Panel, Select, Table, Trouble } from '../parts/basics';
import { Chart, type Row } from '../parts/chart';
import { Chip, HealthChip } from '../parts/chip';
import { useAct, useLoad, useNow, type Loaded } from '../parts/load';
import { toast } from '../parts/toast';
import { href } from '../router';
import { Fleet } from './overview/fleet';

const SERIES_EVERY_MS = 10_000;

export function OverviewScreen({ overview }: { overview: Loaded<Overview> }) {
  const { data } = overview;
  return (
    <>
      <header class="head">
        <h1>Overview</h1>
        {data && (
          <p class="dim">
            {data.ready ? <Chip tone="good">taking events</Chip> : <Chip tone="bad">not taking events</Chip>}
            {' '}started <Ago at={data.started_at} />
          </p>
        )}
      </header>
      {!data && !overview.trouble && <Loading what="the overview" />}
      {data && <Figures overview={data} />}
      <Charts overview={data} />
      {data && (
        <>
          {data.fleet.instances > 1 && <Fleet />}
          <Targets targets={data.targets} />
          <div class="columns">
            <Sources sources={data.sources} />
            <Reloaded overview={data} again={overview.again} />
          </div>
        </>
      )}
    </>
  );
}

function Figure(props: { label: string; value: string; more: string; tone?: 'bad' | 'warn' | undefined; to?: string }) {
  const inside = (
    <>
      <span class="label">{props.label}</span>
      <strong class={props.tone}>{props.value}</strong>
      <span class="dim">{props.more}</span>
    </>
  );
  return props.to ? <a class="figure" href={props.to}>{inside}</a> : <div class="figure">{inside}</div>;
}

function Figures({ overview }: { overview: Overview }) {
  const now = useNow();
  const { in: came, out } = overview;
  const age = overview.oldest_pending_at ? Math.max(0, (now - Date.parse(overview.oldest_pending_at)) / 1000) : null;
  const turnedAway = came.unverified + came.refused;
  return (
    <div class="figures" role="group" aria-label={overview.fleet.instances > 1 ? 'The last minute; in, out and success at this instance' : 'The last minute'}>
      <Figure
        label="In"
        value={rate(came.received, came.seconds)}
        more={turnedAway > 0 ? `${count(turnedAway)} turned away` : 'events'}
        to={href('events')}
      />
      <Figure label="Out" value={rate(out.succeeded + out.failed, out.seconds)} more="attempts" />
      <Figure
        label="Success"
        value={success(out.succeeded, out.failed)}
        more={out.failed > 0 ? `${plural(out.failed, 'attempt')} failed` : 'no attempt failed'}
        tone={out.failed > out.succeeded ? 'bad' : out.failed > 0 ? 'warn' : undefined}
      />
      <Figure label="Pending" value={count(overview.pending)} more="deliveries" to={href('events', '', { state: 'pending' })} />
      <Figure label="Oldest" value={age === null ? '–' : duration(age)} more={age === null ? 'nothing waits' : 'pending'} tone={age !== null && age > 3600 ? 'warn' : undefined} />
      <Figure
        label="Dead"
        value={count(overview.dead)}
        more={overview.replays_running > 0 ? `${plural(overview.replays_running, 'replay')} running` : 'parked'}
        tone={overview.dead > 0 ? 'bad' : undefined}
        to={href('dead')}
      />
    </div>
  );
}

function Charts({ overview }: { overview: Overview | null }) {
  const [span, setSpan] = useState<'1h' | '24h'>('1h');
  const [of, setOf] = useState('');
  const [kind = '', name = ''] = of.split(/:(.*)/s);
  const query = { window: span, [kind || 'window']: name || span };
  const series = useLoad((signal) => api.series(query, signal), [span, of], SERIES_EVERY_MS);
  const options: Array<[string, string]> = [
    ['', 'all sources and targets'],
    ...(overview?.sources ?? []).map((one): [string, string] => [`source:${one.name}`, `source ${one.name}`]),
    ...(overview?.targets ?? []).map((one): [string, string] => [`target:${one.name}`, `target ${one.name}`]),
  ];
  return (
    <Panel
      title={overview && overview.fleet.instances > 1 ? 'Over time, at this instance' : 'Over time'}
      aside={
        <>
          <Select label="Of" hideLabel value={of} options={options} change={setOf} />
          <Select label="Window" hideLabel value={span} options={[['1h', 'last hour'], ['24h', 'last day']]} change={(value) => setSpan(value === '24h' ? '24h' : '1h')} />
        </>
      }
    >
      <Trouble words={series.trouble} again={series.again} />
      {series.data && <Plots series={series.data} />}
      {!series.data && !series.trouble && <Loading what="the charts" />}
    </Panel>
  );
}

function Plots({ series }: { series: Series }) {
  const { times } = series;
  const known = (values: Array<number | null>): boolean => values.some((value) => value !== null);
  const perSecond = (values: Array<number | null>): Array<number | null> =>
    values.map((value) => (value === null ? null : value / series.step_seconds));
  const rows = (...all: Row[]): Row[] => all.filter((row) => known(row.values));
  const plots: Array<{ label: string; unit: (value: number) => string; top?: number; rows: Row[] }> = [
    { label: 'In, events a second', unit: eachSecond, rows: rows(
      { label: 'received', colour: '--info', values: perSecond(series.received), fill: true },
      { label: 'unverified', colour: '--warn', values: perSecond(series.unverified) },
    ) },
    { label: 'Out, attempts a second', unit: eachSecond, rows: rows(
      { label: 'succeeded', colour: '--good', values: perSecond(series.succeeded), fill: true },
      { label: 'failed', colour: '--bad', values: perSecond(series.failed) },
    ) },
    { label: 'Success, share of attempts', unit: percent, top: 100, rows: rows(
      { label: 'succeeded', colour: '--good', values: shares(series.succeeded, series.failed) },
    ) },
    { label: 'Depth, deliveries', unit: whole, rows: rows(
      { label: 'pending', colour: '--info', values: series.pending, fill: true },
      { label: 'dead', colour: '--bad', values: series.dead },
    ) },
    { label: 'Age of the oldest pending', unit: duration, rows: rows(
      { label: 'oldest', colour: '--info', values: series.oldest_pending_seconds, fill: true },
    ) },
    { label: 'Time of an attempt', unit: duration, rows: rows(
      { label: 'mean', colour: '--info', values: series.mean_attempt_seconds },
    ) },
  ].filter((plot) => plot.rows.length > 0);
  if (plots.length === 0) {
    return <Empty title="Nothing is known yet">The charts begin with the daemon and gain a point every ten seconds.</Empty>;
  }
  return (
    <div class="plots">
      {plots.map((plot) => <Chart key={plot.label} label={plot.label} times={times} rows={plot.rows} unit={plot.unit} top={plot.top} />)}
    </div>
  );
}

const percent = (value: number): string => `${value.toFixed(Number.isInteger(value) ? 0 : 1)} %`;
const shares = (succeeded: Array<number | null>, failed: Array<number | null>): Array<number | null> =>
  succeeded.map((good, index) => {
    const all = (good ?? 0) + (failed[index] ?? 0);
    return all === 0 ? null : (100 * (good ?? 0)) / all;
  });
const whole = (value: number): string => (Number.isInteger(value) || value >= 10 ? count(value) : value.toFixed(1));
const eachSecond = (value: number): string =>
  value === 0 ? '0' : value >= 10 ? count(value) : value >= 1 ? value.toFixed(1) : value.toFixed(2);

function Targets({ targets }: { targets: Target[] }) {
  if (targets.length === 0) {
    return <Panel title="Targets"><Empty title="No target is configured">Name one under <code>targets</code> in the configuration and reload.</Empty></Panel>;
  }
  return (
    <Panel title="Targets" flush>
      <Table label="Targets" class="cards" head={['Target', 'Health', 'Out', 'Success', 'Running', 'Pending', 'Oldest', 'Dead']}>
        {targets.map((target) => (
          <tr key={target.name}>
            <th scope="row"><a href={href('routes', '', { target: target.name })}>{target.name}</a></th>
            <td data-label="Health"><HealthChip target={target} /></td>
            <td class="num" data-label="Out">{rate(target.last_minute.succeeded + target.last_minute.failed, target.last_minute.seconds)}</td>
            <td class="num" data-label="Success">{success(target.last_minute.succeeded, target.last_minute.failed)}</td>
            <td class="num" data-label="Running">{`${target.running} / ${target.concurrency}`}</td>
            <td class="num" data-label="Pending">
              {target.pending > 0 ? <a href={href('events', '', { target: target.name, state: 'pending' })}>{count(target.pending)}</a> : 0}
            </td>
            <td class="num" data-label="Oldest"><Ago at={target.oldest_pending_at} /></td>
            <td class="num" data-label="Dead">
              {target.dead > 0 ? <a class="bad" href={href('dead', '', { target: target.name })}>{count(target.dead)}</a> : 0}
            </td>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}

function Sources({ sources }: { sources: Source[] }) {
  if (sources.length === 0) {
    return <Panel title="Sources"><Empty title="No source is configured">Name one under <code>sources</code> in the configuration and reload.</Empty></Panel>;
  }
  return (
    <Panel title="Sources" flush>
      <Table label="Sources" class="cards" head={['Source', 'In', 'Duplicates', 'Unmatched', 'Unverified']}>
        {sources.map((source) => (
          <tr key={source.name}>
            <th scope="row"><a href={href('events', '', { source: source.name })}>{source.name}</a></th>
            <td class="num" data-label="In">{rate(source.last_minute.received, source.last_minute.seconds)}</td>
            <td class="num" data-label="Duplicates">{count(source.last_minute.duplicates)}</td>
            <td class="num" data-label="Unmatched">{count(source.last_minute.unmatched)}</td>
            <td class="num" data-label="Unverified">
              {source.failures > 0
                ? <a class="warn" href={href('routes', '', { source: source.name })} title="since the start">{count(source.failures)}</a>
                : 0}
            </td>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}

function Reloaded({ overview, again }: { overview: Overview; again: () => void }) {
  const last = overview.last_reload;
  const { busy, trouble, act } = useAct();
  const reload = (): void => act(async () => {
    const report = await api.reload();
    toast(report.text || 'The configuration is in force.');
    again();
  });
  return (
    <Panel title="Configuration" aside={<Button icon="retry" kind="quiet" busy={busy} press={reload}>Reload</Button>}>
      <Facts facts={[
        ['In force', <>generation {overview.plan.generation}, since <Ago at={overview.plan.since} /></>],
        ['Last reload', last
          ? <><Chip tone={last.applied ? 'good' : 'bad'}>{last.applied ? 'applied' : 'refused'}</Chip> <Ago at={last.at} /> by {last.trigger}</>
          : 'none since the start'],
        ['Saving here', overview.edit_templates ? 'on (admin.edit_templates)' : 'off (admin.edit_templates)'],
      ]} />
      {last && !last.applied && <pre class="code small">{last.text}</pre>}
      <Trouble words={trouble} />
    </Panel>
  );
}
