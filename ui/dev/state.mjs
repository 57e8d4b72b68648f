// @ts-check
// What the stand-in's daemon would hold, and how it moves: events come in, attempts are made, replays run.
import { hash, id, render, ROUTES, TARGETS, templates } from './world.mjs';

/** @typedef {import('./world.mjs').Stored} Stored */
/** @typedef {import('./world.mjs').Delivery} Delivery */
/** @typedef {import('../src/api/types').Replay} Replay */
/** @typedef {import('../src/api/types').AttemptRow} AttemptRow */
/** @typedef {import('../src/api/types').ReplayRequest} ReplayRequest */

export const started = Date.now() - 3 * 3600_000;
export const iso = (/** @type {number} */ at) => new Date(at).toISOString();

/** @type {Stored[]} newest last */
export const events = [];
/** @type {Replay[]} */
export const replays = [];
/** @type {Map<string, {since: string, by: string}>} */
export const paused = new Map();
/** Which status each target answers. @type {Map<string, number>} */
export const answers = new Map([['erp', 200], ['audit', 200], ['crm', 503], ['ledger', 0]]);
/** @type {Array<{id: string, event: string, data: string}>} */
export const happened = [];
/** @type {Set<(one: {id: string, event: string, data: string}) => void>} */
export const listeners = new Set();
/** @type {Array<{id: string, route: string, name: string, body: string, headers: any[], expected: string | null}>} */
export const samples = [];

const life = started.toString(16);

/** @param {string} event @param {object} data */
function tell(event, data) {
  const one = { id: `${life}-${happened.length + 1}`, event, data: JSON.stringify(event === 'attempt' ? { ...data, id: `${life}-${happened.length + 1}` } : data) };
  happened.push(one);
  for (const listener of listeners) listener(one);
}

/** What each route says to an event. @param {string} source @param {string} type @param {any} payload */
export function routing(source, type, payload) {
  return ROUTES.map((route) => {
    const no = { route: route.name, takes: false, field: null, wanted: null, found: null };
    if (!route.from.includes(source)) return { ...no, why: /** @type {const} */ ('source') };
    for (const { field, wanted } of route.match) {
      const found = field === 'type' ? type : payload?.data?.status;
      const fits = field === 'type' ? String(found).startsWith(wanted.replace('*', '')) : wanted.includes(String(found));
      if (!fits) return { ...no, why: /** @type {const} */ ('pattern'), field, wanted, found: found === undefined ? null : JSON.stringify(found) };
    }
    return { ...no, takes: true, why: null };
  });
}

/** @param {string} source @param {string} text @param {number} at @param {string} [message] @returns {Stored} */
export function receive(source, text, at = Date.now(), message = `msg_${hash(text + at).slice(0, 24)}`) {
  /** @type {any} */
  let payload = null;
  try {
    payload = JSON.parse(text);
  } catch { /* parked as not JSON */ }
  const type = payload?.type ?? 'unknown';
  const key = id(at);
  const taken = routing(source, type, payload).filter((one) => one.takes).map((one) => one.route);
  const deliveries = ROUTES.filter((route) => taken.includes(route.name))
    .flatMap((route) => route.to.map((target) => pending(key, source, type, route.name, target, at)));
  const row = { id: key, source, message_id: message, type, received_at: iso(at), size_bytes: text.length, purged_at: null, deliveries: deliveries.map((one) => one.id) };
  const stored = { row, text, deliveries };
  events.push(stored);
  tell('event', row);
  for (const delivery of deliveries) attempt(stored, delivery, at + 5);
  return stored;
}

/** @param {string} event @param {string} source @param {string} type @param {string} route @param {string} target @param {number} at @returns {Delivery} */
function pending(event, source, type, route, target, at) {
  return {
    id: id(at), event, source, type, route, target, state: 'pending', due_at: iso(at), waits_for: null, ended_at: null, reason: null,
    attempts_made: 0, started_at: iso(at), last_attempt: null, replay: null, attempts: [],
  };
}

/** @param {string} route */
export const templateOf = (route) => ROUTES.find((one) => one.name === route)?.template ?? null;

/** One attempt, and what the delivery becomes by it. @param {Stored} stored @param {Delivery} delivery @param {number} at */
export function attempt(stored, delivery, at = Date.now()) {
  if (delivery.state !== 'pending' || paused.has(delivery.target)) return;
  const name = templateOf(delivery.route);
  const text = name === null ? null : (templates.get(name)?.inForce ?? '');
  const made = text === null ? { output: stored.text, error: null } : render(name ?? '', text, JSON.parse(stored.text), stored.row.type);
  const status = answers.get(delivery.target) ?? 200;
  const took = made.error ? 0.001 : 0.02 + (delivery.attempts.length % 5) * 0.031;
  const ok = !made.error && status > 0 && status < 300;
  const cut = !made.error && status === 0;
  const last = { started_at: iso(at), took_seconds: took, ok, status: made.error || cut ? null : status, result: made.error ? 'render' : cut ? 'connect' : `status ${status}` };
  delivery.attempts_made += 1;
  delivery.attempts.push({
    number: delivery.attempts_made, started_at: iso(at), took_seconds: took, plan_generation: 3,
    template_hash: text === null ? null : hash(text), body_from: made.error ? null : text === null ? 'unchanged' : 'rendered',
    body_sha256: made.output === null ? null : hash(made.output),
    outcome: made.error
      ? { kind: 'unsendable', reason: 'render', detail: `${made.error.file}:${made.error.line}:${made.error.column}: ${made.error.message}` }
      : cut ? { kind: 'failed', failure: 'connect', detail: 'connection refused' }
      : { kind: 'answered', status, retry_after_seconds: status === 503 ? 5 : null, snippet: status < 300 ? '{"ok":true}' : '{"error":"the contact service is down for maintenance"}' },
  });
  delivery.last_attempt = last;
  const over = delivery.attempts_made >= 3 && !cut;
  delivery.state = ok ? 'delivered' : made.error || over ? 'dead' : 'pending';
  delivery.reason = ok ? null : made.error ? 'render' : over ? 'exhausted' : null;
  delivery.ended_at = delivery.state === 'pending' ? null : iso(at);
  delivery.due_at = delivery.state === 'pending' ? iso(at + (cut ? 120_000 : 400)) : null;
  const { target, route, source, type } = delivery;
  tell('attempt', {
    delivery: delivery.id, event: delivery.event, source, type, route, target, number: delivery.attempts_made, ...last,
    state: delivery.state, due_at: delivery.due_at,
  });
}

