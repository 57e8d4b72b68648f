// @ts-check
// The parts of the dashboard that only reckon, as tables. The sources are TypeScript: Vite loads them, without a bundle.
import assert from 'node:assert/strict';
import { createServer as createDoor } from 'node:http';
import { after, test } from 'node:test';
import { createServer } from 'vite';

const vite = await createServer({ server: { middlewareMode: true, hmr: false, ws: false }, appType: 'custom', optimizeDeps: { noDiscovery: true }, logLevel: 'error' });
after(() => vite.close());
/** @param {string} path @returns {Promise<any>} */
const load = (path) => vite.ssrLoadModule(`/src/${path}`);
const { Parser, listen, waitAfter } = await load('api/stream.ts');
const { pretty } = await load('json.ts');
const { diff, hunks } = await load('diff.ts');
const { placeOf, loopPaths } = await load('playground/complete.ts');
const { quote } = await load('screens/event/curl.ts');
const { duration, relative, rate, success } = await load('format.ts');
const { parse, href } = await load('router.ts');

test('server-sent events are read however the bytes are cut', () => {
  const text = ': hello\r\n\r\nid: a-1\r\nevent: event\r\ndata: {"x":\r\ndata: 1}\r\n\r\nid: a-2\ndata:two\n\ndata: three\r\r: end\n';
  const wanted = [
    { id: 'a-1', event: 'event', data: '{"x":\n1}' },
    { id: 'a-2', event: 'message', data: 'two' },
    { id: 'a-2', event: 'message', data: 'three' },
  ];
  for (let size = 1; size <= text.length; size += 1) {
    const parser = new Parser();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...parser.push(text.slice(at, at + size)));
    assert.deepEqual(found, wanted, `in pieces of ${size}`);
  }
});

test('waits grow with failures, and end somewhere', () => {
  assert.ok(waitAfter(0) < 1000);
  assert.ok(waitAfter(4) >= 3000);
  assert.ok(waitAfter(40) <= 25_000);
});

