// Made from src/admin/openapi.yaml by `npm run types`. Do not edit.

export type Name = string;

export type TypeGlob = string;

export type TemplateName = string;

export type SampleId = string;

/** An opaque place in the stream of one life of the process. */
export type StreamId = string;

export type Sha256 = string;

/** A count from 1 to 1000000, a slash, `s`, `m` or `h`. */
export type Rate = string;

export type State = "pending" | "delivered" | "dead" | "discarded";

export type DeadReason = "not_json" | "loop" | "render" | "sign" | "gone" | "exhausted" | "route_gone";

export type Failure = "dns" | "connect" | "tls" | "timeout" | "closed" | "protocol" | "egress" | "token";

export type BreakerState = "closed" | "open" | "half_open";

/** `frozen`: the same bytes. `rerender`: the template in force. `reroute`: the event through the routes in force. */
export type ReplayMode = "frozen" | "rerender" | "reroute";

/** Why a body is not whole: `values` of it are left out, or it is not shown at all. */
export type Redacted = "values" | "not_json" | "source_gone";

export type Error = {
  error: {
    code: ErrorCode;
    /** For people. */
    message: string;
  };
};

/** For programs. */
export type ErrorCode = "bad_body" | "bad_host" | "bad_query" | "body_too_large" | "body_too_slow" | "busy" | "certificate_needed" | "changed" | "damaged" | "editing_off" | "exists" | "foreign_origin" | "hidden" | "malformed" | "method_not_allowed" | "no_cases" | "no_configuration_file" | "not_found" | "precondition_needed" | "purged" | "shut" | "unauthorized" | "unavailable" | "wrong_host" | "wrong_state";

export type Live = {
  live: true;
};

export type Ready = {
  /** Whether events are taken. */
  ready: boolean;
  /** Why they are not; empty if they are. */
  reasons: string[];
};

export type Fleet = {
  items: Instance[];
  next: null;
  /** Whether several instances can share the store. */
  shared: boolean;
  /** Whether any instance differs. */
  differs: boolean;
};

export type Instance = {
  /** A later one has a higher; an instance that is started anew is another one. */
  id: number;
  /** The host's name, unless the configuration says another. */
  name: string;
  /** Whether it is the instance that answers. */
  this: boolean;
  /** Of its program. */
  version: string;
  started_at: string;
  /** How long ago it was heard of last. */
  silent_seconds: number;
  /** What it goes by; null if it has not told yet. */
  plan: InstancePlan | null;
  /** Whether it goes by another configuration than the one that came into force last among the instances. Compared are all files that a configuration was made of, with their paths. */
  differs: boolean;
  /** Targets to which it makes the attempts. */
  targets: Name[];
  /** Those of them that it takes to be down. */
  down: Name[];
};

export type InstancePlan = {
  generation: number;
  /** A hash of all files that the configuration was made of. */
  fingerprint: string;
};

export type FleetCount = {
  /** That share the store, this one included. */
  instances: number;
  /** Those that go by another configuration than the one that came into force last. */
  differing: number;
};

export type Overview = {
  /** Of the daemon. */
  version: string;
  /** What ages are measured by. */
  now: string;
  started_at: string;
  /** As `/readyz` says. */
  ready: boolean;
  reasons: string[];
  /** Whether templates and samples may be saved. */
  edit_templates: boolean;
  plan: PlanInForce;
  /** The last load since the start; null if there was none. */
  last_reload: LastReload | null;
  /** Over all sources. */
  in: InCounts;
  /** Over all targets. */
  out: OutCounts;
  /** Over all targets, those that are not in the configuration included. */
  pending: number;
  dead: number;
  /** When the oldest pending delivery was created or last revived. */
  oldest_pending_at: string | null;
  replays_running: number;
  fleet: FleetCount;
  sources: Source[];
  targets: Target[];
};

export type PlanInForce = {
  /** Counts the configurations that came into force, over restarts too. */
  generation: number;
  since: string;
};

