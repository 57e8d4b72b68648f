// Numbers, times and names for people. Pure: `now` is an argument.
import type { DeadReason, Outcome, State } from './api/types';

const number = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
export const count = (value: number): string => number.format(value);

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** How long, in the largest unit that says enough: `340 ms`, `12 s`, `4 min`, `3.5 h`, `12 d`. */
export function duration(seconds: number): string {
  if (seconds < 0.0005) return '0 ms';
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36_000) return `${(seconds / 3600).toFixed(1).replace('.0', '')} h`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** `4 min ago`, `in 12 s`, `now`. */
export function relative(time: string, now: number): string {
  const seconds = (now - Date.parse(time)) / 1000;
  if (Math.abs(seconds) < 1.5) return 'now';
  const words = duration(Math.round(Math.abs(seconds))).replace(/\.0 s$/, ' s');
  return seconds > 0 ? `${words} ago` : `in ${words}`;
}

/** The exact time, in this place's zone and in UTC. */
export function exact(time: string): string {
  const at = new Date(time);
  return `${at.toLocaleString('sv', { timeZoneName: 'short' })} · ${time}`;
}

export function clock(time: string): string {
  const at = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  const ms = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}

export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** Per second or, where that is little, per minute: `12.4/s`, `3/min`. */
export function rate(counted: number, seconds: number): string {
  if (seconds <= 0 || counted === 0) return '0';
  const each = counted / seconds;
  if (each >= 100) return `${count(each)}/s`;
  if (each >= 1) return `${each.toFixed(1)}/s`;
  return `${Math.max(1, Math.round(each * 60))}/min`;
}

/** `-` where nothing was tried; never 100 % while something failed. */
export function success(succeeded: number, failed: number): string {
  const all = succeeded + failed;
  if (all === 0) return '–';
  const share = (100 * succeeded) / all;
  return failed > 0 && share > 99.9 ? '99.9 %' : `${share >= 99.95 || share === 0 ? share.toFixed(0) : share.toFixed(1)} %`;
}

/** The end of an id tells them apart; its beginning is the time. */
export const shortId = (id: string): string => (id.length > 13 ? `…${id.slice(-8)}` : id);

export const REASONS: Record<DeadReason, string> = {
  not_json: 'not JSON',
  loop: 'relay loop',
  render: 'does not render',
  sign: 'cannot be signed',
  gone: 'gone (410)',
  exhausted: 'retries exhausted',
  route_gone: 'route gone',
};

export const STATES: Record<State, string> = {
  pending: 'pending',
  delivered: 'delivered',
  dead: 'dead',
  discarded: 'discarded',
};

export function outcomeWords(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'answered': return `answered ${outcome.status}`;
    case 'failed': return `no answer: ${outcome.failure}`;
    case 'unsendable': return `not sent: ${REASONS[outcome.reason]}`;
  }
}

export const outcomeText = (outcome: Outcome): string =>
  outcome.kind === 'answered' ? outcome.snippet : outcome.detail;

export const outcomeOk = (outcome: Outcome): boolean =>
  outcome.kind === 'answered' && outcome.status >= 200 && outcome.status < 300;
