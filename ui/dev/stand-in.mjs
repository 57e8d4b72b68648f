// @ts-check
// A stand-in of the operator's door, to build the dashboard by: example answers that fit the document (the type check
// holds them to it), kept in memory. Not shipped, not in the tests of CI. `npm run dev`, then open what it prints.
//   node dev/stand-in.mjs [--port N] [--token T] [--no-editing] [--quiet (no traffic)] [--fleet (three instances, one of which differs)]
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import * as state from './state.mjs';
import { deploy, hash, paths, render, ROUTES, SOURCES, TARGETS, templates } from './world.mjs';

/** @typedef {import('../src/api/types').Target} Target */
/** @typedef {import('../src/api/types').Source} Source */
/** @typedef {import('../src/api/types').Overview} Overview */
/** @typedef {import('../src/api/types').Fleet} Fleet */
/** @typedef {import('../src/api/types').Instance} Instance */
/** @typedef {import('../src/api/types').Series} Series */
/** @typedef {import('../src/api/types').RenderResult} RenderResult */
/** @typedef {import('../src/api/types').DeliveryBody} DeliveryBody */
/** @typedef {import('../src/api/types').TemplateRow} TemplateRow */

const argument = (/** @type {string} */ name, /** @type {string} */ otherwise) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : (process.argv[at + 1] ?? otherwise);
};
const port = Number(argument('--port', '8181'));
const token = argument('--token', '');
const editing = !process.argv.includes('--no-editing');
const several = process.argv.includes('--fleet');
const { iso } = state;
state.begin(!process.argv.includes('--quiet'));

class Refusal extends Error {
  /** @param {number} status @param {string} code @param {string} message */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}
const missing = () => new Refusal(404, 'not_found', 'there is nothing of this id or name');

/** @param {string} name @returns {Target} */
function target(name) {
  const those = state.of(name);
  const waiting = those.filter((one) => one.state === 'pending');
  const lately = those.flatMap((one) => one.attempts).filter((one) => Date.parse(one.started_at) > Date.now() - 60_000);
  const failed = lately.filter((one) => one.outcome.kind !== 'answered' || one.outcome.status > 299).length;
  const down = name === 'ledger';
  return {
    name, url: `https://${name}.internal.example/hooks`, concurrency: 8, rate: name === 'crm' ? '20/s' : null, order: false,
    breaker: { state: down ? 'open' : 'closed', since: iso(Date.now() - 400_000), next_probe_at: down ? iso(Date.now() + 21_000) : null, consecutive_failures: down ? 14 : 0, last_failure: down ? 'connect' : null },
    running: 0, pending: waiting.length, dead: those.filter((one) => one.state === 'dead').length,
    oldest_pending_at: waiting.map((one) => one.started_at).sort()[0] ?? null, timeout_seconds: 15, paused: state.paused.get(name) ?? null,
    sign: name === 'crm' ? null : { scheme: 'standard-webhooks', secrets: [{ from: 'env', name: `${name.toUpperCase()}_SECRET` }, { from: 'file', name: `/run/secrets/${name}-old` }] },
    auth: name === 'crm' ? { kind: 'oauth2', secret: { from: 'file', name: '/run/secrets/crm-client' } } : null,
    routes: ROUTES.filter((route) => route.to.includes(name)).map((route) => route.name),
    last_minute: { seconds: 60, succeeded: lately.length - failed, failed },
    owner: several ? owner(name) : null,
  };
}

/** @returns {Fleet} */
function fleet() {
  const names = several ? ['relay-a', 'relay-b', 'relay-c'] : ['relay-a'];
  const items = names.map((name, index) => /** @type {Instance} */ ({
    id: 41 + index, name, this: index === 0, version: '0.3.0', started_at: iso(state.started - (2 - index) * 86_400_000), silent_seconds: 0.4 + index,
    plan: { generation: index === 1 ? 2 : 3, fingerprint: hash(index === 1 ? 'older' : 'newer') }, differs: index === 1,
    targets: TARGETS.filter((_, at) => at % names.length === index), down: TARGETS.filter((target, at) => at % names.length === index && target === 'ledger'),
  }));
  return { items, next: null, shared: several, differs: several };
}

/** @param {string} name */
function owner(name) {
  const found = fleet().items.find((one) => one.targets.includes(name));
  return found ? { id: found.id, name: found.name, this: found.this } : null;
}

