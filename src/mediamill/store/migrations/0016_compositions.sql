-- Compositions: scenes that are kept and edited, the version counted up by each batch of edits.
-- depends: 0015_uploads_to_come

-- migrate: apply
CREATE TABLE compositions (
    id         text PRIMARY KEY,
    project_id text NOT NULL,
    name       text NOT NULL DEFAULT '',
    version    integer NOT NULL DEFAULT 1,
    request    jsonb NOT NULL,
    author     text NOT NULL DEFAULT 'user' CHECK (author IN ('user', 'agent')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at timestamptz
);
CREATE INDEX compositions_list ON compositions (project_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;

-- migrate: rollback
DROP TABLE compositions;
