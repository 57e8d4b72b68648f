// Trying a template: a sample, the text, and what the engine that delivers makes of them.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { api, ApiError, words } from '../api/client';
import type { Completion, Marker, Overview, RenderResult, Route, SampleRef, TemplateRow } from '../api/types';
import { Button, Empty, Field, Loading, Panel, Select, Trouble } from '../parts/basics';
import { Chip } from '../parts/chip';
import { Dialog } from '../parts/dialog';
import { useLoad } from '../parts/load';
import { begin, isChanged, useDraft, type Draft } from '../playground/draft';
import { Editor, type Mark } from '../playground/editor';
import { ResultPane } from '../playground/result';
import { refOf, SamplePane, type Chosen, type Pasted } from '../playground/sample';
import { SavingNotice, useSaving } from '../playground/save';
import { href, replace } from '../router';
import { SampleDialog, suggest } from './event/sample';

/** After the last key, before the engine is asked. */
const TYPING_MS = 250;
const BUSY_MS = 800;

export function Playground({ params, overview }: { params: URLSearchParams; overview: Overview | null }) {
  const templates = useLoad(async (signal) => (await api.templates(signal)).items, []);
  const routes = useLoad(async (signal) => (await api.routes(signal)).items, []);
  if (templates.trouble ?? routes.trouble) {
    return (
      <>
        <header class="head"><h1>Playground</h1></header>
        <Trouble words={templates.trouble ?? routes.trouble} again={() => {
          templates.again();
          routes.again();
        }} />
      </>
    );
  }
  if (!templates.data || !routes.data) return <Loading what="templates and routes" />;
  return <Bench params={params} overview={overview} templates={templates.data} routes={routes.data} reread={templates.again} />;
}

type BenchProps = {
  params: URLSearchParams;
  overview: Overview | null;
  templates: TemplateRow[];
  routes: Route[];
  reread: () => void;
};

function Bench({ params, overview, templates, routes, reread }: BenchProps) {
  const routeNamed = routes.find((one) => one.name === params.get('route'));
  const name = params.get('template') ?? routeNamed?.template ?? routes.find((one) => one.template)?.template ?? templates[0]?.name ?? '';
  const users = routes.filter((one) => one.template === name);
  const route = users.find((one) => one.name === routeNamed?.name) ?? users[0];
  const target = route?.to.find((one) => one === params.get('target')) ?? route?.to[0];
  const [chosen, choose, pasted] = useChosen(params);
  const { draft, trouble, write, revert, read, saved } = useDraft(name);
  const editable = overview?.edit_templates ?? null;
  const saving = useSaving(draft, editable === true, (text, etag) => {
    saved(text, etag);
    reread();
  });
  const key = JSON.stringify(refOf(chosen));
  const ref = useMemo(() => refOf(chosen), [key]);
  const body = useSampleBody(chosen);
  const rendering = useRender(draft, templates, route, target, ref, saving.busy);
  const known = useCompletion(ref);
  const jump = useRef<((marker: Marker) => void) | null>(null);
  const [asking, setAsking] = useState<'new' | 'test' | null>(null);
  const move = (changed: Record<string, string | undefined>): void =>
    replace(href('playground', '', { template: name, route: route?.name, target, ...addressOf(chosen), ...changed }));
  const marks = useMemo(() => marksOf(rendering.result, name, templates), [rendering.result, name]);

  return (
    <>
      <header class="head">
        <h1>Playground</h1>
        <Actions draft={draft} editable={editable} saving={saving} output={rendering.result?.output ?? null} ask={() => setAsking('test')} revert={revert} />
      </header>
      <SavingNotice saving={saving} read={read} />
      <div class="bench">
        <SamplePane chosen={chosen} choose={choose} body={body} pasted={pasted} route={route} overview={overview} />
        <Panel title="Template" class="pane" aside={draft && <DraftChip draft={draft} row={templates.find((one) => one.name === name)} />}>
          <div class="choose">
            <TemplateSelect name={name} templates={templates} draft={draft} pick={(template) => (template === NEW ? setAsking('new') : move({ template, route: undefined, target: undefined }))} />
            {users.length > 1 && <Select label="As by route" value={route?.name ?? ''} options={users.map((one): [string, string] => [one.name, one.name])} change={(next) => move({ route: next, target: undefined })} />}
            {route && route.to.length > 1 && <Select label="As to target" value={target ?? ''} options={route.to.map((one): [string, string] => [one, one])} change={(next) => move({ target: next })} />}
          </div>
          <Trouble words={trouble} />
          {!draft && !trouble && (name ? <Loading what="the template" /> : <Empty title="There is no template yet">Make one, and name it as the <code>template</code> of a route.</Empty>)}
          {draft && <Editor name={draft.name} text={draft.text} version={draft.version} marks={marks} known={known} change={write} save={saving.save} jump={jump} />}
          <p class="hint">Ctrl-Space offers paths of the sample, filters and tags. F8 goes to the next marker.</p>
        </Panel>
        <ResultPane
          result={rendering.result}
          trouble={rendering.trouble}
          stale={rendering.stale}
          sampled={ref !== null}
          jump={(marker) => jump.current?.(marker)}
          tryOn={(text) => choose({ kind: 'pasted', pasted: { ...pasted, body: text, source: route?.from[0] ?? pasted.source } })}
        />
      </div>
      {asking === 'new' && <NewTemplate taken={templates.map((one) => one.name)} close={() => setAsking(null)} made={(template) => move({ template, route: undefined, target: undefined })} />}
      {asking === 'test' && (
        <SampleDialog
          title="Save as a test"
          body={body.data}
          {...(rendering.result?.output == null ? {} : { expected: rendering.result.output })}
          name={suggest(route?.name ?? 'test', chosen.kind === 'event' ? chosen.event : String(Date.now()))}
          route={route?.name}
          close={() => setAsking(null)}
        />
      )}
    </>
  );
}

