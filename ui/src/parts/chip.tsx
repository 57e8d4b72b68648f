// Chips say a state in a word; the colour only helps.
import type { ComponentChildren } from 'preact';
import type { BreakerState, Pause, State, Target, Verdict } from '../api/types';
import { STATES } from '../format';

export type Tone = 'good' | 'bad' | 'warn' | 'info' | 'quiet';

export function Chip({ tone, title, children }: { tone: Tone; title?: string | undefined; children: ComponentChildren }) {
  return (
    <span class={`chip ${tone}`} title={title}>
      {children}
    </span>
  );
}

const STATE_TONES: Record<State, Tone> = { pending: 'info', delivered: 'good', dead: 'bad', discarded: 'quiet' };

export function StateChip({ state, more }: { state: State; more?: string | undefined }) {
  return <Chip tone={STATE_TONES[state]}>{more ? `${more} ${STATES[state]}` : STATES[state]}</Chip>;
}

export function ResultChip({ ok, result }: { ok: boolean; result: string }) {
  return <Chip tone={ok ? 'good' : 'bad'}>{result.replace('status ', '').replaceAll('_', ' ')}</Chip>;
}

const BREAKERS: Record<BreakerState, { tone: Tone; word: string }> = {
  closed: { tone: 'good', word: 'closed' },
  open: { tone: 'bad', word: 'open' },
  half_open: { tone: 'warn', word: 'half open' },
};

/** How a target is: paused before its breaker, since a paused one is not tried at all. */
export function HealthChip({ target }: { target: Pick<Target, 'breaker' | 'paused'> }) {
  if (target.paused) return <PausedChip paused={target.paused} />;
  if (!target.breaker) return <Chip tone="quiet">no breaker</Chip>;
  const { tone, word } = BREAKERS[target.breaker.state];
  const title = target.breaker.last_failure ? `last failure: ${target.breaker.last_failure}` : undefined;
  return <Chip tone={tone} title={title}>{`breaker ${word}`}</Chip>;
}

function PausedChip({ paused }: { paused: Pause }) {
  return <Chip tone="warn" title={`by ${paused.by} at ${paused.since}`}>paused</Chip>;
}

export const VERDICTS: Record<Verdict, { tone: Tone; word: string; says: string }> = {
  proven: { tone: 'good', word: 'proven', says: 'Valid JSON for every payload.' },
  proven_with_repairs: { tone: 'good', word: 'proven with repairs', says: 'Valid JSON for every payload, with small repairs.' },
  checked_at_run_time: { tone: 'warn', word: 'checked at run time', says: 'Some payload may fail; then the delivery is parked.' },
  never_valid: { tone: 'bad', word: 'never valid', says: 'No payload can give valid JSON.' },
};

export function VerdictChip({ verdict }: { verdict: Verdict }) {
  const { tone, word, says } = VERDICTS[verdict];
  return <Chip tone={tone} title={says}>{word}</Chip>;
}
