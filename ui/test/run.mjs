// @ts-check
// The dashboard in a real browser, before a real daemon. `npm test`; the daemon is target/debug/ingate, or INGATE_BIN.
// It also takes the pictures under docs/. Where there is no chromium it says so and ends well.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CHROMIUM, go, launch, until, visit } from './browser.mjs';
import { MENDED_TEMPLATE, standIn, startDaemon } from './world.mjs';

/** @typedef {import('playwright-core').Page} Page */

if (!CHROMIUM) {
  console.log('skipped: no chromium');
  process.exit(0);
}

/** Where the pictures go: docs/, unless they are not wanted there. */
const DOCS = join(process.env.INGATE_UI_PICTURES ?? fileURLToPath(new URL('../../docs', import.meta.url)), '/');
const HOSTILE = '<script>window.owned=1</script><img src=x onerror="window.owned=1">\'"';
/** @type {import('./world.mjs').World} */
let world;
/** @type {import('playwright-core').Browser} */
let browser;

const vendor = (/** @type {number} */ index, more = {}) => ({ type: 'vendor.updated', timestamp: new Date().toISOString(), data: { id: `v-${index}`, name: ['Hansen Möbel', 'Ørsted Parts', 'O’Neill & Sons', 'Akari 紙業'][index % 4], status: 'active', tags: ['eu'], ...more } });
const order = (/** @type {string} */ id, parcels = 2, customer = 'Hansen Möbel') => ({ type: 'order.paid', order: { id, customer, total: 129.9, parcels } });
const contact = (/** @type {number} */ index) => ({ type: 'contact.created', contact: { id: index, name: `Contact ${index}` } });

/** @param {string} path @returns {Promise<any>} */
async function ask(path) {
  const answer = await fetch(`${world.url}api/v1/${path}`);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
}
/** The event whose body holds this text. @param {string} query @param {string} text */
async function eventWith(query, text) {
  for (const row of (await ask(`events?limit=200&${query}`)).items) {
    const body = await (await fetch(`${world.url}api/v1/events/${row.id}/body`)).text();
    if (body.includes(text)) return row;
  }
  throw new Error(`no event holds ${text}`);
}

before(async () => {
  world = process.env.INGATE_UI_URL ? standIn(process.env.INGATE_UI_URL) : await startDaemon();
  browser = await launch();
  for (let index = 0; index < 58; index += 1) {
    assert.equal(await world.send('wreno', vendor(index, index % 9 === 8 ? { status: 'archived' } : {})), 200);
    if (index % 6 === 0) await world.send('shop', order(`A-${1000 + index}`));
    if (index % 12 === 0) await world.send('shop', contact(index));
  }
  for (const id of ['B-1', 'B-2', 'B-3']) await world.send('shop', order(id, 0));
  await world.send('wreno', { type: 'invoice.sent', data: { id: 'i-1' } });
  await world.sendByCommand('wreno', vendor(99));
  assert.equal(await world.send('shop', order('forged'), { forged: true }), 401);
  await until(async () => (await ask('dead')).items.length >= 2, 'letters of two kinds are dead');
  await until(async () => (await ask('deliveries?state=pending&target=erp')).items.length === 0, 'erp has all');
});
after(async () => {
  await browser?.close();
  await world?.stop();
});

test('the overview says how it stands', () => visit(browser, world.url, {}, async (page) => {
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  await page.getByText('taking events', { exact: true }).waitFor();
  const figures = page.getByRole('group', { name: 'The last minute' });
  for (const label of ['In', 'Out', 'Success', 'Pending', 'Oldest', 'Dead']) await figures.getByText(label, { exact: true }).waitFor();
  const targets = page.getByRole('region', { name: 'Targets' }).locator('tbody tr');
  assert.equal(await targets.count(), 4);
  await page.getByRole('row', { name: /ledger/ }).getByText('breaker open').waitFor();
  await page.locator('.u-over').first().waitFor();
  await page.getByRole('combobox', { name: 'Of' }).selectOption('target:erp');
  await page.getByRole('img', { name: /Out, attempts a second/ }).waitFor();
  assert.equal(await page.getByRole('img', { name: /In, events a second/ }).count(), 0, 'a target has no events');
}));

