-- Connections to buckets, stored workflows, and the new media that are to start them.
-- depends: 0003_stages

-- migrate: apply
-- secret: sealed with a key that is not in this database; key_id says with which.
CREATE TABLE connections (
    id            text PRIMARY KEY,
    project_id    text NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    kind          text NOT NULL CHECK (kind IN ('s3')),
    name          text NOT NULL,
    endpoint      text NOT NULL,
    region        text NOT NULL,
    access_key_id text NOT NULL,
    secret        bytea NOT NULL,
    key_id        text NOT NULL,
    is_default    boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX connections_list ON connections (project_id, created_at DESC, id DESC);
CREATE UNIQUE INDEX connections_default ON connections (project_id) WHERE is_default;

-- workflow: the items as the dialect's caller wrote them. trigger: null, or what starts it by itself. problem: why that
-- could not start it last time.
CREATE TABLE automations (
    id          text PRIMARY KEY,
    project_id  text NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    dialect     text NOT NULL,
    name        text,
    description text,
    workflow    jsonb NOT NULL,
    status      text NOT NULL CHECK (status IN ('active', 'paused')),
    trigger     jsonb,
    problem     text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX automations_list ON automations (project_id, created_at DESC, id DESC);
CREATE INDEX automations_triggered ON automations (project_id) WHERE status = 'active' AND trigger IS NOT NULL;

-- Written in the transaction in which a medium becomes known; gone once its run is there.
CREATE TABLE automation_starts (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    automation_id text NOT NULL REFERENCES automations (id) ON DELETE CASCADE,
    project_id    text NOT NULL,
    file_id       text NOT NULL,
    tries         integer NOT NULL DEFAULT 0,
    due_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX automation_starts_due ON automation_starts (due_at, id);

-- migrate: rollback
DROP TABLE automation_starts;
DROP TABLE automations;
DROP TABLE connections;
