-- Projects, keys, files, tasks, attempts, events, uploads.
-- depends:

-- migrate: apply
CREATE TABLE projects (
    id         text PRIMARY KEY,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE keys (
    id           text PRIMARY KEY,
    project_id   text NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name         text NOT NULL,
    role         text NOT NULL CHECK (role IN ('admin', 'member')),
    hash         bytea NOT NULL UNIQUE,
    hint         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at   timestamptz
);
CREATE INDEX keys_project ON keys (project_id, created_at DESC, id DESC);

CREATE TABLE files (
    id           text PRIMARY KEY,
    project_id   text NOT NULL,
    filename     text NOT NULL,
    mime         text NOT NULL,
    claimed_mime text,
    size_bytes   bigint NOT NULL,
    sha256       text,
    blob_key     text,
    state        text NOT NULL CHECK (state IN ('awaiting', 'ready', 'gone')),
    facts        jsonb NOT NULL DEFAULT '{}',
    public       boolean NOT NULL DEFAULT false,
    dialect      text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz,
    CHECK (state <> 'ready' OR blob_key IS NOT NULL)
);
CREATE INDEX files_list ON files (project_id, created_at DESC, id DESC) WHERE state <> 'gone';
CREATE INDEX files_expiry ON files (expires_at) WHERE state <> 'gone' AND expires_at IS NOT NULL;

CREATE TABLE runs (
    id         text PRIMARY KEY,
    project_id text NOT NULL,
    dialect    text NOT NULL,
    metadata   jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX runs_list ON runs (project_id, created_at DESC, id DESC);

-- inputs: [{"file": id?, "url": text?}, …]; outputs: [{"file": id, "role": text}, …]. Arrays on the row, so that a
-- task is accepted and finished by touching one row of this table, and lists join files only for what they show.
CREATE TABLE tasks (
    id               text PRIMARY KEY,
    project_id       text NOT NULL,
    run_id           text NOT NULL,
    kind             text NOT NULL,
    dialect          text NOT NULL,
    queue            text NOT NULL,
    state            text NOT NULL,
    stage            text,
    progress         real NOT NULL DEFAULT 0,
    label            text NOT NULL DEFAULT '',
    options          jsonb NOT NULL,
    extra            jsonb NOT NULL,
    metadata         jsonb,
    priority         integer NOT NULL,
    not_before       timestamptz,
    attempt          integer NOT NULL DEFAULT 0,
    attempts_left    integer NOT NULL,
    max_attempts     integer NOT NULL,
    fence            uuid,
    worker           text,
    cancel_requested boolean NOT NULL DEFAULT false,
    error            jsonb,
    details          jsonb NOT NULL DEFAULT '{}',
    inputs           jsonb NOT NULL,
    outputs          jsonb NOT NULL DEFAULT '[]',
    retry_of         text,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at       timestamptz,
    finished_at      timestamptz,
    CHECK (state IN ('waiting', 'ingesting', 'delayed', 'queued', 'running', 'succeeded', 'failed', 'cancelled')),
    CHECK ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled')))
) WITH (fillfactor = 70);
CREATE INDEX tasks_list ON tasks (project_id, created_at DESC, id DESC);
-- All columns in one direction, so that they are read backwards as well as forwards (see rows.list_tasks).
CREATE INDEX tasks_by_state ON tasks (project_id, state, created_at, id);
CREATE INDEX tasks_by_kind ON tasks (project_id, kind, created_at, id);
CREATE INDEX tasks_by_run ON tasks (run_id);

CREATE TABLE attempts (
    task_id     text NOT NULL,
    number      integer NOT NULL,
    worker      text NOT NULL,
    state       text NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled', 'lost')),
    stage       text,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    error       jsonb,
    log         text,
    PRIMARY KEY (task_id, number)
);

-- A caller's Idempotency-Key: the same key and body answers the same task.
CREATE TABLE idempotency (
    project_id text NOT NULL,
    scope      text NOT NULL,
    key        text NOT NULL,
    body_hash  bytea NOT NULL,
    task_id    text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, scope, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- The outbox: written in the transaction of the change it tells of.
CREATE TABLE events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id text NOT NULL,
    task_id    text,
    file_id    text,
    type       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX events_list ON events (project_id, id DESC);

-- Resumable uploads (tus). The bytes received so far lie in a partial file on the server that took them.
CREATE TABLE uploads (
    id           text PRIMARY KEY,
    project_id   text NOT NULL,
    file_id      text,
    length       bigint,
    received     bigint NOT NULL DEFAULT 0,
    metadata     text NOT NULL DEFAULT '',
    filename     text NOT NULL,
    mime         text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);
CREATE INDEX uploads_expiry ON uploads (expires_at);

CREATE TABLE workers (
    id         text PRIMARY KEY,
    host       text NOT NULL,
    pid        integer NOT NULL,
    queues     text[] NOT NULL,
    slots      integer NOT NULL,
    busy       integer NOT NULL DEFAULT 0,
    version    text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now()
);

-- Secrets of the install that all its servers share: what signs URLs.
CREATE TABLE secrets (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);

-- migrate: rollback
DROP TABLE secrets, workers, uploads, events, idempotency, attempts, tasks, runs, files, keys, projects;
