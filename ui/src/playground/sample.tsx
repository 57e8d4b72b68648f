// What to try a template on: a stored event, a saved sample, or a body that is pasted here.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { api } from '../api/client';
import type { Overview, Route, SampleRef } from '../api/types';
import { size } from '../format';
import { Ago, Empty, Field, Loading, Panel, Select, Trouble } from '../parts/basics';
import { Json } from '../parts/code';
import { useLoad } from '../parts/load';
import { Tabs } from '../parts/tabs';

export type Pasted = { body: string; source: string; type: string };
export type Chosen =
  | { kind: 'event'; event: string }
  | { kind: 'sample'; sample: string }
  | { kind: 'pasted'; pasted: Pasted };

const RECENT = 30;

/** As the API wants it; `null` while nothing is chosen. */
export function refOf(chosen: Chosen): SampleRef | null {
  switch (chosen.kind) {
    case 'event': return chosen.event ? { event: chosen.event } : null;
    case 'sample': return chosen.sample ? { sample: chosen.sample } : null;
    case 'pasted': {
      const { body, source, type } = chosen.pasted;
      if (!body.trim()) return null;
      return { body, ...(source ? { source } : {}), ...(type ? { type } : {}) };
    }
  }
}

type Props = {
  chosen: Chosen;
  choose: (chosen: Chosen) => void;
  /** The body of what is chosen, for saving it as a test. */
  body: { data: string | null; trouble: string | null };
  pasted: Pasted;
  route: Route | undefined;
  overview: Overview | null;
};

export function SamplePane(props: Props) {
  const { chosen, choose, body, pasted } = props;
  const show = (kind: Chosen['kind']): void => {
    if (kind === 'event') choose({ kind, event: '' });
    else if (kind === 'sample') choose({ kind, sample: '' });
    else choose({ kind, pasted: pasted.body ? pasted : { ...pasted, body: body.data ?? '' } });
  };
  return (
    <Panel title="Sample" class="pane">
      <Tabs
        label="Where the sample comes from"
        name="sample"
        tabs={[{ id: 'event', label: 'Event' }, { id: 'sample', label: 'File' }, { id: 'pasted', label: 'Pasted' }]}
        shown={chosen.kind}
        show={show}
      >
        {chosen.kind === 'event' && <RecentEvents {...props} shown={chosen.event} />}
        {chosen.kind === 'sample' && <Files {...props} shown={chosen.sample} />}
        {chosen.kind === 'pasted' && <Paste {...props} />}
        {chosen.kind !== 'pasted' && refOf(chosen) && (
          <div class="payload">
            <Trouble words={body.trouble} />
            {body.data !== null ? <Json text={body.data} label="The sample" numbers={false} /> : !body.trouble && <Loading what="the sample" />}
          </div>
        )}
      </Tabs>
    </Panel>
  );
}

/** One of a list that scrolls by itself; the one that is shown is brought into sight. */
function Pick({ shown, choose, children }: { shown: boolean; choose: () => void; children: ComponentChildren }) {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const list = button.current?.closest('ul');
    if (!shown || !button.current || !list) return;
    const { offsetTop, offsetHeight } = button.current;
    if (offsetTop < list.scrollTop || offsetTop + offsetHeight > list.scrollTop + list.clientHeight) {
      list.scrollTop = offsetTop - list.clientHeight / 2 + offsetHeight;
    }
  }, [shown]);
  return <button type="button" ref={button} aria-pressed={shown} onClick={choose}>{children}</button>;
}

function RecentEvents({ route, shown, choose }: Props & { shown: string }) {
  const source = route?.from.length === 1 ? route.from[0] : undefined;
  const recent = useLoad(async (signal) => (await api.events({ limit: RECENT, source }, signal)).items, [source]);
  useEffect(() => {
    const first = recent.data?.find((row) => !row.purged_at);
    if (!shown && first) choose({ kind: 'event', event: first.id });
  }, [recent.data, shown]);
  if (recent.trouble) return <Trouble words={recent.trouble} again={recent.again} />;
  if (!recent.data) return <Loading what="recent events" />;
  const listed = recent.data.some((row) => row.id === shown);
  return (
    <>
      {shown && !listed && <p class="note">An older event: <span class="mono">{shown}</span></p>}
      {recent.data.length === 0 && <Empty title="No event yet">Paste a body instead.</Empty>}
      <ul class="picks" aria-label="Recent events">
        {recent.data.map((row) => (
          <li key={row.id}>
            <Pick shown={row.id === shown} choose={() => choose({ kind: 'event', event: row.id })}>
              <span>{row.type}</span>
              <span class="dim">{row.source} · <Ago at={row.received_at} /></span>
            </Pick>
          </li>
        ))}
      </ul>
    </>
  );
}

function Files({ route, shown, choose }: Props & { shown: string }) {
  const files = useLoad(async (signal) => (await api.samples(signal)).items, []);
  useEffect(() => {
    const first = files.data?.find((row) => row.route === route?.name) ?? files.data?.[0];
    if (!shown && first) choose({ kind: 'sample', sample: first.id });
  }, [files.data, shown]);
  if (files.trouble) return <Trouble words={files.trouble} again={files.again} />;
  if (!files.data) return <Loading what="the samples" />;
  if (files.data.length === 0) {
    return <Empty title="No route has samples">Give a route <code>tests</code> or <code>cases: DIR</code>, or save an event as a sample.</Empty>;
  }
  return (
    <ul class="picks" aria-label="Samples">
      {files.data.map((row) => (
        <li key={row.id}>
          <Pick shown={row.id === shown} choose={() => choose({ kind: 'sample', sample: row.id })}>
            <span>{row.name}</span>
            <span class="dim">{row.route} · {size(row.size_bytes)}{row.test && ' · test'}</span>
          </Pick>
        </li>
      ))}
    </ul>
  );
}

function Paste({ pasted, choose, overview }: Props) {
  const change = (changed: Partial<Pasted>): void => choose({ kind: 'pasted', pasted: { ...pasted, ...changed } });
  return (
    <div class="paste">
      <Field label="Body">
        <textarea
          class="mono"
          rows={14}
          spellcheck={false}
          placeholder={'{"type": "vendor.updated", "data": {}}'}
          value={pasted.body}
          onInput={(event) => change({ body: event.currentTarget.value })}
        />
      </Field>
      <Select
        label="As if it came by source"
        value={pasted.source}
        options={[['', 'none: the type is “type” of the body'], ...(overview?.sources ?? []).map((one): [string, string] => [one.name, one.name])]}
        change={(source) => change({ source })}
      />
      <Field label="Type" hint="Where the body does not tell it.">
        <input type="text" spellcheck={false} value={pasted.type} onInput={(event) => change({ type: event.currentTarget.value })} />
      </Field>
    </div>
  );
}
