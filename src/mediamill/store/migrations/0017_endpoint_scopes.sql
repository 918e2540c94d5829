-- Endpoints that want events of some kinds of task only; addresses that stand in for endpoints; progress as an event.
-- depends: 0012_steps 0016_compositions

-- migrate: apply
ALTER TABLE endpoints ADD COLUMN only_of text[]; -- "kind type", kind empty where an event is of no task; null: any

-- As in 0012; besides, an endpoint may want some kinds only, and a task's own address may stand in for the endpoints of
-- its dialect (extra: webhook_only), which then hears of progress too.
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
            SELECT t.extra ->> 'webhook_url' AS url FROM tasks t WHERE t.id = n.task_id OFFSET 0
        ) t
        WHERE n.type IN ('task.succeeded', 'task.failed', 'task.cancelled', 'task.progress') AND t.url LIKE 'http%://_%'
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
ALTER TABLE endpoints DROP COLUMN only_of;
