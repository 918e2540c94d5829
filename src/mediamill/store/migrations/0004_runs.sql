-- Runs of more than one task: which task waits for which, and how the whole stands.
-- depends: 0003_stages

-- migrate: apply
ALTER TABLE tasks
    ADD COLUMN parent_id text,     -- whose `next` it is, as the caller wrote it
    ADD COLUMN after_id  text,     -- whose success lets it go; often the parent, sometimes a sibling
    ADD COLUMN inherits  boolean NOT NULL DEFAULT false, -- takes what that task made as its first input
    ADD COLUMN place     integer,  -- in the run's order; null for a task alone in its run
    ADD COLUMN ref       text;
CREATE INDEX tasks_after ON tasks (after_id) WHERE after_id IS NOT NULL;

ALTER TABLE runs
    ADD COLUMN state            text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'running', 'succeeded', 'failed', 'cancelled')),
    ADD COLUMN cancel_requested boolean NOT NULL DEFAULT false,
    ADD COLUMN created_by       text,
    ADD COLUMN extra            jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN error            jsonb,
    ADD COLUMN started_at       timestamptz,
    ADD COLUMN finished_at      timestamptz,
    ADD COLUMN updated_at       timestamptz NOT NULL DEFAULT clock_timestamp();
UPDATE runs r SET
    state = CASE WHEN t.state IN ('succeeded', 'failed', 'cancelled') THEN t.state
                 WHEN t.started_at IS NULL THEN 'waiting' ELSE 'running' END,
    error = CASE WHEN t.state = 'failed' THEN t.error END,
    started_at = t.started_at, finished_at = t.finished_at, updated_at = t.updated_at
FROM tasks t WHERE t.run_id = r.id;
CREATE INDEX runs_by_state ON runs (project_id, state, created_at, id);
ALTER TABLE runs SET (fillfactor = 80);

ALTER TABLE events ADD COLUMN run_id text;

-- migrate: rollback
ALTER TABLE events DROP COLUMN run_id;
DROP INDEX runs_by_state;
ALTER TABLE runs DROP COLUMN state, DROP COLUMN cancel_requested, DROP COLUMN created_by, DROP COLUMN extra,
    DROP COLUMN error, DROP COLUMN started_at, DROP COLUMN finished_at, DROP COLUMN updated_at;
ALTER TABLE tasks DROP COLUMN parent_id, DROP COLUMN after_id, DROP COLUMN inherits, DROP COLUMN place, DROP COLUMN ref;