export type LastReload = {
  at: string;
  /** `signal`, `watch`, or who asked. */
  trigger: string;
  /** Whether it came into force; otherwise the older configuration is in force. */
  applied: boolean;
  /** What came of it, in words. */
  text: string;
};

/** Requests at the public door within the last minute. */
export type InCounts = {
  /** Over how many seconds; fewer than a minute after the start. */
  seconds: number;
  /** Events that verified, duplicates and unmatched ones included. */
  received: number;
  duplicates: number;
  unmatched: number;
  unverified: number;
  /** Refused for any other reason. */
  refused: number;
};

/** Attempts that ended within the last minute. */
export type OutCounts = {
  /** Over how many seconds; fewer than a minute after the start. */
  seconds: number;
  succeeded: number;
  failed: number;
};

/** Columns, oldest first; null where nothing is known: before the start, or because the column is not of what was asked for. */
export type Series = {
  window: "1h" | "24h";
  step_seconds: 10 | 300;
  /** Of which source; null of all. */
  source: Name | null;
  /** Of which target; null of all. */
  target: Name | null;
  /** The end of each step, in seconds since 1970. */
  times: number[];
  /** Events that verified. */
  received: Counts;
  unverified: Counts;
  /** Attempts. */
  succeeded: Counts;
  /** Attempts. */
  failed: Counts;
  mean_attempt_seconds: Gauges;
  /** At the end of the step. */
  pending: Counts;
  /** At the end of the step. */
  dead: Counts;
  /** At the end of the step. */
  oldest_pending_seconds: Gauges;
};

export type Counts = Array<number | null>;

export type Gauges = Array<number | null>;

export type Lost = {
  /** How many, before filters; null if that is not known. */
  missed: number | null;
};

export type EventPage = {
  items: EventRow[];
  next: string | null;
};

export type EventRow = {
  id: string;
  /** The source that it came in by. */
  source: Name;
  /** The sender's id of it. */
  message_id: string | null;
  /** What happened, in the sender's words. */
  type: string;
  received_at: string;
  /** Of its body. */
  size_bytes: number;
  /** When its data was purged. */
  purged_at: string | null;
  /** Ids; none means that no route took it. */
  deliveries: string[];
};

export type Event = {
  id: string;
  source: Name;
  /** The sender's id of it. */
  message_id: string | null;
  type: string;
  received_at: string;
  /** How many relays it had passed through. */
  hops: number;
  /** In the order they came, without those that carry credentials. */
  headers: Header[];
  size_bytes: number;
  /** Not there if the body is whole. */
  body_redacted?: Redacted;
  /** The body, where that is JSON and may be shown. */
  body?: unknown;
  /** The body, where that is not JSON and may be shown. */
  body_base64?: string;
  /** Null for an event that an older version has stored. */
  verified: Verification | null;
  routing: Routing;
  deliveries: DeliveryWithAttempts[];
};

export type Header = {
  /** In lower case in answers. */
  name: string;
  value: string;
};

export type Verification = {
  /** The preset, or `custom`. */
  scheme: string;
  /** Which of the source's secrets has matched; 0 was the newest then. */
  secret: number;
  /** By how much its timestamp was ahead of our clock; null if it has none. */
  skew_seconds: number | null;
  /** Whether the signature covers the message id. */
  message_id_covered: boolean;
};

/** What each route says to the event. Which took it is kept, in the deliveries; why others did not is found by the
 * configuration in force now. */
export type Routing = {
  /** The configuration by which it was routed; null for an event that an older version has stored. */
  generation: number | null;
  /** The configuration by which `routes` is told. */
  now: number;
  /** Whether both are the same. */
  same: boolean;
  routes: RouteAnswer[];
};

export type RouteAnswer = {
  route: Name;
  takes: boolean;
  /** Why not; null if it takes it. */
  why: "source" | "pattern" | null;
  /** With `pattern`: what does not match, e.g. `body.data.status`. */
  field: string | null;
  /** With `pattern`: what the route wants there. */
  wanted: string | null;
  /** With `pattern`: what the event has there; null if nothing. */
  found: string | null;
};

