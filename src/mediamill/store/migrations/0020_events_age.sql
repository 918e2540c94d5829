-- Old events are found by their age; they lie in its order, so that a summary of each few pages is enough.
-- depends: 0019_egress

-- migrate: apply
CREATE INDEX events_age ON events USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);

-- migrate: rollback
DROP INDEX events_age;