/** @param {string} name @returns {Source} */
function source(name) {
  const lately = state.events.filter((one) => one.row.source === name && Date.parse(one.row.received_at) > Date.now() - 60_000);
  return {
    name, path: `/in/${name}`, scheme: name === 'wreno' ? 'wreno' : 'standard-webhooks', secrets: [{ from: 'env', name: `${name.toUpperCase()}_SECRET` }],
    dedupe: { by: 'id', for_seconds: 172_800 }, redact: name === 'shop' ? ['/contact/email'] : [], routes: ROUTES.filter((route) => route.from.includes(name)).map((route) => route.name),
    last_minute: { seconds: 60, received: lately.length, duplicates: 0, unmatched: lately.filter((one) => one.deliveries.length === 0).length, unverified: name === 'shop' ? 2 : 0, refused: 0 },
    failures: name === 'shop' ? 2 : 0, last_failure_at: name === 'shop' ? iso(Date.now() - 50_000) : null, armed_until: null, unconfirmed: [],
  };
}

/** @returns {Overview} */
function overview() {
  const targets = TARGETS.map(target);
  const sources = SOURCES.map(source);
  const sum = (/** @type {any[]} */ list, /** @type {string} */ key) => list.reduce((total, one) => total + one[key], 0);
  const ins = sources.map((one) => one.last_minute);
  const outs = targets.map((one) => one.last_minute);
  return {
    version: '0.3.0', now: iso(Date.now()), started_at: iso(state.started), ready: true, reasons: [], edit_templates: editing,
    plan: { generation: 3, since: iso(state.started + 1000) },
    last_reload: { at: iso(Date.now() - 1_400_000), trigger: 'watch', applied: true, text: 'The configuration is in force.' },
    in: { seconds: 60, received: sum(ins, 'received'), duplicates: 0, unmatched: sum(ins, 'unmatched'), unverified: 2, refused: 0 },
    out: { seconds: 60, succeeded: sum(outs, 'succeeded'), failed: sum(outs, 'failed') },
    pending: sum(targets, 'pending'), dead: sum(targets, 'dead'),
    oldest_pending_at: targets.map((one) => one.oldest_pending_at).filter((one) => one !== null).sort()[0] ?? null,
    replays_running: state.replays.filter((one) => one.state === 'running').length, fleet: { instances: fleet().items.length, differing: several ? 1 : 0 }, sources, targets,
  };
}

/** @param {URLSearchParams} query @returns {Series} */
function series(query) {
  const day = query.get('window') === '24h';
  const step = day ? 300 : 10;
  const count = day ? 288 : 360;
  const end = Math.floor(Date.now() / 1000 / step) * step;
  const times = Array.from({ length: count }, (_, index) => end - (count - 1 - index) * step);
  const wave = (/** @type {number} */ base, /** @type {number} */ swing) => times.map((at) => Math.max(0, Math.round(base + swing * Math.sin(at / (step * 23)) + swing * 0.5 * Math.sin(at / (step * 3.1)))));
  const none = times.map(() => null);
  const ofSource = query.has('source');
  const ofTarget = query.has('target');
  return {
    window: day ? '24h' : '1h', step_seconds: step, source: query.get('source'), target: query.get('target'), times,
    received: ofTarget ? none : wave(120, 50), unverified: ofTarget ? none : wave(1, 2),
    succeeded: ofSource ? none : wave(170, 60), failed: ofSource ? none : wave(4, 9),
    mean_attempt_seconds: ofSource ? none : wave(45, 18).map((ms) => ms / 1000),
    pending: ofSource ? none : wave(14, 16), dead: ofSource ? none : times.map((_, index) => Math.floor(index / 30)),
    oldest_pending_seconds: ofSource ? none : wave(8, 9),
  };
}

/** @param {URLSearchParams} query @param {any[]} rows @param {(row: any) => string} key */
function page(query, rows, key) {
  const limit = Number(query.get('limit') ?? 50);
  const before = query.get('before');
  const rest = [...rows].reverse().filter((row) => !before || key(row) < before);
  const items = rest.slice(0, limit);
  return { items, next: rest.length > limit ? key(items.at(-1)) : null };
}

const glob = (/** @type {string} */ pattern, /** @type {string} */ text) => new RegExp(`^${pattern.split('*').map((part) => part.replaceAll(/[.?+()[\]{}|^$\\]/g, '\\$&')).join('.*')}$`).test(text);
/** @param {URLSearchParams} query @param {string} name @param {string | null} value */
const same = (query, name, value) => !query.get(name) || query.get(name) === value;
/** @param {URLSearchParams} query @param {string} at */
const within = (query, at) => (!query.get('since') || at >= (query.get('since') ?? '')) && (!query.get('until') || at < (query.get('until') ?? ''));

