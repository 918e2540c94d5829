-- What agents did, step by step; webhooks whose body a run gave.
-- depends: 0005_webhooks 0010_prompts 0011_accounts

-- migrate: apply
-- A model call or a function call of a task of kind prompt, written before it takes effect and again when it is over.
-- said: a model's answer as far as it has come, for those who begin to listen in its middle.
CREATE TABLE steps (
    task_id           text NOT NULL,
    number            integer NOT NULL,
    attempt           integer NOT NULL,
    kind              text NOT NULL CHECK (kind IN ('model', 'call')),
    name              text NOT NULL,
    request           jsonb NOT NULL,
    state             text NOT NULL CHECK (state IN ('begun', 'done', 'failed')),
    result            jsonb,
    said              text,
    prompt_tokens     integer NOT NULL DEFAULT 0,
    completion_tokens integer NOT NULL DEFAULT 0,
    cost_cents        float8 NOT NULL DEFAULT 0,
    started_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at       timestamptz,
    PRIMARY KEY (task_id, number)
) WITH (fillfactor = 80);

-- Posted as it is; null: the event in the words of the receiver's dialect.
ALTER TABLE deliveries ADD COLUMN body jsonb;

-- As in 0005, but that what a run sends goes to the address it names, and to no endpoint.
CREATE OR REPLACE FUNCTION deliver_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    made integer;
BEGIN
    WITH whom AS (
        SELECT n.project_id, e.id AS endpoint_id, e.id AS lane, NULL::text AS url, n.id, n.type, n.task_id, n.run_id
        FROM told n JOIN endpoints e ON e.project_id = n.project_id AND e.state = 'active'
        WHERE n.type NOT IN ('endpoint.test', 'prompt.webhook') AND e.types && ARRAY[n.type, '*']
        UNION ALL
        SELECT n.project_id, NULL, 'task ' || left(lower(split_part(split_part(t.url, '://', 2), '/', 1)), 255), t.url,
               n.id, n.type, n.task_id, n.run_id
        FROM told n CROSS JOIN LATERAL (
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

-- migrate: rollback
ALTER TABLE deliveries DROP COLUMN body;
DROP TABLE steps;