/** Makes a delivery pending again. @param {Delivery} delivery @param {'frozen' | 'rerender' | 'reroute'} mode @param {string | null} job */
export function revive(delivery, mode, job = null) {
  const now = Date.now();
  Object.assign(delivery, {
    state: 'pending', reason: null, ended_at: null, due_at: iso(now), started_at: iso(now), attempts_made: 0,
    replay: { job, mode, of: null },
  });
}

export const all = () => events.flatMap((stored) => stored.deliveries.map((delivery) => ({ stored, delivery })));

/** @param {import('../src/api/types').ReplayFilter} filter */
export function matching(filter) {
  const states = filter.states ?? ['dead'];
  return all().filter(({ delivery }) => states.includes(delivery.state)
    && (!filter.target || delivery.target === filter.target)
    && (!filter.route || delivery.route === filter.route)
    && (!filter.source || delivery.source === filter.source)
    && (!filter.reason || delivery.reason === filter.reason)
    && (!filter.stale_template || isStale(delivery)));
}

/** @param {Delivery} delivery */
function isStale(delivery) {
  const name = templateOf(delivery.route);
  const text = name === null ? '' : (templates.get(name)?.inForce ?? '');
  return delivery.reason === 'render' && delivery.attempts.at(-1)?.template_hash !== hash(text);
}

/** @param {ReplayRequest} request @returns {Replay} */
export function startReplay(request) {
  const todo = matching(request.filter);
  /** @type {Replay} */
  const replay = {
    id: id(Date.now()), created_at: iso(Date.now()), created_by: 'operator', mode: request.mode ?? 'frozen',
    filter: { states: ['dead'], until: iso(Date.now()), ...request.filter }, rate: request.rate ?? null, state: 'running',
    total: todo.length, done: 0, revived: 0, created: 0, skipped: 0, failed: 0, finished_at: null, error: null,
  };
  replays.unshift(replay);
  const each = Math.max(1, Math.ceil(todo.length / 8));
  const step = () => {
    if (replay.state !== 'running') return;
    for (const { stored, delivery } of todo.splice(0, each)) {
      revive(delivery, replay.mode, replay.id);
      attempt(stored, delivery);
      replay.done += 1;
      replay.revived += 1;
    }
    if (todo.length > 0) setTimeout(step, 500);
    else Object.assign(replay, { state: 'done', finished_at: iso(Date.now()) });
  };
  setTimeout(step, 300);
  return replay;
}

/** Some history, and then a little traffic. @param {boolean} live */
export function begin(live) {
  const now = Date.now();
  const names = ['Hansen Möbel', 'Ørsted Parts', 'O’Neill & Sons', 'Akari 紙業', 'Bäckerei Groß'];
  for (let index = 0; index < 90; index += 1) {
    const at = now - (90 - index) * 47_000;
    const name = names[index % names.length] ?? '';
    if (index % 9 === 4) receive('shop', JSON.stringify({ type: 'contact.created', contact: { id: index, name, email: `c${index}@example.com` } }), at);
    else if (index % 3 === 0) receive('shop', JSON.stringify({ type: index % 2 ? 'order.paid' : 'order.created', order: { id: `A-${1000 + index}`, customer: name, total: 129.9 + index, parcels: index % 5 === 0 ? 0 : 1 + (index % 3) } }), at);
    else receive('wreno', JSON.stringify({ type: index % 11 === 0 ? 'invoice.sent' : 'vendor.updated', timestamp: iso(at), data: { id: 90071992547409930 + index, name, status: index % 7 === 0 ? 'archived' : 'active', tags: ['eu', 'parts'] } }), at);
  }
  setInterval(() => {
    for (const { stored, delivery } of all()) {
      if (delivery.state === 'pending' && delivery.due_at !== null && Date.parse(delivery.due_at) <= Date.now()) attempt(stored, delivery);
    }
  }, 300);
  if (!live) return;
  let count = 0;
  setInterval(() => {
    count += 1;
    const name = names[count % names.length] ?? '';
    receive('wreno', JSON.stringify({ type: 'vendor.updated', timestamp: iso(Date.now()), data: { id: count, name, status: 'active', tags: [] } }));
  }, 3500);
}

/** @param {string} target */
export const of = (target) => all().filter(({ delivery }) => delivery.target === target).map(({ delivery }) => delivery);
export const targetNames = TARGETS;