export type EventRetry = {
  mode?: ReplayMode;
  /** Only deliveries to this target; to all unless given. */
  target?: Name | null;
};

export type EventRetried = {
  event: string;
  /** Never empty, but for an event that no route takes now. */
  deliveries: Delivery[];
};

export type Purged = {
  event: string;
  /** Of one that was purged before, then. */
  purged_at: string;
  /** How many of its deliveries were pending or dead. */
  discarded: number;
  /** How many records of the journal were emptied. */
  records: number;
};

export type DeliveryPage = {
  items: Delivery[];
  next: string | null;
};

export type DeliveryFields = {
  /** What the target sees as `webhook-id`. */
  id: string;
  event: string;
  source: Name;
  /** Of the event. */
  type: string;
  route: Name;
  target: Name;
  state: State;
  /** When the next attempt is due; null unless it is pending and waits for nothing else. */
  due_at: string | null;
  /** What it waits for to be in the configuration again. */
  waits_for: "target" | "route" | null;
  /** Since when it is delivered, dead or discarded; null while it is pending. */
  ended_at: string | null;
  /** Why it is dead; null unless it is. */
  reason: DeadReason | null;
  /** Since it was created or revived. */
  attempts_made: number;
  /** When it was created or last revived. */
  started_at: string;
  last_attempt: LastAttempt | null;
  /** By what it was last taken up again; null if never. */
  replay: ReplayMark | null;
};

export type Delivery = DeliveryFields;

export type DeliveryWithAttempts = DeliveryFields & {
  /** Those that are still kept, oldest first. */
  attempts: Attempt[];
};

export type LastAttempt = {
  started_at: string;
  took_seconds: number;
  ok: boolean;
  /** The HTTP status; null if no whole answer came. */
  status: number | null;
  result: Result;
};

/** `status 503`, a failure, or why nothing could be sent. */
export type Result = string;

export type ReplayMark = {
  /** The replay; null if it was retried by itself. */
  job: string | null;
  mode: ReplayMode;
  /** The delivery in whose place it was made; null if it is no new one. */
  of: string | null;
};

export type Attempt = {
  /** Counts from 1 each time the delivery is revived. */
  number: number;
  started_at: string;
  took_seconds: number;
  outcome: Outcome;
  /** The configuration in force; null in records of older versions. */
  plan_generation: number | null;
  /** Of the template, with its partials, that has made or was to make the body; null if none or not known. */
  template_hash: Sha256 | null;
  /** Rendered for this attempt, kept from an earlier one, or the event's own; null if nothing was sent or it is not known. */
  body_from: "rendered" | "frozen" | "unchanged" | null;
  /** Of the bytes that were sent. */
  body_sha256: Sha256 | null;
};

export type Outcome = Answered | Failed | Unsendable;

export type Answered = {
  kind: "answered";
  status: number;
  /** How long the target asked us to wait. */
  retry_after_seconds: number | null;
  /** The start of the response body, as text. */
  snippet: string;
};

/** No whole answer came. */
export type Failed = {
  kind: "failed";
  failure: Failure;
  /** The error in words. */
  detail: string;
};

/** Nothing could be sent. */
export type Unsendable = {
  kind: "unsendable";
  reason: DeadReason;
  /** The error in words, with the place in the template where there is one. */
  detail: string;
};

export type DeliveryBody = {
  delivery: string;
  event: string;
  /** Kept from an attempt, rendered now, or the event's own. */
  from: "frozen" | "rendered" | "unchanged";
  /** Whether it is byte for byte what the last attempt sent; null if nothing was sent or that is not known. */
  exact: boolean | null;
  /** The route's template now; null if it has none or is gone. */
  template: TemplateName | null;
  /** Of the template that has made it. */
  template_hash: Sha256 | null;
  content_type: string | null;
  /** Of the body before anything is hidden. */
  size_bytes: number | null;
  /** That values are left out. */
  body_redacted: "values" | null;
  /** The body, where that is UTF-8 text. */
  body: string | null;
  /** The body, where that is not text. */
  body_base64: string | null;
  /** Why it does not render; then there is no body. */
  error: Marker | null;
};

