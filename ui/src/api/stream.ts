// The live stream, read with fetch: an EventSource cannot send the token. Connects again by itself with the last id;
// waits longer after each failure in a row. Not here: what becomes of what was read.
import { address, ApiError, isAbort, send, words, type Query } from './client';
import type { AttemptRow, EventRow, Lost } from './types';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 20_000;
/** The daemon sends a comment every 15 s; without a word for this long the connection is taken for dead. */
const SILENCE_MS = 45_000;

export type Message = { id: string; event: string; data: string };

export type Heard = {
  event?: (row: EventRow) => void;
  attempt?: (row: AttemptRow) => void;
  lost?: (lost: Lost) => void;
  /** `null` while connected, else why not. `gap`: there may be what was not told, since no id was known to go on from. */
  state?: (trouble: string | null, gap: boolean) => void;
};

/** Takes text as it comes in and gives whole messages. By the HTML standard: lines end in CR, LF or both. */
export class Parser {
  private rest = '';
  private data: string[] = [];
  private event = '';
  private id = '';

  push(text: string): Message[] {
    const messages: Message[] = [];
    this.rest += text;
    for (;;) {
      const end = this.rest.search(/\r\n|\n|\r(?!$)/);
      if (end < 0) return messages;
      const line = this.rest.slice(0, end);
      this.rest = this.rest.slice(end + (this.rest.startsWith('\r\n', end) ? 2 : 1));
      const message = this.line(line);
      if (message) messages.push(message);
    }
  }

  private line(line: string): Message | null {
    if (line === '') {
      const message = { id: this.id, event: this.event || 'message', data: this.data.join('\n') };
      const told = this.data.length > 0;
      this.data = [];
      this.event = '';
      return told ? message : null;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.data.push(value);
    else if (field === 'event') this.event = value;
    else if (field === 'id' && !value.includes('\0')) this.id = value;
    return null;
  }
}

/** Reads the stream until what it returns is called. */
export function listen(query: Query, heard: Heard): () => void {
  const ended = new AbortController();
  void follow(query, heard, ended.signal);
  return () => ended.abort();
}

async function follow(query: Query, heard: Heard, ended: AbortSignal): Promise<void> {
  let last = '';
  let failures = 0;
  while (!ended.aborted) {
    try {
      await readOnce(query, last, ended, (message) => {
        failures = 0;
        last = message.id || last;
        tell(message, heard);
      }, () => heard.state?.(null, last === ''));
      failures = 0;
    } catch (error) {
      if (ended.aborted) return;
      // A query that is refused will be refused again: what is wrong is told, and nothing is tried until it changes.
      if (error instanceof ApiError && error.status === 400) {
        heard.state?.(error.message, false);
        return;
      }
      failures += 1;
      heard.state?.(isAbort(error) ? 'The stream has fallen silent.' : words(error), false);
    }
    await pause(waitAfter(failures), ended);
  }
}

/** After a stream that ended well the next begins soon; after failures each wait is twice as long, with some jitter. */
export function waitAfter(failures: number): number {
  const wait = Math.min(FIRST_WAIT_MS * 2 ** Math.max(0, failures - 1), LONGEST_WAIT_MS);
  return wait * (0.75 + Math.random() / 2);
}

async function readOnce(
  query: Query,
  last: string,
  ended: AbortSignal,
  onMessage: (message: Message) => void,
  onOpen: () => void,
): Promise<void> {
  const silent = new AbortController();
  const stop = (): void => silent.abort();
  ended.addEventListener('abort', stop);
  let timer = setTimeout(stop, SILENCE_MS);
  try {
    const headers: Record<string, string> = last ? { 'last-event-id': last } : {};
    const answer = await send(address('/api/v1/stream', query), { headers, signal: silent.signal });
    const reader = answer.body?.getReader();
    if (!reader) throw new Error('The stream has no body.');
    onOpen();
    const decoder = new TextDecoder();
    const parser = new Parser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(stop, SILENCE_MS);
      for (const message of parser.push(decoder.decode(value, { stream: true }))) onMessage(message);
    }
  } finally {
    clearTimeout(timer);
    ended.removeEventListener('abort', stop);
  }
}

function tell(message: Message, heard: Heard): void {
  const data: unknown = JSON.parse(message.data);
  if (message.event === 'event') heard.event?.(data as EventRow);
  else if (message.event === 'attempt') heard.attempt?.(data as AttemptRow);
  else if (message.event === 'lost') heard.lost?.(data as Lost);
}

function pause(ms: number, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    ended.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
