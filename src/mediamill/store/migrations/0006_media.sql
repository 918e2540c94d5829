-- Media: files that belong together, an original and what was made of it; and files by the path they were put at.
-- depends: 0003_stages

-- migrate: apply
CREATE TABLE media (
    id         text PRIMARY KEY,
    project_id text NOT NULL,
    title      text,
    alt        text,
    metadata   jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX media_list ON media (project_id, created_at DESC, id DESC);

ALTER TABLE files
    ADD COLUMN media_id   text,
    ADD COLUMN task_id    text,   -- that made it, or that is to fetch it
    ADD COLUMN made_by    text,   -- the kind of that task
    ADD COLUMN folder     text,
    ADD COLUMN ref        text,
    ADD COLUMN original   boolean NOT NULL DEFAULT false,
    ADD COLUMN metadata   jsonb,
    ADD COLUMN created_by text;
CREATE INDEX files_of_media ON files (media_id, created_at, id) WHERE media_id IS NOT NULL AND state <> 'gone';
CREATE INDEX files_in_media ON files (project_id, created_at DESC, id DESC)
    WHERE media_id IS NOT NULL AND state <> 'gone';
CREATE INDEX files_by_name ON files (project_id, filename, created_at DESC)
    WHERE media_id IS NOT NULL AND state = 'ready';
CREATE INDEX files_of_task ON files (task_id) WHERE task_id IS NOT NULL;

-- What was answered to a POST with an Idempotency-Key; status 0: the request is still at work.
CREATE TABLE replies (
    project_id text NOT NULL,
    scope      text NOT NULL,
    key        text NOT NULL,
    body_hash  bytea NOT NULL,
    status     integer NOT NULL DEFAULT 0,
    body       bytea,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, scope, key)
);
CREATE INDEX replies_age ON replies (claimed_at);

-- migrate: rollback
DROP TABLE replies, media;
DROP INDEX files_of_task, files_by_name, files_in_media, files_of_media;
ALTER TABLE files DROP COLUMN media_id, DROP COLUMN task_id, DROP COLUMN made_by, DROP COLUMN folder,
    DROP COLUMN ref, DROP COLUMN original, DROP COLUMN metadata, DROP COLUMN created_by;