export type AttemptPage = {
  items: AttemptRow[];
  next: StreamId | null;
};

/** An attempt without its words; those stand with the delivery. */
export type AttemptRow = {
  id: StreamId;
  delivery: string;
  event: string;
  source: Name;
  type: string;
  route: Name;
  target: Name;
  number: number;
  started_at: string;
  took_seconds: number;
  ok: boolean;
  status: number | null;
  result: Result;
  /** What the delivery became. */
  state: "pending" | "delivered" | "dead";
  /** When the next attempt is due; null unless it is pending. */
  due_at: string | null;
};

export type DeadGroupPage = {
  items: DeadGroup[];
  next: null;
};

export type DeadGroup = {
  target: Name;
  reason: DeadReason;
  count: number;
  /** When the oldest of the deliveries was created. */
  oldest_created_at: string;
  newest_created_at: string;
  /** The newest of them. */
  newest: string;
  /** What its last attempt says: the error, or the start of the answer; null if it made none. */
  detail: string | null;
};

/** All that is given must hold. With `reroute` it is of events, and `states`, `reason`, `route`, `stale_template` are refused; with the
 * others it is of deliveries, and `unmatched` is refused. */
export type ReplayFilter = {
  source?: Name;
  type?: TypeGlob;
  message_id?: string;
  /** Only of this event. */
  event?: string;
  route?: Name;
  /** With `reroute`: only deliveries to this target are made. */
  target?: Name;
  /** Of which states; dead alone unless given. */
  states?: State[];
  reason?: DeadReason;
  /** Only those that died rendering with another version of their route's template than the one in force. An attempt whose version is not known counts. */
  stale_template?: true;
  /** Only events that no route took. */
  unmatched?: true;
  since?: string;
  until?: string;
};

export type ReplayRequest = {
  filter: ReplayFilter;
  mode?: ReplayMode;
  /** How many are taken up in a unit of time; as many as there are unless given. The targets' own limits hold in any case. */
  rate?: Rate | null;
  /** Whether only to say what it would be. */
  dry_run?: boolean;
};

export type ReplayPreview = {
  dry_run: true;
  mode: ReplayMode;
  /** With what was filled in. */
  filter: ReplayFilter;
  /** How many deliveries; with `reroute` how many events. */
  count: number;
  /** Whether all were counted; if not, there are more. */
  complete: boolean;
  /** The same by target; empty with `reroute`. */
  by_target: Array<{
    target: Name;
    count: number;
  }>;
  /** Some of them, newest first; none with `reroute`. */
  deliveries: Delivery[];
  /** With `reroute`, some of the events. */
  events: EventRow[];
};

export type ReplayPage = {
  items: Replay[];
  next: string | null;
};

export type Replay = {
  id: string;
  created_at: string;
  /** Who asked for it; `auto` for a route with `revive: auto`. */
  created_by: string;
  mode: ReplayMode;
  /** With what was filled in. */
  filter: ReplayFilter;
  rate: Rate | null;
  state: "running" | "done" | "cancelled" | "failed";
  /** How many there were when it began; null if too many to count. */
  total: number | null;
  /** How many it has gone through; `done` of `total` is the progress. */
  done: number;
  /** Deliveries that were made pending again. */
  revived: number;
  /** New deliveries. */
  created: number;
  /** Those that were changed, purged or let go meanwhile, or that no route takes. */
  skipped: number;
  /** Those that could not be taken up. */
  failed: number;
  finished_at: string | null;
  /** Why it failed. */
  error: string | null;
};

export type TargetPage = {
  items: Target[];
  next: null;
};

