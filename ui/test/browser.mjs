// @ts-check
// Debian's chromium, driven by playwright-core. Every page that a story opens is watched: nothing may be said on the
// console, nothing may be thrown, and no request may leave the door.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

/** @typedef {import('playwright-core').Page} Page */

export const CHROMIUM = [process.env.INGATE_CHROMIUM, '/usr/bin/chromium'].find((path) => path && existsSync(path));

export const launch = () => chromium.launch({
  executablePath: CHROMIUM ?? '',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

/**
 * Opens a page, tells the story, and looks at what the page said meanwhile.
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 * @param {{width?: number, height?: number, dark?: boolean, still?: boolean, allow?: RegExp}} options
 * @param {(page: Page) => Promise<void>} story
 */
export async function visit(browser, url, { width = 1280, height = 800, dark = false, still = false, allow }, story) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: still ? 'reduce' : 'no-preference',
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  // While the dashboard is worked on: the bundle of this folder in the place of the one in the binary.
  const bundle = process.env.INGATE_UI_BUNDLE;
  if (bundle) {
    await context.route(url, (route) => route.fulfill({ path: join(bundle, 'index.html') }));
    await context.route(`${url}assets/*`, (route) => route.fulfill({ path: join(bundle, new URL(route.request().url()).pathname) }));
  }
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  /** @type {string[]} */
  const said = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) said.push(`${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => said.push(String(error.stack)));
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:')) said.push(`a request to ${request.url()}`);
  });
  try {
    await page.goto(url);
    await story(page);
    assert.deepEqual(said.filter((line) => !allow?.test(line)), [], 'the page is silent and keeps to its door');
  } catch (error) {
    if (process.env.INGATE_UI_SHOTS) await page.screenshot({ path: `${process.env.INGATE_UI_SHOTS}/failed-${Date.now()}.png` });
    throw error;
  } finally {
    await context.close();
  }
}

/** @param {Page} page @param {string} hash */
export async function go(page, hash) {
  await page.evaluate((to) => { location.hash = to; }, hash);
}

/** Waits until it holds. @param {() => Promise<boolean> | boolean} holds @param {string} what */
export async function until(holds, what) {
  const end = Date.now() + 20_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`this has not come to be: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
