// Calls of the API. Every failure is an `ApiError` with the words of the door, or ours where no answer came.
import { token } from './token';
import type * as T from './types';

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** What stood in the answer, where it was JSON; a refused reload is a report, not an `Error`. */
    readonly body: unknown = null,
  ) {
    super(message);
  }
}

export type Query = Record<string, string | number | boolean | null | undefined>;

export function address(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') params.set(name, String(value));
  }
  const text = params.toString();
  return text ? `${path}?${text}` : path;
}

/** A request with the token, where there is one. Throws an `ApiError` unless the answer is 2xx. */
export async function send(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const held = token.get();
  if (held) headers.set('authorization', `Bearer ${held}`);
  let answer: Response;
  try {
    answer = await fetch(url, { ...init, headers, cache: 'no-store', credentials: 'omit', redirect: 'error' });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, 'unreachable', 'The daemon does not answer. Is it running?');
  }
  if (answer.ok) return answer;
  const failure = await failureOf(answer);
  if (answer.status === 401) token.ask();
  throw failure;
}

async function failureOf(answer: Response): Promise<ApiError> {
  const text = await answer.text().catch(() => '');
  try {
    const body: unknown = JSON.parse(text);
    const error = (body as Partial<T.Error>).error;
    if (error) return new ApiError(answer.status, error.code, error.message, body);
    const report = body as Partial<T.ReloadReport>;
    return new ApiError(answer.status, 'refused', report.text ?? `The door answers ${answer.status}.`, body);
  } catch {
    return new ApiError(answer.status, 'unknown', `The door answers ${answer.status}, in words that are no JSON.`);
  }
}

async function get<A>(path: string, query?: Query, signal?: AbortSignal): Promise<A> {
  const answer = await send(address(path, query), { signal: signal ?? null });
  return (await answer.json()) as A;
}

async function post<A>(path: string, body?: unknown, headers: Record<string, string> = {}, method = 'POST'): Promise<A> {
  const init: RequestInit = { method, headers };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...headers, 'content-type': 'application/json' };
  }
  return (await (await send(path, init)).json()) as A;
}

const v1 = '/api/v1';
const at = (kind: string, id: string, more = ''): string => `${v1}/${kind}/${encodeURIComponent(id)}${more}`;

export const api = {
  overview: (signal?: AbortSignal) => get<T.Overview>(`${v1}/overview`, {}, signal),
  fleet: (signal?: AbortSignal) => get<T.Fleet>(`${v1}/fleet`, {}, signal),
  series: (query: Query, signal?: AbortSignal) => get<T.Series>(`${v1}/series`, query, signal),

  events: (query: Query, signal?: AbortSignal) => get<T.EventPage>(`${v1}/events`, query, signal),
  event: (id: string, signal?: AbortSignal) => get<T.Event>(at('events', id), {}, signal),
  /** The body as text, byte for byte; bytes that are no UTF-8 are shown as such. */
  eventBody: async (id: string, signal?: AbortSignal): Promise<string> =>
    (await send(at('events', id, '/body'), { signal: signal ?? null })).text(),
  retryEvent: (id: string, body: T.EventRetry) => post<T.EventRetried>(at('events', id, '/retry'), body),

  deliveries: (query: Query, signal?: AbortSignal) => get<T.DeliveryPage>(`${v1}/deliveries`, query, signal),
  delivery: (id: string, signal?: AbortSignal) => get<T.DeliveryWithAttempts>(at('deliveries', id), {}, signal),
  deliveryBody: (id: string, signal?: AbortSignal) => get<T.DeliveryBody>(at('deliveries', id, '/body'), {}, signal),
  retryDelivery: (id: string, mode: 'frozen' | 'rerender') =>
    post<T.Delivery>(address(at('deliveries', id, '/retry'), { mode })),
  discardDelivery: (id: string) => post<T.Delivery>(at('deliveries', id, '/discard')),
  dead: (signal?: AbortSignal) => get<T.DeadGroupPage>(`${v1}/dead`, {}, signal),

  replays: (query: Query, signal?: AbortSignal) => get<T.ReplayPage>(`${v1}/replays`, query, signal),
  replay: (id: string, signal?: AbortSignal) => get<T.Replay>(at('replays', id), {}, signal),
  previewReplay: (body: T.ReplayRequest) => post<T.ReplayPreview>(`${v1}/replays`, { ...body, dry_run: true }),
  startReplay: (body: T.ReplayRequest) => post<T.Replay>(`${v1}/replays`, body),
  cancelReplay: (id: string) => post<T.Replay>(at('replays', id, '/cancel')),

  targets: (signal?: AbortSignal) => get<T.TargetPage>(`${v1}/targets`, {}, signal),
  pause: (name: string) => post<T.Target>(at('targets', name, '/pause')),
  resume: (name: string) => post<T.Target>(at('targets', name, '/resume')),
  probe: (name: string) => post<T.Probe>(at('targets', name, '/probe')),
  sources: (signal?: AbortSignal) => get<T.SourcePage>(`${v1}/sources`, {}, signal),
  failures: (name: string, signal?: AbortSignal) =>
    get<T.FailedVerificationPage>(at('sources', name, '/failures'), {}, signal),
  routes: (signal?: AbortSignal) => get<T.RoutePage>(`${v1}/routes`, {}, signal),
  reload: () => post<T.ReloadReport>(`${v1}/reload`),
  audit: (query: Query, signal?: AbortSignal) => get<T.AuditPage>(`${v1}/audit`, query, signal),

  templates: (signal?: AbortSignal) => get<T.TemplatePage>(`${v1}/templates`, {}, signal),
  template: (name: string, signal?: AbortSignal) => get<T.Template>(at('templates', name), {}, signal),
  /** Replaces the text that had this etag; `null` makes a new file. */
  saveTemplate: (name: string, text: string, etag: string | null) =>
    post<T.TemplateSaved>(
      at('templates', name),
      { text } satisfies T.TemplateText,
      etag === null ? { 'if-none-match': '*' } : { 'if-match': `"${etag}"` },
      'PUT',
    ),
  render: (body: T.RenderRequest) => post<T.RenderResult>(`${v1}/render`, body),
  complete: (body: T.CompleteRequest) => post<T.Completion>(`${v1}/complete`, body),
  samples: (signal?: AbortSignal) => get<T.SamplePage>(`${v1}/samples`, {}, signal),
  sample: (id: string, signal?: AbortSignal) => get<T.Sample>(at('samples', id), {}, signal),
  saveSample: (body: T.SampleNew) => post<T.Sample>(`${v1}/samples`, body),
};

/** What to tell a person of any failure. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === 'AbortError';
