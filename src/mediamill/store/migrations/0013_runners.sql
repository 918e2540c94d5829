-- Which runners of prompts a worker has.
-- depends: 0001_foundation

-- migrate: apply
ALTER TABLE workers ADD COLUMN runners text[] NOT NULL DEFAULT '{}';

-- migrate: rollback
ALTER TABLE workers DROP COLUMN runners;