export type Target = {
  name: Name;
  /** Scheme, host, port and path; a query may hold what is not to be shown. */
  url: string;
  /** Most attempts at a time. */
  concurrency: number;
  /** Most attempts in a unit of time. */
  rate: Rate | null;
  /** Whether its deliveries are ordered by a value of the body. */
  order: boolean;
  /** Null if it is off. */
  breaker: Breaker | null;
  /** Attempts under way. */
  running: number;
  pending: number;
  dead: number;
  /** When the oldest pending delivery was created or last revived. */
  oldest_pending_at: string | null;
  /** How long one attempt may take. */
  timeout_seconds: number;
  paused: Pause | null;
  /** How requests are signed; null if they are not. */
  sign: Signing | null;
  /** How it is told who we are; null if it is not. */
  auth: Auth | null;
  /** Routes that go to it, in the order of the configuration. */
  routes: Name[];
  last_minute: OutCounts;
  /** The instance that makes the attempts. Null where the store is not shared, or while none does. Where it is another one, `running` and `last_minute` are of this instance, and of the breaker only the state is known, `open` or `closed`. */
  owner: Owner | null;
};

export type Owner = {
  id: number;
  name: string;
  /** Whether it is the instance that answers. */
  this: boolean;
};

export type Breaker = {
  state: BreakerState;
  /** Since when it is closed; while it is not, when it opened. Null before the target is served. */
  since: string | null;
  /** When the next probe is made, or as soon after as a delivery is due; null unless it is open. */
  next_probe_at: string | null;
  /** Since the last attempt that did not fail, probes included. */
  consecutive_failures: number;
  /** `status 503`, or the failure, e.g. `timeout`. */
  last_failure: string | null;
};

export type Pause = {
  since: string;
  /** Who paused it. */
  by: string;
};

export type Signing = {
  /** The preset, or `custom`. */
  scheme: string;
  /** Newest first. */
  secrets: SecretName[];
};

export type Auth = {
  kind: "basic" | "bearer" | "api_key" | "oauth2";
  secret: SecretName;
};

/** Where a secret comes from; never the secret. */
export type SecretName = {
  from: "env" | "file" | "credential" | "value";
  /** The variable, file or credential; null for one that stands in the configuration itself. */
  name: string | null;
};

export type Probe = {
  target: Name;
  at: string;
  reachable: boolean;
  took_seconds: number;
  /** At which step; null if it is reachable. */
  failure: Failure | null;
  /** The error in words; null if it is reachable. */
  detail: string | null;
  /** Whether the breaker was open, and lets the next delivery that is due be tried at once. False where `owner` is another instance: ask that one. */
  hurried: boolean;
  /** The instance that makes the attempts, whose breaker it is; null where the store is not shared, or while none does. */
  owner: Owner | null;
};

export type SourcePage = {
  items: Source[];
  next: null;
};

export type Source = {
  name: Name;
  /** The path that it listens on. */
  path: string;
  /** The preset, or `custom`; of several ways, `any of` or `all of` their names. */
  scheme: string;
  /** Way by way, newest first; all of a way are accepted. */
  secrets: SecretName[];
  /** Null if it is off. */
  dedupe: Dedupe | null;
  /** JSON pointers to what is not shown. */
  redact: string[];
  /** Routes that take from it, in the order of the configuration. */
  routes: Name[];
  last_minute: InCounts;
  /** Requests that failed verification since the start. */
  failures: number;
  last_failure_at: string | null;
  /** Until when it waits for a secret that is handed over; null if it does not. */
  armed_until: string | null;
  /** Topics of which a subscription waits to be confirmed, oldest first. */
  unconfirmed: string[];
};

export type Arm = {
  /** For how long, such as `10m`; an hour at most. */
  for?: string | null;
};

export type Dedupe = {
  by: "id" | "body";
  for_seconds: number;
};

export type FailedVerificationPage = {
  items: FailedVerification[];
  next: null;
};

export type FailedVerification = {
  at: string;
  reason: VerifyReason;
  /** The same in words, without anything that was sent. */
  detail: string;
  /** The address that it came from. */
  client: string;
  /** The HTTP method; `other` for one that is not common. */
  method: string;
  /** Of the body as it came. */
  size_bytes: number;
  /** With `timestamp_out_of_tolerance`: by how much its timestamp was ahead of our clock. */
  skew_seconds: number | null;
  /** Names of its headers, in lower case; no values. */
  headers: string[];
};

