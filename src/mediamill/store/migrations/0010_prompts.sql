-- What prompts are listed by, and how long an idempotency key is kept.
-- depends: 0009_schedules

-- migrate: apply
ALTER TABLE idempotency ADD COLUMN expires_at timestamptz; -- null: a day after it was written
CREATE INDEX idempotency_expiry ON idempotency (expires_at) WHERE expires_at IS NOT NULL;

-- The tags of tasks again, so that a list by tag walks one index in the list's own order, however rare the tag is.
CREATE TABLE task_tags (
    project_id text NOT NULL,
    tag        text NOT NULL,
    created_at timestamptz NOT NULL, -- the task's
    task_id    text NOT NULL,
    PRIMARY KEY (project_id, tag, created_at, task_id)
);
-- As store.prompts words it: all of a status but what changes with a stage or with time.
CREATE INDEX tasks_prompts_by_word ON tasks (
    project_id,
    (CASE WHEN state = 'failed' AND error ->> 'code' IN ('crashed', 'interrupted', 'system_failure', 'expired',
                                                         'timed_out') THEN error ->> 'code'
          WHEN state = 'waiting' AND hold = 'runner' THEN 'unserved'
          WHEN state IN ('queued', 'delayed') AND attempt > 0 THEN 'reattempting'
          ELSE state END),
    created_at, id
) WHERE identifier IS NOT NULL;
CREATE INDEX tasks_prompts_by_identifier ON tasks (project_id, identifier, created_at, id)
    WHERE identifier IS NOT NULL;
CREATE INDEX tasks_prompts_as_test ON tasks (project_id, created_at, id)
    WHERE identifier IS NOT NULL AND extra #>> '{prompt,is_test}' = 'true';
-- The few of a schedule that have not ended, among however many that have.
CREATE INDEX tasks_of_schedule_open ON tasks (schedule_id, created_at, id)
    WHERE schedule_id IS NOT NULL AND state IN ('waiting', 'ingesting', 'delayed', 'queued', 'running');

-- migrate: rollback
DROP INDEX tasks_of_schedule_open, tasks_prompts_as_test, tasks_prompts_by_identifier, tasks_prompts_by_word;
DROP TABLE task_tags;
DROP INDEX idempotency_expiry;
ALTER TABLE idempotency DROP COLUMN expires_at;