test('instances that share a store are shown with what they have, and one that differs is flagged', () => visit(browser, world.url, {}, async (page) => {
  const fleet = await ask('fleet');
  assert.deepEqual([fleet.items.length, fleet.differs], [1, false], 'one that is alone');
  assert.equal(await page.getByRole('region', { name: 'Instances' }).count(), 0);
  // The daemon has its store for itself, so another one is added to its answers on their way.
  const [own] = fleet.items;
  const other = { ...own, id: own.id + 1, name: 'relay-b', this: false, differs: true, plan: { generation: 1, fingerprint: 'ab'.repeat(32) }, targets: ['erp'], down: ['erp'] };
  await page.route('**/api/v1/fleet', (route) => route.fulfill({ json: { ...fleet, items: [{ ...own, targets: [] }, other], shared: true, differs: true } }));
  for (const path of ['overview', 'targets']) {
    await page.route(`**/api/v1/${path}`, async (route) => {
      const answer = await route.fetch();
      const json = await answer.json();
      if (json.fleet) json.fleet = { instances: 2, differing: 1 };
      for (const target of json.targets ?? json.items) target.owner = { id: other.id, name: other.name, this: false };
      await route.fulfill({ json });
    });
  }
  await go(page, '#/events');
  await go(page, '#/overview');
  await page.getByText('1 instance goes by another configuration').waitFor();
  const row = page.getByRole('region', { name: 'Instances' }).getByRole('row', { name: 'relay-b' });
  await row.getByText('differs').waitFor();
  await row.getByText('abababab').waitFor();
  await row.getByText('down').waitFor();
  await row.getByRole('link', { name: 'erp' }).click();
  await page.getByRole('region', { name: 'Target erp' }).getByText('relay-b').waitFor();
}));

