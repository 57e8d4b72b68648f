-- The tables of ingate. Times are milliseconds since 1970 in UTC, by the clock of this database, as instances keep it; what decides
-- who may do something is timestamptz, and compared by this database alone. Codes are those of the embedded store's records.
-- Texts that come from outside may hold a zero byte, which `text` cannot: they stand in columns of type json.

-- The processes that share this database.
CREATE TABLE ingate.instance (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    started_at bigint NOT NULL,
    heard_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    plan bigint,
    fingerprint bytea,
    targets text[] NOT NULL DEFAULT '{}'
);

-- What only one of them does at a time: `target:NAME`, `replay:ID`, `auto-revive`. It holds as long as its instance is not expired.
CREATE TABLE ingate.owner (
    task text PRIMARY KEY,
    instance bigint,
    down boolean NOT NULL DEFAULT false
);

-- Events, a partition for each day of their ids (UUIDv7), so that whole days are dropped. A purged one has no body.
CREATE TABLE ingate.event (
    id uuid NOT NULL,
    source text NOT NULL,
    received_at bigint NOT NULL,
    facts json NOT NULL,
    message bigint,
    size bigint NOT NULL,
    body bytea NOT NULL,
    purged_at bigint,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX event_message ON ingate.event (message) WHERE message IS NOT NULL;
-- What outlives its day, and what was made by a clock that is far off.
CREATE TABLE ingate.event_rest PARTITION OF ingate.event DEFAULT;

-- Attempts, in the day of their event.
CREATE TABLE ingate.attempt (
    event uuid NOT NULL,
    delivery uuid NOT NULL,
    seq integer NOT NULL,
    lease bigint,
    number integer NOT NULL,
    started_at bigint NOT NULL,
    took bigint NOT NULL,
    outcome json NOT NULL,
    sent json,
    PRIMARY KEY (event, delivery, seq)
) PARTITION BY RANGE (event);
CREATE TABLE ingate.attempt_rest PARTITION OF ingate.attempt DEFAULT;

-- Deliveries. `state`: 0 pending, 1 delivered, 2 dead, 3 discarded. `at`: when it is due; of others, since when. `held` ones
-- are due at 253402207200000, which no clock reaches. `ready`: it is the head of its line, or stands in none. `lease` is
-- the right to settle it, `holder` the instance that has it.
CREATE TABLE ingate.delivery (
    id uuid PRIMARY KEY,
    event uuid NOT NULL,
    route text NOT NULL,
    target text NOT NULL,
    state smallint NOT NULL,
    at bigint NOT NULL,
    reason smallint,
    attempts integer NOT NULL,
    started_at bigint NOT NULL,
    seq integer NOT NULL DEFAULT 0,
    order_key bytea,
    skip boolean NOT NULL DEFAULT false,
    rank bigint,
    ready boolean NOT NULL,
    mark json,
    lease bigint,
    holder bigint,
    frozen bytea,
    last_started bigint,
    last_took bigint,
    last_code integer,
    last_template bytea,
    had_success boolean NOT NULL DEFAULT false
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.05
);
-- The queue: what may be claimed, and nothing else.
CREATE INDEX delivery_due ON ingate.delivery (target, at, id) WHERE state = 0 AND ready AND lease IS NULL;
CREATE INDEX delivery_leased ON ingate.delivery (holder) WHERE lease IS NOT NULL;
CREATE INDEX delivery_event ON ingate.delivery (event);
CREATE INDEX delivery_pending ON ingate.delivery (target, id) INCLUDE (started_at) WHERE state = 0;
CREATE INDEX delivery_dead ON ingate.delivery (target, reason, id) WHERE state = 2;
CREATE INDEX delivery_held ON ingate.delivery (target) WHERE state = 0 AND at = 253402207200000;
-- Those that hold up the ones behind them, and those that are at the front.
CREATE INDEX delivery_line ON ingate.delivery (target, order_key, rank)
    WHERE order_key IS NOT NULL AND (state = 0 OR (state = 2 AND NOT skip));
CREATE INDEX delivery_front ON ingate.delivery (target, order_key)
    WHERE order_key IS NOT NULL AND (ready OR lease IS NOT NULL);

-- A row to lock while somebody changes who stands where in a line.
CREATE TABLE ingate.line (
    target text NOT NULL,
    key bytea NOT NULL,
    PRIMARY KEY (target, key)
) WITH (fillfactor = 70, autovacuum_vacuum_cost_delay = 0);
CREATE SEQUENCE ingate.rank;

-- Dedupe keys.
CREATE TABLE ingate.seen (
    key bytea PRIMARY KEY,
    body bytea NOT NULL,
    event uuid NOT NULL,
    expires_at bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX seen_expires ON ingate.seen (expires_at);

-- What operators did and want.
CREATE TABLE ingate.audit (id uuid PRIMARY KEY, at bigint NOT NULL, entry json NOT NULL);
CREATE TABLE ingate.plan (number bigint PRIMARY KEY, fingerprint bytea NOT NULL, since bigint NOT NULL);
CREATE TABLE ingate.pause (target text PRIMARY KEY, since bigint NOT NULL, who json NOT NULL);
CREATE TABLE ingate.replay (id uuid PRIMARY KEY, at bigint NOT NULL, running boolean NOT NULL, state json NOT NULL);
