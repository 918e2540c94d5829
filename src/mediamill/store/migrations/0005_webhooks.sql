-- Endpoints and deliveries. An event makes its deliveries in its own transaction.
-- depends: 0004_runs

-- migrate: apply
CREATE TABLE endpoints (
    id              text PRIMARY KEY,
    project_id      text NOT NULL,
    dialect         text NOT NULL,
    name            text NOT NULL DEFAULT '',
    url             text NOT NULL,
    origin          text,        -- scheme and host of the links it is sent; as its maker addressed us
    topics          text[] NOT NULL,
    types           text[] NOT NULL,
    state           text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'disabled')),
    reason          text,
    secret          bytea NOT NULL,
    old_secret      bytea,       -- signs beside the new one for a while after a rotation
    old_until       timestamptz,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX endpoints_project ON endpoints (project_id, created_at, id);

-- The queue of what is to be told, and its history. attempts counts every attempt begun and is the fence: only the
-- attempt of that number may write how it ended. step counts those that were answered, well or not: the ladder's rung.
-- While an attempt is under way, next_attempt_at is when it counts as lost.
CREATE TABLE deliveries (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id      text NOT NULL,
    endpoint_id     text,        -- null: an address that the task named
    lane            text NOT NULL,
    url             text,        -- null: the endpoint's, as it is when it is tried
    event_id        bigint NOT NULL,
    type            text NOT NULL,
    task_id         text,
    run_id          text,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed', 'disabled')),
    attempts        integer NOT NULL DEFAULT 0,
    step            integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status          integer,
    error           text,
    replay_of       bigint,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 80);
CREATE INDEX deliveries_due ON deliveries (lane, next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_next ON deliveries (next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_list ON deliveries (project_id, id);
CREATE INDEX deliveries_endpoint ON deliveries (endpoint_id, id) WHERE endpoint_id IS NOT NULL;
CREATE INDEX deliveries_task ON deliveries (task_id, id) WHERE task_id IS NOT NULL;
CREATE INDEX deliveries_event ON deliveries (event_id);
CREATE INDEX deliveries_age ON deliveries (updated_at) WHERE state IN ('delivered', 'failed');

CREATE TABLE delivery_attempts (
    delivery_id      bigint NOT NULL,
    number           integer NOT NULL,
    url              text NOT NULL,
    started_at       timestamptz NOT NULL,
    took_s           real NOT NULL,
    request_headers  jsonb NOT NULL,
    request_body     bytea NOT NULL,
    status           integer,
    response_headers jsonb NOT NULL,
    response_body    bytea NOT NULL,
    error            text,
    PRIMARY KEY (delivery_id, number)
);

-- Whom an event is told to: the project's active endpoints that want its type, and the address the task named, once,
-- when it ends. A test goes where it was sent only. Whoever delivers is woken when there is anything.
CREATE FUNCTION deliver_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    made integer;
BEGIN
    WITH whom AS (
        SELECT n.project_id, e.id AS endpoint_id, e.id AS lane, NULL::text AS url, n.id, n.type, n.task_id, n.run_id
        FROM told n JOIN endpoints e ON e.project_id = n.project_id AND e.state = 'active'
        WHERE n.type <> 'endpoint.test' AND e.types && ARRAY[n.type, '*']
        UNION ALL
        SELECT n.project_id, NULL, 'task ' || left(lower(split_part(split_part(t.url, '://', 2), '/', 1)), 255), t.url,
               n.id, n.type, n.task_id, n.run_id
        FROM told n CROSS JOIN LATERAL (
            -- OFFSET 0: looked up by key, one by one; a plan made while the table was small must not read all of it.
            SELECT t.extra ->> 'webhook_url' AS url FROM tasks t WHERE t.id = n.task_id OFFSET 0
        ) t
        WHERE n.type IN ('task.succeeded', 'task.failed', 'task.cancelled') AND t.url LIKE 'http%://_%'
    )
    INSERT INTO deliveries (project_id, endpoint_id, lane, url, event_id, type, task_id, run_id)
    SELECT project_id, endpoint_id, lane, url, id, type, task_id, run_id FROM whom ORDER BY id;
    GET DIAGNOSTICS made = ROW_COUNT;
    IF made > 0 THEN
        PERFORM pg_notify('mediamill_webhooks', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER deliver_events AFTER INSERT ON events REFERENCING NEW TABLE AS told
    FOR EACH STATEMENT EXECUTE FUNCTION deliver_events();

-- migrate: rollback
DROP TRIGGER deliver_events ON events;
DROP FUNCTION deliver_events;
DROP TABLE delivery_attempts, deliveries, endpoints;