export type VerifyReason = "missing_signature" | "no_signature" | "bad_encoding" | "signature_mismatch" | "duplicate_header" | "duplicate_field" | "missing_id" | "bad_id" | "bad_type" | "missing_timestamp" | "bad_timestamp" | "timestamp_out_of_tolerance" | "missing_part" | "missing_url" | "empty_secret" | "wrong_token" | "no_challenge" | "not_armed" | "bad_certificate" | "no_certificate" | "address_not_allowed";

export type RoutePage = {
  items: Route[];
  next: null;
};

export type Route = {
  name: Name;
  from: Name[];
  /** All must hold; none takes every event. */
  match: Rule[];
  /** Null if the body goes on unchanged. */
  template: TemplateName | null;
  /** Of the template in force, with its partials; as in attempts. */
  template_hash: Sha256 | null;
  /** The file of the schema that the output must fit. */
  schema: string | null;
  to: Name[];
  /** How many tests it declares. */
  tests: number;
  /** Whether it has a folder of cases, so that samples can be saved. */
  cases: boolean;
  /** Whether what died rendering is taken up again by itself once the template has changed. */
  revive: "manual" | "auto";
};

export type Rule = {
  /** `type`, `headers.x-region`, `body.data.status` */
  field: string;
  /** What must stand there, as it is written. */
  wanted: string;
};

export type ReloadReport = {
  at: string;
  /** `signal`, `watch`, or who asked. */
  trigger: string;
  /** Whether the new configuration is in force; if not, the old one is. */
  applied: boolean;
  tests_skipped: boolean;
  errors: Diagnostic[];
  /** Tests of routes that fail, each with what differs. */
  failed_tests: string[];
  warnings: Diagnostic[];
  /** Settings that come into force at the next start only. */
  needs_restart: string[];
  env_secrets: EnvSecret[];
  /** All of it in words. */
  text: string;
};

export type Diagnostic = {
  file: string;
  /** From 1; 0 if the place is the file as a whole. */
  line: number;
  /** In characters from 1; 0 if the place is the file as a whole. */
  column: number;
  /** The path in the configuration, `routes[2].to[0]`; empty for the whole. */
  path: string;
  message: string;
  help: string | null;
};

export type EnvSecret = {
  /** Its path in the configuration. */
  path: string;
  variable: string;
};

export type AuditPage = {
  items: AuditEntry[];
  next: string | null;
};

export type AuditEntry = {
  id: string;
  at: string;
  /** Who. */
  actor: string;
  /** What was done. */
  action: string;
  /** To what. */
  subject: string;
  /** Whether it was done; otherwise it was refused or failed. */
  ok: boolean;
  /** What came of it, in words. */
  detail: string;
};

export type TemplatePage = {
  items: TemplateRow[];
  next: null;
};

export type TemplateFields = {
  name: TemplateName;
  /** Of the file; what a save compares. */
  etag: Sha256;
  size_bytes: number;
  /** Routes that name it; none for a partial. */
  routes: Name[];
  /** Of the template in force, with its partials; as in attempts. Null if no route names it. */
  hash: Sha256 | null;
  /** Whether the text on disk is the one in force; null if no route names it. */
  in_force: boolean | null;
  /** Of the one in force; null if no route names it. */
  verdict: Verdict | null;
};

export type TemplateRow = TemplateFields;

export type Template = TemplateFields & {
  /** As it stands on disk. */
  text: string;
  /** The text in force where that is another one. */
  deployed_text: string | null;
};

export type TemplateText = {
  /** The whole file; at most 1 MiB. */
  text: string;
};

export type TemplateSaved = {
  name: TemplateName;
  etag: Sha256;
  reload: ReloadReport;
};

/** What to try on: a stored event, a saved sample, or a body that is given. */
export type SampleRef = {
  event: string;
} | {
  sample: SampleId;
} | {
  /** JSON text. */
  body: string;
  headers?: Header[];
  /** By which source it comes in; that tells where type and message id are. Without one the type is `type` of the body. */
  source?: Name;
  /** The type of the event where the body does not tell it. */
  type?: string;
};

