-- Runs tell how far they are, as tasks do; and a task's own address hears of progress only where it asks for it.
-- depends: 0021_events_progress

-- migrate: apply
ALTER TABLE runs ADD COLUMN told real NOT NULL DEFAULT 0; -- how far it was when that was told last
ALTER TABLE events ADD COLUMN parts jsonb; -- of a run: {task: [state, stage, progress]} as they were
UPDATE endpoints SET types = types || '{run.progress}'
WHERE dialect = 'ittybit' AND 'run.updated' = ANY(types) AND NOT 'run.progress' = ANY(types);

-- As in 0017, but a task's own address is told of progress only where it wants to be (extra: webhook_progress).
CREATE OR REPLACE FUNCTION deliver_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    made integer;
BEGIN
    WITH whom AS (
        SELECT n.project_id, e.id AS endpoint_id, e.id AS lane, NULL::text AS url, n.id, n.type, n.task_id, n.run_id
        FROM told n JOIN endpoints e ON e.project_id = n.project_id AND e.state = 'active'
        WHERE n.type NOT IN ('endpoint.test', 'prompt.webhook') AND e.types && ARRAY[n.type, '*']
          AND (e.only_of IS NULL
               OR (coalesce((SELECT t.kind FROM tasks t WHERE t.id = n.task_id), '') || ' ' || n.type = ANY(e.only_of)
                   AND NOT EXISTS (SELECT FROM tasks t WHERE t.id = n.task_id AND t.dialect = e.dialect
                                                         AND t.extra @> '{"webhook_only": true}')))
        UNION ALL
        SELECT n.project_id, NULL, 'task ' || left(lower(split_part(split_part(t.url, '://', 2), '/', 1)), 255), t.url,
               n.id, n.type, n.task_id, n.run_id
        FROM told n CROSS JOIN LATERAL (
            SELECT t.extra ->> 'webhook_url' AS url, t.extra @> '{"webhook_progress": true}' AS course
            FROM tasks t WHERE t.id = n.task_id OFFSET 0
        ) t
        WHERE t.url LIKE 'http%://_%'
          AND (n.type IN ('task.succeeded', 'task.failed', 'task.cancelled') OR n.type = 'task.progress' AND t.course)
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
ALTER TABLE events DROP COLUMN parts;
ALTER TABLE runs DROP COLUMN told;
