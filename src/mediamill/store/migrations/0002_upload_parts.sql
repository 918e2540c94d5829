-- The bytes of unfinished uploads lie among the blobs, so that any server may go on where another left off.
-- depends: 0001_foundation

-- migrate: apply
CREATE TABLE upload_parts (
    upload_id  text NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    start      bigint NOT NULL,
    blob_key   text NOT NULL,
    size_bytes bigint NOT NULL,
    sha256     text NOT NULL,
    PRIMARY KEY (upload_id, start)
);
CREATE INDEX upload_parts_blob ON upload_parts (blob_key);

-- migrate: rollback
DROP TABLE upload_parts;
