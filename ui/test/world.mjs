// @ts-check
// What the stories happen in: a real daemon with real targets, started here; or, with INGATE_UI_URL, what answers there
// (the stand-in under dev/, to try the stories themselves).
import { spawn, spawnSync } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { cpSync, createWriteStream, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {{
 *   url: string, real: boolean,
 *   send: (source: string, payload: object | string, options?: {forged?: boolean}) => Promise<number>,
 *   sendByCommand: (source: string, payload: object) => Promise<void>,
 *   answer: (target: string, status: number) => Promise<void>,
 *   received: (target: string) => Array<{headers: Record<string, unknown>, body: string}>,
 *   stop: () => Promise<void>,
 * }} World
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const BINARY = process.env.INGATE_BIN ?? join(ROOT, 'target/debug/ingate');
const SECRETS = { wreno: `whsec_${Buffer.from('a secret of wreno, for tests').toString('base64')}`, shop: `whsec_${Buffer.from('a secret of the shop, for tests').toString('base64')}` };
/** So long a daemon may take to be ready; builds for debugging on a busy machine are slow. */
const PATIENCE_MS = 60_000;

export const ORDER_TEMPLATE = `{
  "order": {{ payload.order.id }},
  "customer": "{{ payload.order.customer }}",
  "total": {{ payload.order.total }},
  "per_parcel": {{ payload.order.total | divided_by: payload.order.parcels }}
}
`;
/** A parcel at least: what the story types in the place of the one above. */
export const MENDED_TEMPLATE = `{
  "order": {{ payload.order.id }},
  "customer": "{{ payload.order.customer }}",
  "total": {{ payload.order.total }},
  "parcels": {{ payload.order.parcels | at_least: 1 }}
}
`;

const VENDOR_TEMPLATE = `{
  "kind": "vendor",
  "id": {{ payload.data.id }},
  "name": {{ payload.data.name }},
  "status": {{ payload.data.status | default: "unknown" }}
}
`;

const port = () => new Promise((/** @type {(port: number) => void} */ resolve) => {
  const socket = createSocket().listen(0, '127.0.0.1', () => {
    const { port: free } = /** @type {import('node:net').AddressInfo} */ (socket.address());
    socket.close(() => resolve(free));
  });
});

/** Targets that answer what they are told to, with the start of what they got in the answer. */
async function startTargets() {
  /** @type {Map<string, number>} */
  const answers = new Map([['crm', 503]]);
  /** @type {Map<string, Array<{headers: Record<string, unknown>, body: string}>>} */
  const received = new Map();
  const server = createServer((request, response) => {
    const name = (request.url ?? '/').slice(1);
    let body = '';
    request.on('data', (part) => { body += part; });
    request.on('end', () => {
      const status = answers.get(name) ?? 200;
      if (status < 300) received.set(name, [...(received.get(name) ?? []), { headers: request.headers, body }]);
      response.writeHead(status, { 'content-type': 'text/plain' });
      response.end(status < 300 ? `taken: ${body.slice(0, 200)}` : 'the contact service is down for maintenance');
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port: at } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${at}`, answers, received, server };
}

/** @param {{public: number, admin: number, closed: number, targets: string, token: boolean}} at */
const config = (at) => `
listen: 127.0.0.1:${at.public}
admin:
  listen: 127.0.0.1:${at.admin}
  edit_templates: true${at.token ? '\n  token: {env: DOOR_TOKEN}' : ''}
store: {path: ./data}
templates: ./templates
sources:
  wreno: {preset: wreno, secrets: [{env: WRENO_SECRET}]}
  shop: {preset: standard-webhooks, secrets: [{env: SHOP_SECRET}]}
targets:
  erp:
    url: ${at.targets}/erp
    sign: {preset: standard-webhooks, secrets: [{file: ./secrets/erp}]}
  audit: {url: ${at.targets}/audit}
  crm:
    url: ${at.targets}/crm
    retry: {schedule: [200ms], attempts: 2}
    breaker: off
  ledger:
    url: http://127.0.0.1:${at.closed}/ledger
    breaker: {failures: 1}
routes:
  - name: vendor-updates
    from: wreno
    match: {type: "vendor.*", body: {data.status: [active, suspended]}}
    template: vendor.json.liquid
    to: [erp, audit]
  - name: orders
    from: shop
    match: {type: "order.*"}
    template: order.json.liquid
    cases: ./cases
    to: erp
  - name: contacts
    from: shop
    match: {type: "contact.*"}
    to: crm
  - name: invoices
    from: wreno
    match: {type: "invoice.*"}
    to: ledger
`;

/** @param {{token?: string}} [options] @returns {Promise<World>} */
export async function startDaemon({ token = '' } = {}) {
  if (!existsSync(BINARY)) throw new Error(`there is no daemon at ${BINARY}: build it, or name it by INGATE_BIN`);
  const folder = mkdtempSync(join(tmpdir(), 'ingate-ui-'));
  const targets = await startTargets();
  const at = { public: await port(), admin: await port(), closed: await port(), targets: targets.url, token: token !== '' };
  for (const name of ['templates', 'secrets', 'cases']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'config.yaml'), config(at));
  writeFileSync(join(folder, 'templates/order.json.liquid'), ORDER_TEMPLATE);
  writeFileSync(join(folder, 'templates/vendor.json.liquid'), VENDOR_TEMPLATE);
  writeFileSync(join(folder, 'secrets/erp'), SECRETS.shop);
  const env = { ...process.env, WRENO_SECRET: SECRETS.wreno, SHOP_SECRET: SECRETS.shop, DOOR_TOKEN: token, NO_COLOR: '1' };
  const log = createWriteStream(join(folder, 'log'));
  const daemon = spawn(resolve(BINARY), ['run', '-c', 'config.yaml'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  daemon.stdout.pipe(log);
  daemon.stderr.pipe(log);
  const ended = new Promise((resolve) => daemon.on('exit', resolve));
  const url = `http://127.0.0.1:${at.admin}/`;

  const stop = async () => {
    daemon.kill('SIGTERM');
    await ended;
    targets.server.closeAllConnections();
    targets.server.close();
    if (process.env.INGATE_UI_KEEP) cpSync(folder, process.env.INGATE_UI_KEEP, { recursive: true });
    rmSync(folder, { recursive: true, force: true });
  };
  await ready(`${url}readyz`, daemon, join(folder, 'log'));
  return {
    url,
    real: true,
    stop,
    received: (target) => targets.received.get(target) ?? [],
    answer: async (target, status) => void targets.answers.set(target, status),
    send: async (source, payload, { forged = false } = {}) => {
      const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
      const secret = SECRETS[/** @type {'wreno' | 'shop'} */ (source)];
      const answer = await fetch(`http://127.0.0.1:${at.public}/in/${source}`, { method: 'POST', headers: signed(secret, forged ? `${body} ` : body), body });
      return answer.status;
    },
    sendByCommand: async (source, payload) => {
      const file = join(folder, `event-${randomUUID()}.json`);
      writeFileSync(file, JSON.stringify(payload));
      const done = spawnSync(BINARY, ['send', '-c', join(folder, 'config.yaml'), '--source', source, '--event', file], { env, encoding: 'utf8' });
      if (done.status !== 0) throw new Error(`ingate send: ${done.stdout}${done.stderr}`);
    },
  };
}

/** As Standard Webhooks wants it. @param {string} secret @param {string} body */
function signed(secret, body) {
  const id = `msg_${randomUUID().replaceAll('-', '')}`;
  const time = String(Math.floor(Date.now() / 1000));
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${time}.${body}`).digest('base64');
  return { 'content-type': 'application/json', 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': `v1,${signature}` };
}

/** @param {string} url @param {import('node:child_process').ChildProcess} daemon @param {string} log */
async function ready(url, daemon, log) {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    if (daemon.exitCode !== null) break;
    const answer = await fetch(url).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  daemon.kill('SIGKILL');
  const { readFileSync } = await import('node:fs');
  throw new Error(`the daemon does not become ready:\n${readFileSync(log, 'utf8')}`);
}

/** @param {string} url @returns {World} */
export function standIn(url) {
  const post = async (/** @type {string} */ path, /** @type {object} */ body) => {
    const answer = await fetch(`${url}api/v1/dev/${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(await answer.text());
  };
  /** @type {World['send']} */
  const send = async (source, payload, { forged = false } = {}) => {
    if (!forged) await post('send', { source, text: typeof payload === 'string' ? payload : JSON.stringify(payload) });
    return forged ? 401 : 200;
  };
  return {
    url,
    real: false,
    send,
    sendByCommand: async (source, payload) => void (await send(source, payload)),
    answer: (target, status) => post('answer', { target, status }),
    received: () => [],
    stop: async () => {},
  };
}
