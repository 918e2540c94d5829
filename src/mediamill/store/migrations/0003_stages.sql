-- When each stage of an attempt began: [[name, seconds after its start], …].
-- depends: 0002_upload_parts

-- migrate: apply
ALTER TABLE attempts ADD COLUMN stages jsonb NOT NULL DEFAULT '[]';

-- migrate: rollback
ALTER TABLE attempts DROP COLUMN stages;
