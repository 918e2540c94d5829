-- Accounts: what dialects call a project, and the organisations in which projects see each other's schedules.
-- depends: 0009_schedules

-- migrate: apply
ALTER TABLE projects ADD COLUMN account_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(), ADD COLUMN email text;

CREATE TABLE organisations (
    id         text PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Its members reach every account.
INSERT INTO organisations (id, name) VALUES ('goperators', 'operators');

CREATE TABLE members (
    organisation_id text NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id      text NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    PRIMARY KEY (organisation_id, project_id)
);
CREATE INDEX members_of_project ON members (project_id);

-- migrate: rollback
DROP TABLE members;
DROP TABLE organisations;
ALTER TABLE projects DROP COLUMN account_id, DROP COLUMN email;
