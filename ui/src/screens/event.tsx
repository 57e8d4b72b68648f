// One event: what happened to it, from the door to each target, and what it said on the way.
import { useState } from 'preact/hooks';
import { api } from '../api/client';
import type { DeliveryWithAttempts, Event, Overview } from '../api/types';
import { Ago, Button, Loading, Trouble } from '../parts/basics';
import { Chip, StateChip } from '../parts/chip';
import { CopyButton } from '../parts/code';
import { useLoad } from '../parts/load';
import { href, replace } from '../router';
import { Bodies, type Side } from './event/bodies';
import { curl } from './event/curl';
import { RetryDialog } from './event/retry';
import { SaveSample } from './event/sample';
import { Timeline } from './event/timeline';

const SOON_MS = 2000;
const LATER_MS = 15_000;

export function EventScreen({ id, params, overview }: { id: string; params: URLSearchParams; overview: Overview | null }) {
  const [every, setEvery] = useState(SOON_MS);
  const event = useLoad(async (signal) => {
    const found = await api.event(id, signal);
    setEvery(found.deliveries.some((one) => one.state === 'pending') ? SOON_MS : LATER_MS);
    return found;
  }, [id], every);
  const [asking, setAsking] = useState<'retry' | 'sample' | null>(null);
  const { data } = event;
  const chosen = data ? pick(data, params.get('delivery')) : undefined;
  const side = (params.get('tab') ?? 'raw') as Side;
  const show = (delivery: string | undefined, tab: Side): void =>
    replace(href('events', id, { delivery, tab: tab === 'raw' ? undefined : tab }));

  return (
    <>
      <header class="head">
        <div>
          <p class="crumb"><a href={href('events')}>Events</a></p>
          <h1 class="type">{data?.type ?? 'Event'}</h1>
          {data && <Summary event={data} />}
        </div>
        {data && (
          <div class="actions">
            <Button icon="retry" kind="main" press={() => setAsking('retry')}>Retry…</Button>
            <CopyButton label="Copy as curl" done="The request is on the clipboard." text={() => curl(data, chosen, overview)} />
            <a class="button" href={playground(data, chosen)}>Open in playground</a>
            <Button
              unless={overview && !overview.edit_templates && 'Saving is off: set admin.edit_templates: true in the configuration.'}
              press={() => setAsking('sample')}
            >
              Save as sample…
            </Button>
          </div>
        )}
      </header>
      <Trouble words={event.trouble} again={event.again} />
      {!data && !event.trouble && <Loading what="the event" />}
      {data && (
        <div class="event">
          <Timeline event={data} chosen={chosen?.id} choose={(delivery) => show(delivery, side === 'raw' ? 'response' : side)} changed={event.again} />
          <Bodies event={data} chosen={chosen} side={side} show={show} />
        </div>
      )}
      {asking === 'retry' && data && <RetryDialog event={data} close={() => setAsking(null)} done={event.again} />}
      {asking === 'sample' && data && <SaveSample event={data} close={() => setAsking(null)} />}
    </>
  );
}

/** The delivery that the address names, else the one that most wants to be looked at. */
function pick(event: Event, wanted: string | null): DeliveryWithAttempts | undefined {
  const order = ['dead', 'pending', 'delivered', 'discarded'];
  return event.deliveries.find((one) => one.id === wanted)
    ?? [...event.deliveries].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state))[0];
}

function playground(event: Event, chosen: DeliveryWithAttempts | undefined): string {
  return href('playground', '', { event: event.id, route: chosen?.route, target: chosen?.target });
}

function Summary({ event }: { event: Event }) {
  return (
    <p class="summary">
      <span class="chips">
        {event.deliveries.length === 0 && <Chip tone="warn">unmatched</Chip>}
        {event.deliveries.map((one) => <StateChip key={one.id} state={one.state} more={event.deliveries.length > 1 ? one.target : undefined} />)}
      </span>
      <span>from <strong>{event.source}</strong></span>
      <Ago at={event.received_at} />
      <span class="mono dim" title="The event's id">{event.id}</span>
    </p>
  );
}
