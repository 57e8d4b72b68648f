// Received, verified, routed (and why not elsewhere), then each delivery: rendered, attempts, what comes next.
import type { ComponentChildren } from 'preact';
import { api } from '../../api/client';
import type { Attempt, DeliveryWithAttempts, Event, RouteAnswer, Verification } from '../../api/types';
import { clock, duration, exact, outcomeOk, outcomeText, outcomeWords, REASONS, size } from '../../format';
import { Ago, Button, Panel, Trouble } from '../../parts/basics';
import { Chip, StateChip, type Tone } from '../../parts/chip';
import { useAct } from '../../parts/load';
import { toast } from '../../parts/toast';
import { href } from '../../router';

type Props = { event: Event; chosen: string | undefined; choose: (delivery: string) => void; changed: () => void };

export function Timeline({ event, chosen, choose, changed }: Props) {
  return (
    <Panel title="Timeline" class="timeline">
      <ol>
        <Step tone="good" title="Received" at={event.received_at}>
          {size(event.size_bytes)} by source <strong>{event.source}</strong>
          {event.message_id && <>, message id <span class="mono">{event.message_id}</span></>}
          {event.hops > 0 && `, through ${event.hops} relays before`}
          <Headers event={event} />
        </Step>
        <Verified verified={event.verified} />
        <Routed event={event} />
        {event.deliveries.map((delivery) => (
          <Delivery key={delivery.id} delivery={delivery} chosen={delivery.id === chosen} choose={() => choose(delivery.id)} changed={changed} />
        ))}
      </ol>
    </Panel>
  );
}

function Step(props: { tone: Tone; title: ComponentChildren; at?: string; class?: string; children?: ComponentChildren }) {
  return (
    <li class={`step ${props.tone} ${props.class ?? ''}`}>
      <div class="title">
        <h3>{props.title}</h3>
        {props.at && <time class="mono dim" dateTime={props.at} title={exact(props.at)}>{clock(props.at)}</time>}
      </div>
      {props.children && <div class="told">{props.children}</div>}
    </li>
  );
}