/** @param {URLSearchParams} query */
const listEvents = (query) => page(query, state.events.filter(({ row, deliveries }) =>
  same(query, 'source', row.source) && same(query, 'message_id', row.message_id) && within(query, row.received_at)
  && (!query.get('type') || glob(query.get('type') ?? '', row.type))
  && (!query.get('unmatched') || (query.get('unmatched') === 'true') === (deliveries.length === 0))
  && (!(query.get('route') || query.get('target') || query.get('state')) || deliveries.some((one) => same(query, 'route', one.route) && same(query, 'target', one.target) && same(query, 'state', one.state)))).map((one) => one.row), (row) => row.id);

/** @param {URLSearchParams} query */
const listDeliveries = (query) => page(query, state.all().map((one) => one.delivery).filter((one) =>
  same(query, 'state', one.state) && same(query, 'target', one.target) && same(query, 'route', one.route) && same(query, 'reason', one.reason)
  && same(query, 'source', one.source) && within(query, one.attempts[0]?.started_at ?? one.started_at) && (!query.get('type') || glob(query.get('type') ?? '', one.type)))
  .map(({ attempts, ...rest }) => rest), (row) => row.id);

/** @param {string} key */
function stored(key) {
  const found = state.events.find((one) => one.row.id === key);
  if (!found) throw missing();
  return found;
}

/** @param {string} key */
function delivery(key) {
  const found = state.all().find((one) => one.delivery.id === key);
  if (!found) throw missing();
  return found;
}

/** @param {string} key @returns {import('../src/api/types').Event} */
function event(key) {
  const { row, text, deliveries } = stored(key);
  const { id: own, source: from, message_id, type, received_at, size_bytes } = row;
  const body = JSON.parse(text);
  return {
    id: own, source: from, message_id, type, received_at, hops: 0, size_bytes, body, deliveries,
    headers: [{ name: 'content-type', value: 'application/json' }, { name: 'user-agent', value: 'Shop-Webhooks/2.1' }, { name: 'webhook-id', value: message_id ?? '' }],
    verified: { scheme: from === 'wreno' ? 'wreno' : 'standard-webhooks', secret: 0, skew_seconds: -1, message_id_covered: true },
    routing: { generation: 3, now: 3, same: true, routes: state.routing(from, type, body) },
  };
}

/** @param {string} key @returns {DeliveryBody} */
function deliveryBody(key) {
  const { stored: of, delivery: one } = delivery(key);
  const template = state.templateOf(one.route);
  const text = template === null ? '' : (templates.get(template)?.inForce ?? '');
  const made = template === null ? { output: of.text, error: null } : render(template, text, JSON.parse(of.text), of.row.type);
  const sent = one.attempts.at(-1)?.body_sha256;
  return {
    delivery: one.id, event: one.event, from: template === null ? 'unchanged' : 'rendered', exact: sent && made.output ? sent === hash(made.output) : null,
    template, template_hash: template === null ? null : hash(text), content_type: 'application/json', size_bytes: made.output?.length ?? null,
    body_redacted: null, body: made.output, body_base64: null, error: made.error,
  };
}