const addressOf = (chosen: Chosen): Record<string, string | undefined> => ({
  event: chosen.kind === 'event' ? chosen.event : undefined,
  sample: chosen.kind === 'sample' ? chosen.sample : undefined,
});

/** What is tried on; the address names it unless it is pasted. */
function useChosen(params: URLSearchParams): [Chosen, (chosen: Chosen) => void, Pasted] {
  const event = params.get('event') ?? '';
  const sample = params.get('sample') ?? '';
  const [chosen, setChosen] = useState<Chosen>(sample ? { kind: 'sample', sample } : { kind: 'event', event });
  const [pasted, setPasted] = useState<Pasted>({ body: '', source: '', type: '' });
  useEffect(() => {
    if (event && !(chosen.kind === 'event' && chosen.event === event)) setChosen({ kind: 'event', event });
    else if (sample && !(chosen.kind === 'sample' && chosen.sample === sample)) setChosen({ kind: 'sample', sample });
  }, [event, sample]);
  const choose = (next: Chosen): void => {
    if (next.kind === 'pasted') setPasted(next.pasted);
    setChosen(next);
    const kept = Object.fromEntries(['template', 'route', 'target'].map((name) => [name, params.get(name) ?? undefined]));
    replace(href('playground', '', { ...kept, ...addressOf(next) }));
  };
  return [chosen, choose, pasted];
}

function useSampleBody(chosen: Chosen): { data: string | null; trouble: string | null } {
  const id = chosen.kind === 'event' ? chosen.event : chosen.kind === 'sample' ? chosen.sample : '';
  const loaded = useLoad(async (signal) => {
    if (chosen.kind === 'event' && chosen.event) return api.eventBody(chosen.event, signal);
    if (chosen.kind === 'sample' && chosen.sample) return (await api.sample(chosen.sample, signal)).body;
    return null;
  }, [chosen.kind, id]);
  return chosen.kind === 'pasted' ? { data: chosen.pasted.body, trouble: null } : loaded;
}

/** Asks the engine a moment after the last change; an answer that was overtaken is dropped. */
function useRender(draft: Draft | null, templates: TemplateRow[], route: Route | undefined, target: string | undefined, ref: SampleRef | null, hold: boolean) {
  const [result, setResult] = useState<RenderResult | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const [stale, setStale] = useState(false);
  const onDisk = draft !== null && templates.some((one) => one.name === draft.name);
  useEffect(() => {
    if (!draft || !ref || hold) return undefined;
    let late = false;
    let timer: ReturnType<typeof setTimeout>;
    setStale(true);
    const ask = async (): Promise<void> => {
      try {
        const found = await api.render({
          text: draft.text,
          sample: ref,
          name: onDisk ? draft.name : null,
          route: route?.name ?? null,
          target: target ?? null,
        });
        if (late) return;
        setResult(found);
        setTrouble(null);
        setStale(false);
      } catch (error) {
        if (late) return;
        if (error instanceof ApiError && error.code === 'busy') timer = setTimeout(() => void ask(), BUSY_MS);
        else {
          setTrouble(words(error));
          setResult(null);
          setStale(false);
        }
      }
    };
    timer = setTimeout(() => void ask(), TYPING_MS);
    return () => {
      late = true;
      clearTimeout(timer);
    };
  }, [draft?.name, draft?.text, draft?.etag, ref, route?.name, target, hold]);
  return { result, trouble, stale };
}

