-- Workspaces that people sign up for themselves: their e-mail, and keys that wait until it is verified.
-- depends: 0017_endpoint_scopes

-- migrate: apply
ALTER TABLE keys ADD COLUMN inert boolean NOT NULL DEFAULT false;
ALTER TABLE projects ADD COLUMN email_verified boolean NOT NULL DEFAULT false;

CREATE TABLE signups (
    project_id text PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    email      text NOT NULL,
    code_hash  bytea NOT NULL,
    tries      integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX signups_email ON signups (email, created_at DESC);

-- migrate: rollback
DROP TABLE signups;
ALTER TABLE projects DROP COLUMN email_verified;
ALTER TABLE keys DROP COLUMN inert;