test('events come in live, wait while paused, and are filtered by the address', () => visit(browser, world.url, {}, async (page) => {
  await go(page, '#/events');
  const rows = page.getByRole('region', { name: 'Events' }).locator('tbody tr');
  await rows.first().waitFor();
  assert.equal(await rows.count(), 50);
  await page.getByRole('button', { name: 'Older events' }).click();
  await until(async () => (await rows.count()) > 55, 'an older page stands below');

  await page.getByText('live', { exact: true }).waitFor();
  const before = await rows.count();
  await world.send('wreno', vendor(200));
  await until(async () => (await rows.count()) === before + 1, 'the new event stands on top');
  await rows.first().getByText('2 delivered').waitFor();

  await page.getByRole('button', { name: 'Pause' }).click();
  await world.send('wreno', vendor(201));
  await page.getByText('paused, 1 new').waitFor();
  assert.equal(await rows.count(), before + 1);
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByText('live', { exact: true }).waitFor();

  await page.getByLabel('Type').fill('order.*');
  await page.waitForURL(/#\/events\?type=order/);
  await until(async () => (await rows.allInnerTexts()).every((row) => row.includes('order.')), 'only orders are shown');
  await page.getByLabel('State').selectOption('dead');
  await until(async () => (await rows.count()) === (await ask('events?type=order.*&state=dead')).items.length, 'only dead ones are shown');
  await page.reload();
  await until(async () => (await rows.count()) > 0 && (await rows.allInnerTexts()).every((row) => row.includes('dead')), 'a reload keeps the view');
  await page.getByLabel('Message id').fill('nobody');
  await page.getByText('No event passes these filters').waitFor();
  await page.getByRole('button', { name: 'Clear the filters' }).click();
  await page.waitForURL(/#\/events$/);
}));

test('an event tells its way, its bodies, and goes out again', () => visit(browser, world.url, {}, async (page) => {
  await world.send('shop', contact(7001));
  const row = await eventWith('type=contact.*', '7001');
  await until(async () => (await ask(`events/${row.id}`)).deliveries[0].state === 'dead', 'crm has refused it for good');
  await go(page, `#/events/${row.id}`);
  const timeline = page.getByRole('region', { name: 'Timeline' });
  for (const step of ['Received', 'Verified', 'Routed']) await timeline.getByRole('heading', { name: step }).waitFor();
  await timeline.getByText('secret 1 (the newest)').waitFor();
  await timeline.getByText('Why not by 3 others').click();
  await timeline.getByText('order.*').waitFor();
  await timeline.getByText('retries exhausted').waitFor();
  await timeline.getByText('the contact service is down for maintenance').first().waitFor();

  await page.getByRole('tab', { name: 'Raw' }).click();
  await page.getByLabel('The body as it came').getByText('"Contact 7001"').waitFor();
  await page.getByRole('tab', { name: 'Rendered' }).click();
  await page.getByLabel('The rendered body').getByText('"Contact 7001"').waitFor();
  await page.getByRole('tab', { name: 'Diff' }).click();
  await page.getByText('There is no difference.').waitFor();
  await page.getByRole('tab', { name: 'Response' }).click();
  await page.locator('.bodies .facts').getByText('answered 503').waitFor();

  await page.getByRole('button', { name: 'Copy as curl' }).click();
  await page.getByText('The request is on the clipboard.').waitFor();
  const curl = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(curl, /^curl -sS -i -X POST 'http/);
  assert.ok(curl.includes("'webhook-id: ") && curl.includes('7001'));

  await world.answer('crm', 200);
  await page.getByRole('button', { name: 'Retry…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Retry' }).click();
  await timeline.getByText('delivered', { exact: true }).waitFor();
  await until(async () => (await ask(`events/${row.id}`)).deliveries[0].state === 'delivered', 'the API says so, too');
  if (world.real) assert.ok(world.received('crm').some((one) => one.body.includes('7001')));
  await world.answer('crm', 503);
}));

test('what a payload says is text wherever it is shown', () => visit(browser, world.url, {}, async (page) => {
  await world.send('shop', order('H-1', 2, HOSTILE));
  await world.send('shop', order('H-2', 0, HOSTILE));
  await world.send('wreno', vendor(666, { name: HOSTILE, status: HOSTILE }));
  await world.send('wreno', { ...vendor(667), type: HOSTILE });
  const clean = async (/** @type {string} */ where) => {
    const found = await page.evaluate(() => ({
      owned: 'owned' in window,
      made: document.querySelectorAll('main img, main script, dialog img, dialog script').length,
    }));
    assert.deepEqual(found, { owned: false, made: 0 }, where);
  };
  await go(page, '#/events');
  await page.getByText('<script>window.owned=1</script>').first().waitFor();
  await clean('events');
  const good = await eventWith('type=order.*', 'H-1');
  await until(async () => (await ask(`events/${good.id}`)).deliveries[0]?.state === 'delivered', 'the hostile order is delivered');
  await go(page, `#/events/${good.id}`);
  await page.getByLabel('The body as it came').getByText('<script>window.owned=1</script>').waitFor();
  for (const tab of ['Rendered', 'Diff', 'Response']) {
    await page.getByRole('tab', { name: tab }).click();
    await page.waitForTimeout(300);
    await clean(tab);
  }
  await page.getByRole('button', { name: 'Copy as curl' }).click();
  await page.getByText('The request is on the clipboard.').waitFor();
  assert.ok((await page.evaluate(() => navigator.clipboard.readText())).includes("'\\''"), 'a quote in a payload does not end the shell’s');

  const archived = await eventWith('type=vendor.*', 'v-666');
  await go(page, `#/events/${archived.id}`);
  await page.getByText('No route took it').waitFor();
  await page.locator('.whynot').getByText('<script>window.owned=1</script>').waitFor();
  await clean('why a route does not take it');
  const dead = await eventWith('type=order.*', 'H-2');
  await go(page, `#/playground?event=${dead.id}&route=orders`);
  await page.getByLabel('The sample').getByText('<script>window.owned=1</script>').waitFor();
  await page.getByText('does not render').waitFor();
  await clean('playground');
  await go(page, '#/dead?target=erp&reason=render');
  await page.getByRole('button', { name: 'Hide' }).waitFor();
  await clean('dead letters');
}));

test('routes and targets: what flows where, pause, resume, probe, what failed to verify', () => visit(browser, world.url, {}, async (page) => {
  await go(page, '#/routes');
  const flows = page.getByRole('region', { name: 'What flows where' });
  await flows.getByText('vendor-updates').waitFor();
  await flows.getByText('the body goes on unchanged').first().waitFor();
  const audit = page.getByRole('region', { name: 'Target audit' });
  await audit.getByRole('button', { name: 'Pause' }).click();
  await audit.getByText('paused', { exact: true }).waitFor();
  await world.send('wreno', vendor(300));
  await until(async () => (await ask('deliveries?state=pending&target=audit')).items.length === 1, 'a delivery waits');
  await audit.getByRole('button', { name: 'Resume' }).click();
  await audit.getByText('breaker closed').waitFor();
  await until(async () => (await ask('deliveries?state=pending&target=audit')).items.length === 0, 'it has gone out');

  const erp = page.getByRole('region', { name: 'Target erp' });
  await erp.getByRole('button', { name: 'Probe' }).click();
  await erp.getByText('reachable', { exact: true }).waitFor();
  await erp.getByText('standard-webhooks').waitFor();
  const shop = page.getByRole('region', { name: 'Source shop' });
  await shop.getByText('SHOP_SECRET').waitFor();
  await shop.getByRole('button', { name: 'What failed to verify' }).click();
  await shop.getByText('signature mismatch').first().waitFor();
  const text = await page.locator('main').innerText();
  assert.ok(!text.includes('whsec_'), 'secrets are named, never shown');
}));

test('a bulk replay: previewed, cancelled, then run to its end', () => visit(browser, world.url, {}, async (page) => {
  const group = async () => (await ask('dead')).items.find((/** @type {any} */ one) => one.target === 'crm');
  const { count } = await group();
  assert.ok(count >= 4);
  await go(page, '#/dead');
  const crm = page.getByRole('region', { name: 'crm', exact: true });
  await crm.getByRole('button', { name: 'Show' }).click();
  await crm.getByRole('link', { name: 'contact.created' }).first().waitFor();

  await crm.getByRole('button', { name: 'Replay…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText(`${count} deliveries`).waitFor();
  await dialog.getByLabel('At most').fill('1/m');
  await dialog.getByRole('button', { name: `Replay ${count}` }).click();
  const replays = page.getByRole('region', { name: 'Replays' });
  await replays.getByRole('button', { name: 'Cancel' }).first().waitFor();
  await crm.getByRole('button', { name: 'Hide' }).click();
  await page.screenshot({ path: `${DOCS}dead-letters.png` });
  await replays.getByRole('button', { name: 'Cancel' }).first().click();
  await replays.getByText('cancelled').waitFor();

  await world.answer('crm', 200);
  await until(async () => (await ask('deliveries?state=pending&target=crm')).items.length === 0, 'what was taken up has ended');
  const left = await group();
  if (left) {
    await crm.getByRole('button', { name: 'Replay…' }).click();
    await dialog.getByRole('button', { name: /^Replay \d+/ }).click();
    await replays.getByText('done', { exact: true }).waitFor();
    await replays.getByText(`${left.count} / ${left.count}`).first().waitFor();
  }
  await until(async () => !(await group()), 'no letter of crm is dead');
  await crm.waitFor({ state: 'detached' });
  assert.equal((await ask('deliveries?state=dead&target=crm')).items.length, 0);
}));

test('a template is wrong, is mended in the playground, and what was parked goes out', () => visit(browser, world.url, {}, async (page) => {
  const row = await eventWith('type=order.*', 'B-2');
  await go(page, `#/events/${row.id}`);
  await page.getByRole('link', { name: 'Mend it in the playground' }).click();
  await page.getByText('does not render', { exact: true }).waitFor();
  await page.locator('.cm-lintRange-error').first().waitFor();
  assert.match(await page.locator('.cm-lintRange-error').first().innerText(), /divided_by|payload\.order/);
  const place = await page.locator('.marker.bad button').first().innerText();
  assert.match(place, /^order\.json\.liquid:5:\d+$/, 'the marker is on the line of the mistake');

  const editor = page.getByRole('textbox', { name: 'Template' });
  await editor.click();
  await page.keyboard.press('Control+End');
  await page.keyboard.insertText('{{ payload.order.cu');
  await page.keyboard.press('Control+Space');
  await page.locator('.cm-tooltip-autocomplete').getByText('payload.order.customer').waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('does not compile').waitFor();

  await page.keyboard.press('Control+A');
  await page.keyboard.insertText(MENDED_TEMPLATE);
  await page.getByText('renders', { exact: true }).waitFor();
  await page.getByLabel('The JSON that comes out').getByText('"B-2"').waitFor();
  await page.getByText('changed, not saved').waitFor();
  await page.screenshot({ path: `${DOCS}playground.png` });

  await page.getByRole('button', { name: 'Save template' }).click();
  await page.getByText('order.json.liquid is saved and in force.').waitFor();
  await page.getByText('in force', { exact: true }).waitFor();
  await page.getByRole('button', { name: /^Revive \d+/ }).click();
  await until(async () => (await ask(`events/${row.id}`)).deliveries[0].state === 'delivered', 'the parked event is delivered');
  await until(async () => (await ask('deliveries?state=dead&reason=render')).items.length === 0, 'all that died rendering are delivered');
  if (world.real) assert.ok(world.received('erp').some((one) => one.body.includes('B-2') && one.body.includes('"parcels":1')));

  await page.getByRole('button', { name: 'Save as a test…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('no-parcels');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved as the test no-parcels of orders').waitFor();
  await page.getByRole('tab', { name: 'File' }).click();
  await page.getByRole('button', { name: /no-parcels\.json/ }).waitFor();

  await go(page, `#/events/${row.id}`);
  await page.getByRole('region', { name: 'Timeline' }).getByText('delivered', { exact: true }).waitFor();
  await page.getByRole('tab', { name: 'Diff' }).click();
  await page.getByLabel('From raw to rendered').getByText('"parcels": 1').waitFor();
}));

test('a text that somebody else has changed is not written over', () => visit(browser, world.url, { allow: /412/ }, async (page) => {
  await go(page, '#/playground?template=vendor.json.liquid');
  const editor = page.getByRole('textbox', { name: 'Template' });
  await editor.click();
  await page.keyboard.press('Control+End');
  await page.keyboard.insertText('\n');
  const file = await ask('templates/vendor.json.liquid');
  const theirs = await fetch(`${world.url}api/v1/templates/vendor.json.liquid`, {
    method: 'PUT', headers: { 'if-match': `"${file.etag}"`, 'content-type': 'application/json' }, body: JSON.stringify({ text: `${file.text}\n\n` }),
  });
  assert.equal(theirs.status, 200);
  await page.getByRole('button', { name: 'Save template' }).click();
  await page.getByText('The file was changed by somebody else').waitFor();
  await page.getByRole('button', { name: 'Take the file’s text' }).click();
  await page.getByText('in force', { exact: true }).waitFor();
  assert.equal((await ask('templates/vendor.json.liquid')).text, `${file.text}\n\n`);
}));

test('with the keyboard alone', () => visit(browser, world.url, { still: true }, async (page) => {
  const focused = () => page.evaluate(() => {
    const element = document.activeElement;
    const ring = element ? getComputedStyle(element).outlineStyle : '';
    return { name: element?.getAttribute('aria-label') ?? element?.textContent?.trim() ?? '', tag: element?.tagName ?? '', ring };
  });
  const tabTo = async (/** @type {RegExp} */ name, most = 60) => {
    for (let left = most; left > 0; left -= 1) {
      await page.keyboard.press('Tab');
      const now = await focused();
      if (name.test(now.name)) {
        assert.notEqual(now.ring, 'none', `the focus on ${now.name} is seen`);
        return;
      }
    }
    throw new Error(`Tab does not come to ${name}`);
  };
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  await page.keyboard.press('Tab');
  assert.equal((await focused()).name, 'Skip to content');
  await page.keyboard.press('Enter');
  assert.equal((await focused()).tag, 'MAIN');
  await page.reload();
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  await tabTo(/^Events$/);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Events', level: 1 }).waitFor();
  await until(async () => (await focused()).tag === 'MAIN', 'the focus goes on from the new screen');
  await page.locator('tbody tr').first().waitFor();
  await tabTo(/^order\.paid$|^vendor\.updated$/);
  await page.keyboard.press('Enter');
  await page.getByRole('region', { name: 'Timeline' }).waitFor();
  await tabTo(/^Retry…$/);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal((await focused()).name, 'Retry…', 'a dialog gives the focus back');
  await tabTo(/^Raw$/);
  await page.keyboard.press('ArrowRight');
  await until(async () => (await focused()).name === 'Rendered', 'an arrow goes to the next tab');
  await page.getByLabel('The rendered body').waitFor();
  await page.keyboard.press('Tab');
  assert.notEqual((await focused()).name, 'Diff', 'Tab goes on into what the tab shows');
}));

test('at a phone’s width nothing is cut off, in dark and in light', async () => {
  const row = (await ask('events?type=order.*')).items[0];
  const screens = ['#/overview', '#/events', `#/events/${row.id}`, '#/dead', '#/routes', `#/playground?event=${row.id}&route=orders`];
  /** @type {string[]} */
  const grounds = [];
  for (const dark of [false, true]) {
    await visit(browser, world.url, { width: 360, height: 740, dark }, async (page) => {
      for (const screen of screens) {
        await go(page, screen);
        await page.locator('main h1').waitFor();
        await page.waitForLoadState('networkidle', { timeout: 1500 }).catch(() => undefined);
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(over <= 0, `${screen} is ${over} px too wide`);
      }
      grounds.push(await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor));
      await page.getByRole('button', { name: /^Colours: as the system/ }).click();
      const chosen = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
      await page.reload();
      assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor), chosen, 'the choice is kept');
      if (dark) assert.equal(chosen, grounds[1]);
      else assert.notEqual(chosen, grounds[0]);
    });
  }
  assert.notEqual(grounds[0], grounds[1]);
});

test('a door with a token is asked for it, and it is kept in the tab', async (context) => {
  if (!world.real) return context.skip('needs a daemon of its own');
  const door = await startDaemon({ token: 'a-token-for-tests-only-0123456789' });
  try {
    await visit(browser, door.url, { allow: /401/ }, async (page) => {
      const dialog = page.getByRole('dialog', { name: 'The door asks for its token' });
      await dialog.getByLabel('Token').fill('wrong');
      await page.keyboard.press('Enter');
      await dialog.getByText('not the right one').waitFor();
      await dialog.getByLabel('Token').fill('a-token-for-tests-only-0123456789');
      await page.keyboard.press('Enter');
      await page.getByText('taking events', { exact: true }).waitFor();
      await go(page, '#/events');
      await page.getByText('live', { exact: true }).waitFor();
      await page.reload();
      await page.getByText('No event has come in yet').waitFor();
      assert.equal(await dialog.count(), 0);
    });
  } finally {
    await door.stop();
  }
});

test('the pictures of the documentation', () => visit(browser, world.url, {}, async (page) => {
  await world.send('shop', order('C-1', 3));
  const row = await eventWith('type=order.*', 'C-1');
  await until(async () => (await ask(`events/${row.id}`)).deliveries[0].state === 'delivered', 'the order is delivered');
  for (const [name, hash, there] of /** @type {const} */ ([
    ['overview', '#/overview', '.u-over'],
    ['events', '#/events', 'tbody tr .chip'],
    ['event', `#/events/${row.id}?tab=diff`, '.diff'],
    ['routes', '#/routes', '.card'],
  ])) {
    await go(page, hash);
    await page.locator(there).first().waitFor();
    await page.waitForTimeout(400);
    await page.screenshot({ path: `${DOCS}${name}.png` });
  }
}));