test('a stream that ends or fails goes on behind the last id, and a refused query is not asked again', async () => {
  /** @type {Array<{last: string | undefined, url: string | undefined, token: string | undefined}>} */
  const asked = [];
  const answers = [
    { status: 200, body: 'id: x-1\nevent: event\ndata: {"id":"one"}\n\nid: x-2\nevent: attempt\ndata: {"id":"two"}\n\n' },
    { status: 503, body: '{"error":{"code":"busy","message":"as many streams as there may be"}}' },
    { status: 200, body: 'event: lost\ndata: {"missed":3}\n\n' },
    { status: 400, body: '{"error":{"code":"bad_query","message":"no such glob"}}' },
  ];
  const door = createDoor((request, response) => {
    asked.push({ last: /** @type {string} */ (request.headers['last-event-id']), url: request.url, token: request.headers.authorization });
    const { status, body } = answers[Math.min(asked.length, answers.length) - 1] ?? { status: 500, body: '' };
    response.writeHead(status, { 'content-type': status === 200 ? 'text/event-stream' : 'application/json' });
    response.end(body);
  });
  await new Promise((resolve) => door.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (door.address());
  const real = globalThis.fetch;
  const held = new Map([['ingate-token', 'secret']]);
  Object.assign(globalThis, {
    sessionStorage: { getItem: (/** @type {string} */ key) => held.get(key) ?? null },
    fetch: (/** @type {string} */ url, /** @type {RequestInit} */ init) => real(`http://127.0.0.1:${port}${url}`, { ...init, cache: 'default' }),
  });
  /** @type {string[]} */
  const heard = [];
  await new Promise((resolve) => {
    const stop = listen({ type: 'order.*', source: '' }, {
      event: (/** @type {any} */ row) => heard.push(`event ${row.id}`),
      attempt: (/** @type {any} */ row) => heard.push(`attempt ${row.id}`),
      lost: (/** @type {any} */ lost) => heard.push(`lost ${lost.missed}`),
      state: (/** @type {string | null} */ why, /** @type {boolean} */ gap) => {
        heard.push(why === null ? `open${gap ? ', perhaps with a gap' : ''}` : why);
        if (why === 'no such glob') setTimeout(() => resolve(stop()), 1500);
      },
    });
  });
  door.close();
  globalThis.fetch = real;
  assert.deepEqual(heard, ['open, perhaps with a gap', 'event one', 'attempt two', 'as many streams as there may be', 'open', 'lost 3', 'no such glob']);
  assert.deepEqual(asked.map((one) => one.last), [undefined, 'x-2', 'x-2', 'x-2']);
  assert.ok(asked.every((one) => one.url === '/api/v1/stream?type=order.*' && one.token === 'Bearer secret'));
});

test('JSON is laid out without changing what stands there', () => {
  for (const [line, text, wanted] of /** @type {const} */ ([
    ['numbers stay', '{"id":90071992547409931,"n":1.10,"e":1E400}', '{\n  "id": 90071992547409931,\n  "n": 1.10,\n  "e": 1E400\n}'],
    ['empty ones', '{"a":[],"b":{}}', '{\n  "a": [],\n  "b": {}\n}'],
    ['escapes stay', '["\\u003c\\"]"]', '[\n  "\\u003c\\"]"\n]'],
    ['doubled keys stay', '{"a":1,"a":2}', '{\n  "a": 1,\n  "a": 2\n}'],
    ['no JSON', 'a <b>', 'a <b>'],
    ['one value', ' "x" ', '"x"'],
  ])) assert.equal(pretty(text), wanted, line);
});

test('a diff is the shortest, and puts both texts together again', () => {
  for (const [before, wanted, then] of /** @type {const} */ ([
    ['a\nb\nc', '=a -b +x =c', 'a\nx\nc'],
    ['a', '=a +b', 'a\nb'],
    ['', '- +a', 'a'],
    ['a\nb\nc\na\nb\nb\na', '-a -b =c +b =a =b -b =a +c', 'c\nb\na\nb\na\nc'],
  ])) {
    const lines = diff(before, then);
    const told = lines.map((/** @type {any} */ line) => `${{ same: '=', old: '-', new: '+' }[/** @type {'same'} */ (line.kind)]}${line.text}`).join(' ');
    assert.equal(told, wanted);
    const side = (/** @type {string} */ other) => lines.filter((/** @type {any} */ line) => line.kind !== other).map((/** @type {any} */ line) => line.text).join('\n');
    assert.deepEqual([side('new'), side('old')], [before, then]);
  }
  const many = Array.from({ length: 5000 }, (_, index) => `line ${index}`);
  assert.equal(diff(many.join('\n'), many.map((line) => `${line}!`).join('\n')).length, 10_000, 'two strangers are told as such, soon');
  assert.equal(hunks(diff(many.join('\n'), [...many, 'one more'].join('\n'))).length, 5);
});

test('what is offered depends on where the cursor stands', () => {
  for (const [before, wanted] of /** @type {const} */ ([
    ['{"a": ', null],
    ['{"a": {{ payload.da', { kind: 'path', word: 'payload.da' }],
    ['{{ payload.items[0].s', { kind: 'path', word: 'payload.items[0].s' }],
    ['{{ payload["odd na', { kind: 'path', word: 'payload["odd na' }],
    ['{{- payload.a | def', { kind: 'filter', word: 'def' }],
    ['{{ a | default: payload.', { kind: 'path', word: 'payload.' }],
    ['{{ "payload.', null],
    ['{% fo', { kind: 'tag', word: 'fo' }],
    ['{%- for item in payload.', { kind: 'path', word: 'payload.' }],
    ['{{ payload.a }}, "b": ', null],
    ['{% if a %}{{ b', { kind: 'path', word: 'b' }],
  ])) assert.deepEqual(placeOf(before), wanted, before);
  const known = { paths: [{ path: 'payload.items[0].sku', kind: 'string', example: '"A"' }, { path: 'payload.items', kind: 'array', example: null }], filters: [], tags: [], more: false };
  assert.deepEqual(loopPaths('{% for item in payload.items %}{{ it', known).map((/** @type {any} */ one) => one.label), ['item.sku']);
});

test('no payload ends the quotes of a shell', () => {
  assert.equal(quote("it's $(id) `id` \\"), "'it'\\''s $(id) `id` \\'");
});

test('numbers and times for people', () => {
  const now = Date.parse('2026-01-05T10:00:00Z');
  for (const [found, wanted] of [
    [duration(0.0004), '0 ms'], [duration(0.0021), '2.1 ms'], [duration(0.34), '340 ms'], [duration(12), '12 s'], [duration(240), '4 min'], [duration(7200), '2 h'], [duration(864_000), '10 d'],
    [relative('2026-01-05T09:56:00Z', now), '4 min ago'], [relative('2026-01-05T10:00:12Z', now), 'in 12 s'], [relative('2026-01-05T10:00:00.5Z', now), 'now'],
    [rate(0, 60), '0'], [rate(3, 60), '3/min'], [rate(744, 60), '12.4/s'], [rate(1, 0), '0'],
    [success(0, 0), '–'], [success(10, 0), '100 %'], [success(99_999, 1), '99.9 %'], [success(1, 3), '25.0 %'],
  ]) assert.equal(found, wanted);
});

test('the address holds a place, and gives it back', () => {
  const place = parse(href('events', 'a/b c', { type: 'order.*', none: '' }));
  assert.deepEqual([place.screen, place.id, [...place.params]], ['events', 'a/b c', [['type', 'order.*']]]);
  assert.equal(parse('').screen, 'overview');
  assert.equal(parse('#/events/%').id, '%');
});