export type RenderRequest = {
  /** The template text. */
  text: string;
  /** The template that this is a version of: what markers call it, and what is compared. */
  name?: TemplateName | null;
  /** What `route` is in the template, and whose schema must fit; unless given the first route that names the template. */
  route?: Name | null;
  /** What `target` is in the template; unless given the first of the route. */
  target?: Name | null;
  sample: SampleRef;
};

export type RenderResult = {
  /** One JSON value, compact; text, so that numbers stay as they are. Null if it does not compile or render. */
  output: string | null;
  /** Where it does not compile or render. */
  error: Marker | null;
  /** What was mended in this output. */
  repairs: Marker[];
  /** What holds for every payload; null if it does not compile. */
  proof: Proof | null;
  /** The schema that the output was held against. */
  schema: string | null;
  /** What of the output does not fit it. */
  misfits: Misfit[];
  /** Whether values of the sample are hidden and were rendered as such. */
  redacted: boolean;
  /** What the template in force makes of the same sample; null if no route names it. */
  deployed: Deployed | null;
  /** From the output of the template in force to this one; empty if they are the same, null if one is missing. */
  diff: DiffLine[] | null;
};

export type Deployed = {
  hash: Sha256;
  output: string | null;
  error: Marker | null;
};

export type DiffLine = {
  /** `more`: so many lines more are not told. */
  kind: "place" | "same" | "deployed" | "new" | "more";
  text: string;
};

/** A place in a template and what is to say of it. */
export type Marker = {
  /** The name of the template, or of a partial that it calls. */
  file: string;
  line: number;
  /** In characters (code points). */
  column: number;
  /** Of what is marked, in characters; may reach over the end of the line. */
  length: number;
  message: string;
  /** What would be right. */
  help: string | null;
  /** Who says so: the language, or the writer because it would not be one JSON value. */
  cause: "template" | "output";
};

export type Verdict = "proven" | "proven_with_repairs" | "checked_at_run_time" | "never_valid";

export type Proof = {
  verdict: Verdict;
  /** Where the output can fail to be valid. */
  findings: Finding[];
  /** What can need mending. */
  repairs: Marker[];
  /** What else can fail on some payload: filters, comparisons. */
  may_fail: Marker[];
};

export type Finding = {
  marker: Marker;
  /** The way that leads there; null if every way does. */
  way: string | null;
  /** A payload that fails, tried, as JSON text; null if none was found. */
  counter_example: string | null;
};

export type Misfit = {
  /** Where in the output, as a JSON pointer; empty for the whole. */
  at: string;
  /** Which rule, as a JSON pointer into the schema. */
  rule: string;
  message: string;
};

export type CompleteRequest = {
  sample: SampleRef;
};

export type Completion = {
  /** Of `payload`, `event`, `headers`, `vars`, `route`, `target`. */
  paths: CompletionPath[];
  /** Whether there are more paths. */
  more: boolean;
  filters: string[];
  tags: string[];
};

export type CompletionPath = {
  /** As it is written in a template; items of arrays are `[0]`. */
  path: string;
  kind: "null" | "boolean" | "number" | "string" | "array" | "object";
  /** What stands there, as JSON text, cut; null for arrays and objects. */
  example: string | null;
};

export type SamplePage = {
  items: SampleRow[];
  next: null;
};

export type SampleFields = {
  /** The same as long as route and file are. */
  id: SampleId;
  route: Name;
  /** The file of the body as the configuration names it. */
  name: string;
  size_bytes: number;
  /** Whether it says what must come out. */
  test: boolean;
};

export type SampleRow = SampleFields;

export type Sample = SampleFields & {
  /** The text of the file. */
  body: string;
  headers: Header[];
  /** The JSON that must come out, as text. */
  expected: string | null;
};

export type SampleNew = {
  route: Name;
  /** Of the files, without an ending. */
  name: Name;
  /** JSON text. */
  body: string;
  headers?: Header[];
  /** The JSON that must come out, as text; without it this is a sample only. */
  expected?: string | null;
};