function Headers({ event }: { event: Event }) {
  if (event.headers.length === 0) return null;
  return (
    <details>
      <summary>{event.headers.length} headers</summary>
      <dl class="headers mono">
        {event.headers.map((header, index) => (
          <div key={index}>
            <dt>{header.name}</dt>
            <dd>{header.value}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function Verified({ verified }: { verified: Verification | null }) {
  if (!verified) {
    return <Step tone="quiet" title="Verified">How is not known: it was stored by an older version.</Step>;
  }
  const skew = verified.skew_seconds;
  return (
    <Step tone="good" title="Verified">
      scheme <strong>{verified.scheme}</strong>, secret {verified.secret + 1}
      {verified.secret === 0 ? ' (the newest)' : ' (an older one)'}
      {skew !== null && (skew === 0 ? ', clocks agree' : `, its clock ${Math.abs(skew)} s ${skew > 0 ? 'ahead' : 'behind'}`)}
      {verified.message_id_covered ? ', message id signed' : ', message id not signed'}
    </Step>
  );
}

function Routed({ event }: { event: Event }) {
  const { routing } = event;
  const taken = [...new Set(event.deliveries.map((one) => one.route))];
  const others = routing.routes.filter((answer) => !taken.includes(answer.route));
  return (
    <Step tone={taken.length > 0 ? 'good' : 'warn'} title={taken.length > 0 ? 'Routed' : 'No route took it'}>
      {taken.length > 0 && <>by {taken.map((route, index) => <span key={route}>{index > 0 && ', '}<strong>{route}</strong></span>)}</>}
      {routing.generation !== null && <span class="dim"> · configuration {routing.generation}</span>}
      {others.length > 0 && (
        <details open={taken.length === 0}>
          <summary>
            {taken.length > 0 ? `Why not by ${others.length} other${others.length > 1 ? 's' : ''}` : `Why not by any of ${others.length}`}
          </summary>
          {!routing.same && <p class="note">By the configuration in force now ({routing.now}); it is another one than then.</p>}
          <ul class="whynot">
            {others.map((answer) => <li key={answer.route}><strong>{answer.route}</strong> <WhyNot answer={answer} /></li>)}
          </ul>
        </details>
      )}
    </Step>
  );
}

function WhyNot({ answer }: { answer: RouteAnswer }) {
  if (answer.takes) return <>would take it now</>;
  if (answer.why === 'source') return <span class="dim">takes from other sources</span>;
  return (
    <>
      wants <code>{answer.field}</code> to be <code>{answer.wanted}</code>,{' '}
      {answer.found === null ? 'there is nothing' : <>found <code>{answer.found}</code></>}
    </>
  );
}

const STATE_TONES: Record<DeliveryWithAttempts['state'], Tone> = { delivered: 'good', dead: 'bad', pending: 'info', discarded: 'quiet' };

function Delivery(props: { delivery: DeliveryWithAttempts; chosen: boolean; choose: () => void; changed: () => void }) {
  const { delivery, chosen, choose, changed } = props;
  const title = (
    <button type="button" class="link" aria-pressed={chosen} onClick={choose} title="Show its body and responses">
      to {delivery.target}
    </button>
  );
  return (
    <Step tone={STATE_TONES[delivery.state]} title={title} class={chosen ? 'delivery chosen' : 'delivery'}>
      <p class="chips">
        <StateChip state={delivery.state} />
        {delivery.reason && <Chip tone="bad">{REASONS[delivery.reason]}</Chip>}
        <span class="dim">by route {delivery.route}</span>
        {delivery.replay && <Mark delivery={delivery} />}
      </p>
      <ol class="attempts">
        <Rendered attempts={delivery.attempts} delivery={delivery} />
        {delivery.attempts.map((attempt, index) => <AttemptLine key={index} attempt={attempt} />)}
        <Next delivery={delivery} />
      </ol>
      <DeliveryActions delivery={delivery} changed={changed} />
    </Step>
  );
}

function Mark({ delivery }: { delivery: DeliveryWithAttempts }) {
  const mark = delivery.replay;
  if (!mark) return null;
  const title = mark.of ? `in place of ${mark.of}` : undefined;
  return <Chip tone="quiet" title={title}>{`${mark.job ? 'replayed' : 'retried'}, ${mark.mode}`}</Chip>;
}

function Rendered({ attempts, delivery }: { attempts: Attempt[]; delivery: DeliveryWithAttempts }) {
  const made = attempts.findLast((one) => one.body_from === 'rendered' || one.outcome.kind === 'unsendable') ?? attempts.at(-1);
  if (!made) return null;
  if (made.body_from === 'unchanged') return <li class="quiet">The body goes on unchanged: the route has no template.</li>;
  const hash = made.template_hash && <>by template <code title={made.template_hash}>{made.template_hash.slice(0, 8)}</code></>;
  if (made.outcome.kind === 'unsendable' && made.outcome.reason === 'render') {
    return (
      <li class="bad">
        <strong>Does not render</strong> {hash}{' '}
        <a href={href('playground', '', { event: delivery.event, route: delivery.route, target: delivery.target })}>Mend it in the playground</a>
      </li>
    );
  }
  if (made.body_from === null) return null;
  return <li class="good"><strong>{made.body_from === 'frozen' ? 'Rendered earlier' : 'Rendered'}</strong> {hash}</li>;
}

function AttemptLine({ attempt }: { attempt: Attempt }) {
  const { outcome } = attempt;
  const text = outcomeText(outcome);
  return (
    <li class={outcomeOk(outcome) ? 'good' : 'bad'}>
      <div class="line">
        <strong>Attempt {attempt.number}</strong>
        <span>{outcomeWords(outcome)}</span>
        <span class="num dim">{duration(attempt.took_seconds)}</span>
      </div>
      {outcome.kind === 'answered' && outcome.retry_after_seconds !== null && (
        <span class="dim">asked to wait {duration(outcome.retry_after_seconds)} </span>
      )}
      {text && <pre class="snippet">{text}</pre>}
      <span class="dim small">
        <time class="mono" dateTime={attempt.started_at} title={exact(attempt.started_at)}>{clock(attempt.started_at)}</time>
        {attempt.plan_generation !== null && ` · configuration ${attempt.plan_generation}`}
        {attempt.body_from && ` · body ${attempt.body_from}`}
        {attempt.body_sha256 && <> · <span class="mono" title={`SHA-256 of what was sent: ${attempt.body_sha256}`}>{attempt.body_sha256.slice(0, 8)}</span></>}
      </span>
    </li>
  );
}

function Next({ delivery }: { delivery: DeliveryWithAttempts }) {
  if (delivery.state !== 'pending') return null;
  if (delivery.waits_for) return <li class="warn">Waits for its {delivery.waits_for} to be in the configuration again.</li>;
  return <li class="info">Next attempt {delivery.due_at ? <Ago at={delivery.due_at} /> : 'when its turn comes'}</li>;
}

function DeliveryActions({ delivery, changed }: { delivery: DeliveryWithAttempts; changed: () => void }) {
  const { busy, trouble, act } = useAct();
  const retry = (mode: 'frozen' | 'rerender'): void => act(async () => {
    await api.retryDelivery(delivery.id, mode);
    toast(`The delivery to ${delivery.target} is pending again.`);
    changed();
  });
  const discard = (): void => act(async () => {
    await api.discardDelivery(delivery.id);
    toast(`The delivery to ${delivery.target} is discarded.`);
    changed();
  });
  const died = delivery.reason === 'render';
  return (
    <div class="buttons left">
      {!died && <Button class="small" busy={busy} press={() => retry('frozen')} title="Sends the same bytes again, now">Send again</Button>}
      <Button class="small" busy={busy} press={() => retry('rerender')} title="Makes the body anew with the template in force">Render and send</Button>
      {(delivery.state === 'pending' || delivery.state === 'dead') && <Button class="small" kind="danger" busy={busy} press={discard}>Discard</Button>}
      <Trouble words={trouble} />
    </div>
  );
}
