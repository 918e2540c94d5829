-- What links serve, by project and day.
-- depends: 0018_workspaces

-- migrate: apply
CREATE TABLE egress (
    project_id text NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    day        date NOT NULL,
    bytes      bigint NOT NULL,
    PRIMARY KEY (project_id, day)
);

-- migrate: rollback
DROP TABLE egress;