function dead() {
  const groups = new Map();
  for (const { delivery: one } of state.all()) {
    if (one.state !== 'dead') continue;
    const key = `${one.target} ${one.reason}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const items = [...groups.keys()].sort().map((key) => {
    const those = groups.get(key);
    const newest = those.at(-1);
    const outcome = newest.attempts.at(-1).outcome;
    return { target: newest.target, reason: newest.reason, count: those.length, oldest_created_at: those[0].attempts[0].started_at, newest_created_at: newest.attempts[0].started_at, newest: newest.id, detail: outcome.detail ?? outcome.snippet };
  });
  return { items, next: null };
}

/** @param {any} sample @returns {{payload: any, type: string}} */
function sampled(sample) {
  if (sample.event) {
    const found = stored(sample.event);
    return { payload: JSON.parse(found.text), type: found.row.type };
  }
  const text = sample.sample ? (state.samples.find((one) => one.id === sample.sample)?.body ?? '') : sample.body;
  try {
    const payload = JSON.parse(text);
    return { payload, type: sample.type ?? payload?.type ?? 'unknown' };
  } catch (error) {
    throw new Refusal(400, 'bad_body', `the sample is not JSON: ${error instanceof Error ? error.message : error}`);
  }
}

/** @param {any} body @returns {RenderResult} */
function tryOut(body) {
  const { payload, type } = sampled(body.sample);
  const name = body.name ?? 'template';
  const made = render(name, body.text, payload, type);
  const deployed = body.name && ROUTES.some((one) => one.template === body.name) ? templates.get(body.name) : undefined;
  const was = deployed ? render(body.name, deployed.inForce, payload, type) : null;
  const risky = /divided_by:\s*payload[\w.]*/.exec(body.text);
  const before = risky ? body.text.slice(0, risky.index).split('\n') : [''];
  return {
    output: made.output, error: made.error, repairs: [], redacted: false, schema: null, misfits: [],
    proof: made.error && !made.compiles ? null : { verdict: risky ? 'checked_at_run_time' : 'proven', findings: [], repairs: [], may_fail: risky ? [{ file: name, line: before.length, column: before.at(-1).length + 1, length: risky[0].length, message: 'fails where the divisor is 0', help: 'use at_least: 1 on it', cause: 'template' }] : [] },
    deployed: deployed && was ? { hash: hash(deployed.inForce), output: was.output, error: was.error } : null,
    diff: made.output !== null && was?.output ? lines(was.output, made.output) : null,
  };
}

/** @param {string} before @param {string} after @returns {import('../src/api/types').DiffLine[]} */
function lines(before, after) {
  if (before === after) return [];
  const old = JSON.parse(before);
  const now = JSON.parse(after);
  const keys = new Set([...Object.keys(old), ...Object.keys(now)]);
  return [...keys].filter((key) => JSON.stringify(old[key]) !== JSON.stringify(now[key])).flatMap((key) => [
    { kind: 'place', text: `/${key}` },
    ...(key in old ? [{ kind: /** @type {const} */ ('deployed'), text: JSON.stringify(old[key]) }] : []),
    ...(key in now ? [{ kind: /** @type {const} */ ('new'), text: JSON.stringify(now[key]) }] : []),
  ]);
}

/** @param {string} name @returns {TemplateRow} */
function templateRow(name) {
  const found = templates.get(name);
  if (!found) throw missing();
  const routes = ROUTES.filter((route) => route.template === name).map((route) => route.name);
  return { name, etag: hash(found.text), size_bytes: found.text.length, routes, hash: routes.length ? hash(found.inForce) : null, in_force: routes.length ? found.text === found.inForce : null, verdict: routes.length ? 'proven' : null };
}

/** @param {{applied: boolean, errors?: any[], failed?: string[]}} of @returns {import('../src/api/types').ReloadReport} */
const report = ({ applied, errors = [], failed = [] }) => ({
  at: iso(Date.now()), trigger: 'operator', applied, tests_skipped: false, errors, failed_tests: failed, warnings: [], needs_restart: [], env_secrets: [],
  text: applied ? 'The configuration is in force.' : 'The new configuration is refused; the one before stays in force.',
});

/** @param {string} name @param {any} body @param {import('node:http').IncomingHttpHeaders} headers */
function save(name, body, headers) {
  if (!editing) throw new Refusal(403, 'editing_off', 'admin.edit_templates is not true');
  const found = templates.get(name);
  const etag = headers['if-match'];
  if (!etag && headers['if-none-match'] !== '*') throw new Refusal(428, 'precondition_needed', 'If-Match or If-None-Match is needed');
  if (etag ? !found || etag !== `"${hash(found.text)}"` : found) throw new Refusal(412, 'changed', 'the file has another text by now');
  const made = render(name, body.text, {}, '');
  if (made.error && !made.compiles) return [422, report({ applied: false, errors: [{ file: name, line: made.error.line, column: made.error.column, path: 'routes[1].template', message: made.error.message, help: made.error.help }] })];
  deploy(name, body.text);
  return [200, { name, etag: hash(body.text), reload: report({ applied: true }) }];
}

/** @param {any} body */
function saveSample(body) {
  if (!editing) throw new Refusal(403, 'editing_off', 'admin.edit_templates is not true');
  if (state.samples.some((one) => one.name === `${body.name}.json`)) throw new Refusal(409, 'exists', 'there is a sample of this name');
  const one = { id: hash(body.route + body.name).slice(0, 16), route: body.route, name: `${body.name}.json`, body: body.body, headers: body.headers ?? [], expected: body.expected ?? null };
  state.samples.push(one);
  return [201, { ...one, size_bytes: one.body.length, test: one.expected !== null }];
}

/** @param {any} request */
function replay(request) {
  const found = state.matching(request.filter).reverse();
  if (!request.dry_run) return [201, state.startReplay(request)];
  const counts = new Map();
  for (const { delivery: one } of found) counts.set(one.target, (counts.get(one.target) ?? 0) + 1);
  return [200, {
    dry_run: true, mode: request.mode ?? 'frozen', filter: { states: ['dead'], until: iso(Date.now()), ...request.filter }, count: found.length, complete: true,
    by_target: [...counts].map(([name, count]) => ({ target: name, count })), deliveries: found.slice(0, 20).map(({ delivery: { attempts, ...rest } }) => rest), events: [],
  }];
}

/** @param {string} key @param {any} body */
function retryEvent(key, body) {
  const of = stored(key);
  const those = of.deliveries.filter((one) => !body.target || one.target === body.target);
  for (const one of those) state.revive(one, body.mode ?? 'frozen');
  return [200, { event: key, deliveries: those.map(({ attempts, ...rest }) => rest) }];
}

/** @param {string} key @param {'frozen' | 'rerender' | null} mode */
function again(key, mode) {
  const { delivery: one } = delivery(key);
  if (mode) state.revive(one, mode);
  else Object.assign(one, { state: 'discarded', ended_at: iso(Date.now()), due_at: null, reason: null });
  const { attempts, ...rest } = one;
  return [200, rest];
}

/** @param {string} name @param {boolean} hold */
function pause(name, hold) {
  if (!TARGETS.includes(name)) throw missing();
  if (hold) state.paused.set(name, { since: iso(Date.now()), by: 'operator' });
  else state.paused.delete(name);
  return [200, target(name)];
}

/** @param {string} key */
function cancel(key) {
  const found = state.replays.find((one) => one.id === key);
  if (!found) throw missing();
  if (found.state !== 'running') throw new Refusal(409, 'wrong_state', 'the replay has ended');
  Object.assign(found, { state: 'cancelled', finished_at: iso(Date.now()) });
  return [200, found];
}

const failures = () => ({ items: [
  { at: iso(Date.now() - 50_000), reason: 'signature_mismatch', detail: 'no signature matches', client: '203.0.113.7', method: 'POST', size_bytes: 312, skew_seconds: null, headers: ['content-type', 'webhook-id', 'webhook-signature', 'webhook-timestamp'] },
  { at: iso(Date.now() - 350_000), reason: 'timestamp_out_of_tolerance', detail: 'the timestamp is too far from our clock', client: '203.0.113.7', method: 'POST', size_bytes: 298, skew_seconds: -4012, headers: ['content-type', 'webhook-id', 'webhook-signature', 'webhook-timestamp'] },
], next: null });

/** @param {string} method @param {string[]} path @param {URLSearchParams} query @param {any} body @param {import('node:http').IncomingHttpHeaders} headers @returns {any[]} */
function answer(method, path, query, body, headers) {
  const [kind = '', key = '', more = ''] = path;
  const ok = (/** @type {unknown} */ value) => [200, value];
  switch (`${method} ${kind}${key && '/:'}${more && `/${more}`}`) {
    case 'GET overview': return ok(overview());
    case 'GET fleet': return ok(fleet());
    case 'GET series': return ok(series(query));
    case 'GET events': return ok(listEvents(query));
    case 'GET events/:': return ok(event(key));
    case 'GET events/:/body': return [200, stored(key).text, 'application/octet-stream'];
    case 'POST events/:/retry': return retryEvent(key, body);
    case 'GET deliveries': return ok(listDeliveries(query));
    case 'GET deliveries/:': return ok(delivery(key).delivery);
    case 'GET deliveries/:/body': return ok(deliveryBody(key));
    case 'POST deliveries/:/retry': return again(key, query.get('mode') === 'rerender' ? 'rerender' : 'frozen');
    case 'POST deliveries/:/discard': return again(key, null);
    case 'GET dead': return ok(dead());
    case 'GET replays': return ok({ items: state.replays.slice(0, 20), next: null });
    case 'POST replays': return replay(body);
    case 'POST replays/:/cancel': return cancel(key);
    case 'GET targets': return ok({ items: TARGETS.map(target), next: null });
    case 'POST targets/:/pause': return pause(key, true);
    case 'POST targets/:/resume': return pause(key, false);
    case 'POST targets/:/probe': return ok({ target: key, at: iso(Date.now()), reachable: key !== 'crm', took_seconds: 0.034, failure: key === 'crm' ? 'connect' : null, detail: key === 'crm' ? 'connection refused' : null, hurried: false, owner: several ? owner(key) : null });
    case 'GET sources': return ok({ items: SOURCES.map(source), next: null });
    case 'GET sources/:/failures': return ok(failures());
    case 'GET routes': return ok({ items: ROUTES.map((route) => ({ ...route, template_hash: null, schema: null, tests: route.template ? 2 : 0, cases: route.template !== null, revive: 'manual' })), next: null });
    case 'POST reload': return ok(report({ applied: true }));
    case 'GET templates': return ok({ items: [...templates.keys()].map(templateRow), next: null });
    case 'GET templates/:': return ok({ ...templateRow(key), text: templates.get(key)?.text, deployed_text: null });
    case 'PUT templates/:': return save(key, body, headers);
    case 'POST render': return ok(tryOut(body));
    case 'POST complete': return ok({ paths: paths(sampled(body.sample).payload, 'payload'), more: false, filters: ['append', 'at_least', 'date', 'default', 'divided_by', 'downcase', 'upcase'], tags: ['assign', 'case', 'comment', 'for', 'if', 'render', 'unless'] });
    case 'GET samples': return ok({ items: state.samples.map(({ body: text, headers: _, expected, ...rest }) => ({ ...rest, size_bytes: text.length, test: expected !== null })), next: null });
    case 'GET samples/:': return ok(state.samples.find((one) => one.id === key));
    case 'POST samples': return saveSample(body);
    // Not of the document: what a sender and a target would do.
    case 'POST dev/:': return key === 'send' ? ok(state.receive(body.source, body.text).row) : (state.answers.set(body.target, body.status), ok({}));
    default: throw missing();
  }
}

/** @param {import('node:http').ServerResponse} response @param {URLSearchParams} query @param {string} last */
function stream(response, query, last) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const write = (/** @type {{id: string, event: string, data: string}} */ one) => {
    const row = JSON.parse(one.data);
    if (!same(query, 'source', row.source) || (query.get('type') && !glob(query.get('type') ?? '', row.type))) return;
    response.write(`id: ${one.id}\nevent: ${one.event}\ndata: ${one.data}\n\n`);
  };
  const from = last ? state.happened.findIndex((one) => one.id === last) + 1 : state.happened.length;
  response.write(': hello\n\n');
  for (const one of state.happened.slice(from)) write(one);
  state.listeners.add(write);
  const beat = setInterval(() => response.write(': still here\n\n'), 15_000);
  response.on('close', () => {
    state.listeners.delete(write);
    clearInterval(beat);
  });
}

/** @type {Record<string, [file: string, type: string]>} */
const FILES = { '/': ['index.html', 'text/html; charset=utf-8'], '/assets/app.js': ['assets/app.js', 'text/javascript; charset=utf-8'], '/assets/app.css': ['assets/app.css', 'text/css; charset=utf-8'] };
const POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const file = FILES[url.pathname];
  if (file) {
    response.writeHead(200, { 'content-type': file[1], 'content-security-policy': POLICY });
    response.end(readFileSync(new URL(`../dist/${file[0]}`, import.meta.url)));
    return;
  }
  let text = '';
  request.on('data', (part) => { text += part; });
  request.on('end', () => {
    const json = (/** @type {number} */ status, /** @type {unknown} */ value) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    try {
      if (token && request.headers.authorization !== `Bearer ${token}`) throw new Refusal(401, 'unauthorized', 'this door asks for its token');
      const path = url.pathname.replace('/api/v1/', '').split('/').map(decodeURIComponent);
      if (path[0] === 'stream') {
        stream(response, url.searchParams, String(request.headers['last-event-id'] ?? ''));
        return;
      }
      const [status, value, type] = answer(request.method ?? '', path, url.searchParams, text ? JSON.parse(text) : undefined, request.headers);
      if (type) {
        response.writeHead(status, { 'content-type': type });
        response.end(value);
      } else json(status, value);
    } catch (error) {
      if (error instanceof Refusal) json(error.status, { error: { code: error.code, message: error.message } });
      else {
        console.error(error);
        json(500, { error: { code: 'damaged', message: String(error) } });
      }
    }
  });
}).listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/`));
