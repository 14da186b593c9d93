-- A zip becomes a project. While an import runs, its project (of the same id) belongs to the organization 00000000-0000-0000-0000-000000000000.
CREATE TABLE zip_imports (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  name TEXT NOT NULL,  -- of the project
  description TEXT,
  wanted_format TEXT,  -- as asked for; NULL: any
  format TEXT,         -- as recognised
  status TEXT NOT NULL DEFAULT 'pending', -- pending, processing, completed, failed, cancelled
  progress BIGINT NOT NULL DEFAULT 0,     -- percent
  image_count BIGINT NOT NULL DEFAULT 0,
  annotation_count BIGINT NOT NULL DEFAULT 0,
  taken BIGINT NOT NULL DEFAULT 0,    -- lines of zip_import_files, by outcome
  mended BIGINT NOT NULL DEFAULT 0,
  left_out BIGINT NOT NULL DEFAULT 0,
  error_message TEXT,
  object TEXT,         -- the archive, while it is needed
  created_by TEXT,
  created_at BIGINT NOT NULL,
  completed_at BIGINT
);
CREATE INDEX zip_imports_by_age ON zip_imports(organization_id, created_at, id);
CREATE INDEX zip_imports_by_object ON zip_imports(object);

CREATE TABLE zip_import_files ( -- the report
  import_id TEXT NOT NULL REFERENCES zip_imports(id) ON DELETE CASCADE,
  sequence BIGINT NOT NULL,
  file TEXT NOT NULL,
  outcome TEXT NOT NULL, -- taken, mended, left_out
  annotation_count BIGINT NOT NULL,
  message TEXT,
  PRIMARY KEY (import_id, sequence)
) WITHOUT ROWID;
