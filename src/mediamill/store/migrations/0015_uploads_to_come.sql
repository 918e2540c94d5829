-- Tasks may wait for an upload that has been announced.
-- depends: 0014_schedule_tokens

-- migrate: apply
ALTER TABLE tasks DROP CONSTRAINT tasks_hold_check;
ALTER TABLE tasks ADD CONSTRAINT tasks_hold_check CHECK (hold IN ('turn', 'runner', 'upload'));

-- migrate: rollback
ALTER TABLE tasks DROP CONSTRAINT tasks_hold_check;
ALTER TABLE tasks ADD CONSTRAINT tasks_hold_check CHECK (hold IN ('turn', 'runner'));
