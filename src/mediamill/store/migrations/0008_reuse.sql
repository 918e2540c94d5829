-- Results by what made them: the same bytes, kind, options and tools answer from the earlier task.
-- depends: 0004_runs

-- migrate: apply
CREATE TABLE results (
    project_id text NOT NULL,
    key        bytea NOT NULL,
    task_id    text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, key)
);
CREATE INDEX results_age ON results (created_at);
ALTER TABLE projects ADD COLUMN reuse boolean NOT NULL DEFAULT true;

-- migrate: rollback
ALTER TABLE projects DROP COLUMN reuse;
DROP TABLE results;
