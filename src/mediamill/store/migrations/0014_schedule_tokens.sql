-- Every token a schedule has had: who was told one goes on using it.
-- depends: 0009_schedules

-- migrate: apply
CREATE TABLE schedule_tokens (
    token       text PRIMARY KEY,
    schedule_id text NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    given_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX schedule_tokens_newest ON schedule_tokens (schedule_id, given_at DESC);
INSERT INTO schedule_tokens (token, schedule_id) SELECT token, id FROM schedules WHERE token IS NOT NULL;
CREATE FUNCTION keep_schedule_token() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO schedule_tokens (token, schedule_id) VALUES (NEW.token, NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER schedules_token_given AFTER INSERT OR UPDATE OF token ON schedules
    FOR EACH ROW WHEN (NEW.token IS NOT NULL) EXECUTE FUNCTION keep_schedule_token();

-- migrate: rollback
DROP TABLE schedule_tokens;
DROP TRIGGER schedules_token_given ON schedules;
DROP FUNCTION keep_schedule_token();
