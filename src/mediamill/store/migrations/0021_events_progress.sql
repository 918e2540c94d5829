-- How far a task was, on the events that tell of it: an event is told as it was, however late.
-- depends: 0020_events_age

-- migrate: apply
ALTER TABLE events ADD COLUMN progress real;

-- migrate: rollback
ALTER TABLE events DROP COLUMN progress;
