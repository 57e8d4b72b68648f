// Keeping an event beside a route, as a sample or, with what must come out, as a test.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import type { Event, SampleNew } from '../../api/types';
import { Button, Empty, Field, Loading, Select, Trouble } from '../../parts/basics';
import { Dialog } from '../../parts/dialog';
import { useAct, useLoad } from '../../parts/load';
import { toast } from '../../parts/toast';

export const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** A name that says what it is of and is rarely taken. */
export const suggest = (type: string, id: string): string =>
  `${type.replaceAll(/[^A-Za-z0-9._-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '').slice(0, 40) || 'sample'}-${id.slice(-6)}`;

export function SaveSample({ event, close }: { event: Event; close: () => void }) {
  const body = useLoad((signal) => api.eventBody(event.id, signal), [event.id]);
  const taken = event.deliveries[0]?.route;
  return (
    <SampleDialog
      title="Save as a sample"
      body={body.data}
      trouble={body.trouble}
      headers={event.headers}
      name={suggest(event.type, event.id)}
      route={taken}
      close={close}
    />
  );
}

export function SampleDialog(props: {
  title: string;
  body: string | null;
  trouble?: string | null;
  headers?: Array<{ name: string; value: string }>;
  /** With it a test is saved. */
  expected?: string;
  name: string;
  route: string | undefined;
  saved?: () => void;
  close: () => void;
}) {
  const routes = useLoad(async (signal) => (await api.routes(signal)).items, []);
  const able = (routes.data ?? []).filter((route) => route.cases).map((route) => route.name);
  const [picked, setRoute] = useState(props.route ?? '');
  const route = able.includes(picked) ? picked : (able[0] ?? '');
  const [name, setName] = useState(props.name);
  const { busy, trouble, act } = useAct();
  const wrong = !NAME.test(name);
  const save = (): void => act(async () => {
    const sample: SampleNew = { route, name, body: props.body ?? '' };
    if (props.headers?.length) sample.headers = props.headers;
    if (props.expected !== undefined) sample.expected = props.expected;
    await api.saveSample(sample);
    toast(props.expected === undefined ? `Saved as the sample ${name} of ${route}.` : `Saved as the test ${name} of ${route}: every reload runs it.`);
    props.saved?.();
    props.close();
  });
  return (
    <Dialog title={props.title} close={props.close}>
      {!routes.data && !routes.trouble && <Loading what="the routes" />}
      {routes.data && able.length === 0 && (
        <Empty title="No route has a folder of cases">Give a route <code>cases: DIR</code> in the configuration; samples and tests are saved there.</Empty>
      )}
      {able.length > 0 && (
        <>
          <Select label="Route" value={route} options={able.map((one): [string, string] => [one, one])} change={setRoute} />
          <Field label="Name" hint={wrong ? 'Letters, digits, dots, dashes and underscores; at most 64.' : `Written as ${name}.json${props.expected === undefined ? '' : ` and ${name}.out.json`}`}>
            <input type="text" spellcheck={false} value={name} aria-invalid={wrong} onInput={(event) => setName(event.currentTarget.value)} />
          </Field>
        </>
      )}
      <Trouble words={routes.trouble ?? props.trouble ?? trouble} />
      <div class="buttons">
        <Button press={props.close}>Cancel</Button>
        {able.length > 0 && <Button kind="main" busy={busy} unless={wrong && 'The name is not right yet.'} press={save}>Save</Button>}
      </div>
    </Dialog>
  );
}