function useCompletion(ref: SampleRef | null): Completion | null {
  const [known, setKnown] = useState<Completion | null>(null);
  useEffect(() => {
    if (!ref) return undefined;
    let late = false;
    let timer: ReturnType<typeof setTimeout>;
    const ask = (): void => {
      api.complete({ sample: ref })
        .then((found) => {
          if (!late) setKnown(found);
        })
        // Without it the editor offers what it knew; what is wrong with the sample the render says.
        .catch((error: unknown) => {
          if (!late && error instanceof ApiError && error.code === 'busy') timer = setTimeout(ask, BUSY_MS);
        });
    };
    timer = setTimeout(ask, TYPING_MS);
    return () => {
      late = true;
      clearTimeout(timer);
    };
  }, [ref]);
  return known;
}

/** What to mark in this text; places in partials are told beside it. */
function marksOf(result: RenderResult | null, name: string, templates: TemplateRow[]): Mark[] {
  if (!result) return [];
  const others = new Set(templates.map((one) => one.name).filter((one) => one !== name));
  const all: Mark[] = [
    ...(result.error ? [{ marker: result.error, severity: 'error' as const }] : []),
    ...(result.proof?.findings ?? []).map(({ marker }) => ({ marker, severity: 'warning' as const })),
    ...(result.proof?.may_fail ?? []).map((marker) => ({ marker, severity: 'warning' as const })),
    ...result.repairs.map((marker) => ({ marker, severity: 'info' as const })),
  ];
  return all.filter(({ marker }) => !others.has(marker.file));
}

const NEW = '\0new';

function TemplateSelect(props: { name: string; templates: TemplateRow[]; draft: Draft | null; pick: (name: string) => void }) {
  const names = props.templates.map((one) => one.name);
  if (props.draft && !names.includes(props.draft.name)) names.push(props.draft.name);
  return (
    <Select
      label="Template"
      value={props.name}
      options={[...names.map((one): [string, string] => [one, one]), [NEW, 'new template…']]}
      change={props.pick}
    />
  );
}

function DraftChip({ draft, row }: { draft: Draft; row: TemplateRow | undefined }) {
  if (draft.etag === null) return <Chip tone="info">new, not saved</Chip>;
  if (isChanged(draft)) return <Chip tone="info">changed, not saved</Chip>;
  if (row?.in_force === false) return <Chip tone="warn" title="The file was changed and not reloaded, or the reload was refused">on disk, not in force</Chip>;
  return row?.in_force ? <Chip tone="quiet">in force</Chip> : <Chip tone="quiet">no route names it</Chip>;
}

function Actions(props: {
  draft: Draft | null;
  /** Null while that is not known. */
  editable: boolean | null;
  saving: ReturnType<typeof useSaving>;
  output: string | null;
  ask: () => void;
  revert: () => void;
}) {
  const { draft, editable, saving, output } = props;
  const off = editable === null
    ? 'Whether saving is on is not known yet.'
    : !editable && 'Saving is off: set admin.edit_templates: true in the configuration.';
  const same = draft !== null && !isChanged(draft) && draft.etag !== null;
  return (
    <div class="actions">
      {off && editable === false && <Chip tone="quiet" title={off}>saving is off</Chip>}
      <Button unless={(!draft || same) && 'The text is as it was read.'} press={props.revert}>Revert</Button>
      <Button unless={off || (output === null && 'It does not render this sample, so there is nothing to expect.')} press={props.ask}>Save as a test…</Button>
      <Button kind="main" busy={saving.busy} unless={off || (!draft && 'There is no text yet.') || (same && 'The text is as it was read.')} press={saving.save}>
        Save template
      </Button>
    </div>
  );
}

const TEMPLATE_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\.liquid$/;

function NewTemplate({ taken, close, made }: { taken: string[]; close: () => void; made: (name: string) => void }) {
  const [name, setName] = useState('');
  const wrong = taken.includes(name) ? 'There is a template of this name.' : TEMPLATE_NAME.test(name) ? null : 'A name that ends in .json.liquid, or .liquid for a partial.';
  return (
    <Dialog title="New template" close={close}>
      <form onSubmit={(event) => {
        event.preventDefault();
        if (wrong) return;
        begin(name);
        made(name);
        close();
      }}>
        <Field label="Name" hint={wrong ?? 'It is written when it is saved. A route must name it before it is used.'}>
          <input type="text" spellcheck={false} placeholder="vendor.json.liquid" value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
        <div class="buttons">
          <Button press={close}>Cancel</Button>
          <button type="submit" class="main" aria-disabled={wrong !== null}>Begin</button>
        </div>
      </form>
    </Dialog>
  );
}
