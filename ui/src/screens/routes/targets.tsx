// Each target: its health, what waits for it, and the few things that can be done.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import type { Probe, SecretName, Target } from '../../api/types';
import { count, duration, rate, success } from '../../format';
import { Ago, Button, Empty, Facts, Loading, Panel, Trouble } from '../../parts/basics';
import { Chip, HealthChip } from '../../parts/chip';
import { useAct, type Loaded } from '../../parts/load';
import { toast } from '../../parts/toast';
import { href } from '../../router';

export function Targets({ targets, changed }: { targets: Loaded<Target[]>; changed: () => void }) {
  return (
    <section aria-label="Targets">
      <h2 class="over">Targets</h2>
      <Trouble words={targets.trouble} again={targets.again} />
      {!targets.data && !targets.trouble && <Loading what="the targets" />}
      {targets.data?.length === 0 && <Panel><Empty title="No target is configured">Name one under <code>targets</code> in the configuration and reload.</Empty></Panel>}
      <div class="grid">
        {targets.data?.map((target) => <TargetCard key={target.name} target={target} changed={changed} />)}
      </div>
    </section>
  );
}

/** Where each secret comes from; never what it is. */
export function Secrets({ secrets }: { secrets: SecretName[] }) {
  if (secrets.length === 0) return <>none</>;
  return (
    <>
      {secrets.map((secret, index) => (
        <span key={index}>{index > 0 && ', '}{secret.from} {secret.name === null ? '(in the configuration)' : <code>{secret.name}</code>}</span>
      ))}
    </>
  );
}

function TargetCard({ target, changed }: { target: Target; changed: () => void }) {
  const { busy, trouble, act } = useAct();
  const [probe, setProbe] = useState<Probe | null>(null);
  const pause = (): void => act(async () => {
    await (target.paused ? api.resume(target.name) : api.pause(target.name));
    toast(target.paused ? `${target.name} goes on.` : `${target.name} is paused: its deliveries wait.`);
    changed();
  });
  const look = (): void => act(async () => {
    setProbe(await api.probe(target.name));
    changed();
  });
  const { last_minute: lately, breaker } = target;
  return (
    <section class="panel card" id={`target-${target.name}`} tabIndex={-1} aria-label={`Target ${target.name}`}>
      <header>
        <h3>{target.name}</h3>
        <HealthChip target={target} />
      </header>
      <div class="inside">
        <p class="mono url" title={target.url}>{target.url}</p>
        <Facts facts={[
          ['Last minute', `${rate(lately.succeeded + lately.failed, lately.seconds)}, ${success(lately.succeeded, lately.failed)} success`],
          ['Pending', target.pending > 0
            ? <><a href={href('events', '', { target: target.name, state: 'pending' })}>{count(target.pending)}</a>, oldest <Ago at={target.oldest_pending_at} /></>
            : 'nothing'],
          ['Dead', target.dead > 0 ? <a class="bad" href={href('dead', '', { target: target.name })}>{count(target.dead)}</a> : 'none'],
          breaker && breaker.consecutive_failures > 0 ? ['Failures in a row', `${breaker.consecutive_failures}${breaker.last_failure ? `, last: ${breaker.last_failure}` : ''}`] : null,
          breaker?.next_probe_at ? ['Next probe', <Ago at={breaker.next_probe_at} />] : null,
          target.paused ? ['Paused', <><Ago at={target.paused.since} /> by {target.paused.by}</>] : null,
          target.owner ? ['Attempts by', <>{target.owner.name}{target.owner.this && ' (this instance)'}</>] : null,
          ['Limits', `${target.running} of ${target.concurrency} at a time${target.rate ? `, ${target.rate}` : ''}${target.order ? ', in order' : ''}, ${duration(target.timeout_seconds)} each`],
          ['Signed', target.sign ? <>{target.sign.scheme}, <Secrets secrets={target.sign.secrets} /></> : 'no'],
          ['From routes', target.routes.length > 0 ? target.routes.join(', ') : 'none'],
        ]} />
        {probe && <ProbeLine probe={probe} />}
        <Trouble words={trouble} />
        <div class="buttons left">
          <Button class="small" icon={target.paused ? 'play' : 'pause'} busy={busy} press={pause}>{target.paused ? 'Resume' : 'Pause'}</Button>
          <Button class="small" busy={busy} press={look} title="Resolves, connects and shakes hands, but sends nothing">Probe</Button>
        </div>
      </div>
    </section>
  );
}

function ProbeLine({ probe }: { probe: Probe }) {
  return (
    <p role="status">
      <Chip tone={probe.reachable ? 'good' : 'bad'}>{probe.reachable ? 'reachable' : 'not reachable'}</Chip>{' '}
      in {duration(probe.took_seconds)}, <Ago at={probe.at} />
      {probe.failure && ` · ${probe.failure}: ${probe.detail ?? ''}`}
      {probe.hurried && ' · the next delivery that is due is tried at once'}
      {probe.owner && !probe.owner.this && ` · only ${probe.owner.name}, which makes its attempts, can have its breaker go on`}
    </p>
  );
}
