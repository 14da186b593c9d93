CREATE TABLE invites ( -- open until accepted, revoked or past expires_at
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  email TEXT NOT NULL,      -- lower case
  role TEXT NOT NULL,
  token_hash TEXT NOT NULL UNIQUE, -- SHA-256; the token itself follows from the id and the installation's secret
  invited_by TEXT,
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  accepted_at BIGINT,
  revoked_at BIGINT
);
CREATE INDEX invites_by_age ON invites(organization_id, created_at, id);
