-- Schedules, and what a task is grouped and found by: its schedule, its caller, its batch, its tags.
-- depends: 0004_runs 0006_media 0007_connections_automations 0008_reuse

-- migrate: apply
-- A cron rule that starts tasks of kind prompt. uuid is what dialects call the task it belongs to, token what they call
-- the schedule itself: a fresh one each time it is enabled. next_at is null while it is disabled, or never due again.
CREATE TABLE schedules (
    id           text PRIMARY KEY,
    uuid         uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    project_id   text NOT NULL,
    dialect      text NOT NULL,
    identifier   text NOT NULL,     -- what runs: the name of a runner
    title        text NOT NULL DEFAULT '',
    prompt       text,              -- null: the runner finds it by external_id
    cron         text NOT NULL,
    zone         text NOT NULL DEFAULT 'UTC',
    enabled      boolean DEFAULT true,
    model        text,
    artist_id    text,
    external_id  text,
    dedup_key    text,
    token        text UNIQUE,
    overlap      text NOT NULL DEFAULT 'queue' CHECK (overlap IN ('queue', 'skip', 'cancel')),
    missed       text NOT NULL DEFAULT 'last' CHECK (missed IN ('none', 'last', 'all')),
    missed_limit integer NOT NULL DEFAULT 100,
    settings     jsonb NOT NULL DEFAULT '{}', -- of each task it starts: attempts, limits, tags, metadata
    next_at      timestamptz,
    last_at      timestamptz,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 80);
CREATE INDEX schedules_list ON schedules (project_id, created_at DESC, id DESC);
CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL;
CREATE UNIQUE INDEX schedules_dedup ON schedules (project_id, dedup_key) WHERE dedup_key IS NOT NULL;

ALTER TABLE tasks
    ADD COLUMN identifier  text,        -- of a prompt: what runs it
    ADD COLUMN schedule_id text,
    ADD COLUMN due_at      timestamptz, -- the nominal instant of a firing
    ADD COLUMN caller_id   text,        -- the prompt whose function call asked for this task
    ADD COLUMN root_id     text,        -- the first of such callers
    ADD COLUMN depth       integer NOT NULL DEFAULT 0,
    ADD COLUMN batch_id    text,
    ADD COLUMN tags        text[] NOT NULL DEFAULT '{}',
    ADD COLUMN ttl_s       float8,
    ADD COLUMN expires_at  timestamptz, -- ends unstarted then
    ADD COLUMN hold        text CHECK (hold IN ('turn', 'runner')); -- why it has no queue entry yet
-- Each instant of a schedule fires once, whoever looks at the clock.
CREATE UNIQUE INDEX tasks_firing ON tasks (schedule_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX tasks_of_schedule ON tasks (schedule_id, created_at, id) WHERE schedule_id IS NOT NULL;
CREATE INDEX tasks_prompts ON tasks (project_id, created_at, id) WHERE identifier IS NOT NULL;
CREATE INDEX tasks_called ON tasks (caller_id) WHERE caller_id IS NOT NULL;
CREATE INDEX tasks_batch ON tasks (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX tasks_unstarted ON tasks (expires_at)
    WHERE expires_at IS NOT NULL AND state IN ('waiting', 'ingesting', 'delayed', 'queued');
CREATE INDEX tasks_held ON tasks (hold, schedule_id) WHERE hold IS NOT NULL;

-- migrate: rollback
ALTER TABLE tasks DROP COLUMN identifier, DROP COLUMN schedule_id, DROP COLUMN due_at, DROP COLUMN caller_id,
    DROP COLUMN root_id, DROP COLUMN depth, DROP COLUMN batch_id, DROP COLUMN tags, DROP COLUMN ttl_s,
    DROP COLUMN expires_at, DROP COLUMN hold;
DROP TABLE schedules;
