CREATE TABLE imports ( -- the source's key is in no row: it lives in memory
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  provider TEXT NOT NULL,   -- v7, roboflow
  status TEXT NOT NULL DEFAULT 'processing',
  error_message TEXT,
  created_by TEXT,
  created_at BIGINT NOT NULL,
  completed_at BIGINT
);
CREATE TABLE import_datasets (
  import_id TEXT NOT NULL REFERENCES imports(id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  remote_id TEXT NOT NULL,
  remote_name TEXT NOT NULL,
  workspace TEXT NOT NULL,  -- team or workspace of the source
  version BIGINT,           -- Roboflow: of this version's export; NULL: the project's own images
  project_id TEXT REFERENCES projects(id) ON DELETE SET NULL,
  name TEXT NOT NULL,       -- of the project here
  status TEXT NOT NULL DEFAULT 'pending',
  total_images BIGINT NOT NULL,
  imported BIGINT NOT NULL DEFAULT 0,
  failed BIGINT NOT NULL DEFAULT 0,
  error TEXT,
  PRIMARY KEY (import_id, position)
) WITHOUT ROWID;
CREATE INDEX import_datasets_by_project ON import_datasets(project_id);
CREATE INDEX import_datasets_by_remote ON import_datasets(remote_id);
CREATE TABLE imported_images ( -- what of a source is in a project already
  project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
  remote_id TEXT NOT NULL,
  PRIMARY KEY (project_id, remote_id)
) WITHOUT ROWID;
CREATE TABLE import_failures (
  sequence INTEGER PRIMARY KEY,
  import_id TEXT NOT NULL REFERENCES imports(id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  filename TEXT NOT NULL,
  reason TEXT NOT NULL
);
CREATE INDEX import_failures_by_import ON import_failures(import_id, position);
CREATE TABLE import_left_out ( -- annotations without a form here
  import_id TEXT NOT NULL REFERENCES imports(id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  annotation_count BIGINT NOT NULL,
  PRIMARY KEY (import_id, kind)
) WITHOUT ROWID;
