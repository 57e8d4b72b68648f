// What came in, what goes out, how they differ, and what the target said.
import { useEffect, useState } from 'preact/hooks';
import { api } from '../../api/client';
import type { Attempt, DeliveryBody, DeliveryWithAttempts, Event, Marker } from '../../api/types';
import { duration, outcomeText, outcomeWords, size } from '../../format';
import { Empty, Facts, Loading, Panel, Select, Trouble } from '../../parts/basics';
import { CopyButton, Diff, Json } from '../../parts/code';
import { useLoad } from '../../parts/load';
import { Tabs } from '../../parts/tabs';

export type Side = 'raw' | 'rendered' | 'diff' | 'response';

type Props = {
  event: Event;
  chosen: DeliveryWithAttempts | undefined;
  side: Side;
  show: (delivery: string | undefined, side: Side) => void;
};

export function Bodies({ event, chosen, side, show }: Props) {
  const raw = useLoad((signal) => api.eventBody(event.id, signal), [event.id]);
  const version = chosen ? `${chosen.state}:${chosen.attempts.length}:${chosen.started_at}` : '';
  const rendered = useLoad(
    async (signal) => (chosen ? await api.deliveryBody(chosen.id, signal) : null),
    [chosen?.id, version],
  );
  const delivery = chosen && event.deliveries.length > 1 && (
    <Select
      label="Delivery"
      hideLabel
      value={chosen.id}
      options={event.deliveries.map((one) => [one.id, `to ${one.target}, ${one.state}`])}
      change={(id) => show(id, side)}
    />
  );
  return (
    <Panel title="Bodies" aside={delivery || undefined} class="bodies">
      <Tabs
        label="Bodies"
        name="bodies"
        tabs={[{ id: 'raw', label: 'Raw' }, { id: 'rendered', label: 'Rendered' }, { id: 'diff', label: 'Diff' }, { id: 'response', label: 'Response' }]}
        shown={side}
        show={(tab) => show(chosen?.id, tab)}
      >
        {side === 'raw' && <Raw event={event} text={raw.data} trouble={raw.trouble} />}
        {side === 'rendered' && <Rendered chosen={chosen} body={rendered.data} trouble={rendered.trouble} />}
        {side === 'diff' && <Difference raw={raw.data} chosen={chosen} body={rendered.data} trouble={raw.trouble ?? rendered.trouble} />}
        {side === 'response' && <Responses chosen={chosen} />}
      </Tabs>
    </Panel>
  );
}

function Raw({ event, text, trouble }: { event: Event; text: string | null; trouble: string | null }) {
  if (trouble) return <Trouble words={trouble} />;
  if (text === null) return <Loading what="the body" />;
  return (
    <>
      <div class="told row">
        <span class="dim">{size(event.size_bytes)} as it came{event.body_redacted === 'values' && ', with values hidden by the source’s redact'}</span>
        <CopyButton label="Copy" done="The body is on the clipboard." text={() => text} quiet />
      </div>
      {text === '' ? <Empty title="The body is empty" /> : <Json text={text} label="The body as it came" />}
    </>
  );
}

const FROM: Record<DeliveryBody['from'], string> = {
  frozen: 'kept from an attempt',
  rendered: 'rendered now, with the template in force',
  unchanged: 'the event’s own body, unchanged',
};

function Rendered(props: { chosen: DeliveryWithAttempts | undefined; body: DeliveryBody | null; trouble: string | null }) {
  const { chosen, body, trouble } = props;
  if (!chosen) return <NoDelivery />;
  if (trouble) return <Trouble words={trouble} />;
  if (!body) return <Loading what="the rendered body" />;
  const exactly = body.exact === null ? null : body.exact ? 'byte for byte what was sent last' : 'not what was sent last';
  return (
    <>
      <div class="told row">
        <span class="dim">
          {FROM[body.from]}{exactly && `: ${exactly}`}
          {body.template && <> · <code>{body.template}</code></>}
          {body.size_bytes !== null && ` · ${size(body.size_bytes)}`}
        </span>
        {body.body !== null && <CopyButton label="Copy" done="The body is on the clipboard." text={() => body.body ?? ''} quiet />}
      </div>
      {body.error && <MarkerText marker={body.error} />}
      {body.body !== null && <Json text={body.body} label="The rendered body" />}
      {body.body === null && body.body_base64 !== null && <><p class="note">It is not text; in base64:</p><pre class="code" tabIndex={0}>{body.body_base64}</pre></>}
    </>
  );
}

export function MarkerText({ marker }: { marker: Marker }) {
  return (
    <div class="trouble" role="note">
      <div>
        <strong class="mono">{marker.file}:{marker.line}:{marker.column}</strong> {marker.message}
        {marker.help && <p class="hint">{marker.help}</p>}
      </div>
    </div>
  );
}

function Difference(props: { raw: string | null; chosen: DeliveryWithAttempts | undefined; body: DeliveryBody | null; trouble: string | null }) {
  const { raw, chosen, body, trouble } = props;
  if (!chosen) return <NoDelivery />;
  if (trouble) return <Trouble words={trouble} />;
  if (raw === null || !body) return <Loading what="both bodies" />;
  if (body.error) return <MarkerText marker={body.error} />;
  if (body.body === null) return <Empty title="There is no text to compare" />;
  return (
    <>
      <p class="dim told">From what came in to what goes to {chosen.target}, both laid out alike.</p>
      <Diff before={raw} after={body.body} label="From raw to rendered" />
    </>
  );
}

function Responses({ chosen }: { chosen: DeliveryWithAttempts | undefined }) {
  const attempts = chosen?.attempts ?? [];
  const [index, setIndex] = useState(attempts.length - 1);
  useEffect(() => setIndex(attempts.length - 1), [chosen?.id, attempts.length]);
  const attempt = attempts[index];
  if (!chosen) return <NoDelivery />;
  if (!attempt) return <Empty title="Nothing was tried yet">The first attempt will be shown here as it ends.</Empty>;
  return (
    <>
      {attempts.length > 1 && (
        <Select
          label="Attempt"
          value={String(index)}
          options={attempts.map((one, at): [string, string] => [String(at), `${one.number}: ${outcomeWords(one.outcome)}`])}
          change={(value) => setIndex(Number(value))}
        />
      )}
      <Response attempt={attempt} />
    </>
  );
}

function Response({ attempt }: { attempt: Attempt }) {
  const { outcome } = attempt;
  const text = outcomeText(outcome);
  return (
    <>
      <Facts facts={[
        ['Outcome', outcomeWords(outcome)],
        ['Took', duration(attempt.took_seconds)],
        outcome.kind === 'answered' && outcome.retry_after_seconds !== null ? ['Asked to wait', duration(outcome.retry_after_seconds)] : null,
        attempt.template_hash ? ['Template', <code>{attempt.template_hash.slice(0, 16)}</code>] : null,
        attempt.plan_generation !== null ? ['Configuration', String(attempt.plan_generation)] : null,
      ]} />
      {text ? <Json text={text} label="What was answered" /> : <p class="note">{outcome.kind === 'answered' ? 'The answer had no body.' : 'No words were kept.'}</p>}
    </>
  );
}

function NoDelivery() {
  return <Empty title="Nothing goes out">No route took this event. See the timeline for why; once a route fits, retry it with “reroute”.</Empty>;
}
