-- Times are milliseconds since 1970 (UTC), ids are UUIDs as text, booleans 0 or 1. What is derived can be rebuilt by `pictographd check`.
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE organizations (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  slug TEXT NOT NULL UNIQUE,
  tier TEXT NOT NULL DEFAULT 'enterprise',
  billing_email TEXT,
  monthly_allowance BIGINT NOT NULL,
  credits_reset_at BIGINT,
  image_count BIGINT NOT NULL DEFAULT 0,   -- derived: all images, archived included
  storage_bytes BIGINT NOT NULL DEFAULT 0, -- derived
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT, created_at BIGINT NOT NULL);

CREATE TABLE members (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users(id),
  role TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (organization_id, user_id)
);

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  user_id TEXT REFERENCES users(id),
  name TEXT NOT NULL,
  prefix TEXT NOT NULL,        -- first 12 characters
  secret_hash TEXT NOT NULL,   -- bcrypt, cost 12
  role TEXT NOT NULL,
  rate_limit BIGINT,           -- own hourly cap; NULL: the tier's
  is_active INTEGER NOT NULL DEFAULT 1,
  revoked_at BIGINT,
  expires_at BIGINT,
  last_used_at BIGINT,
  generation BIGINT NOT NULL DEFAULT 1, -- grows with every change that matters to authorization
  created_by TEXT,
  created_at BIGINT NOT NULL
);
CREATE INDEX api_keys_by_prefix ON api_keys(prefix);
CREATE INDEX api_keys_by_organization ON api_keys(organization_id, created_at, id);

CREATE TABLE credit_ledger (
  sequence INTEGER PRIMARY KEY, -- order of booking
  id TEXT NOT NULL UNIQUE,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  operation TEXT NOT NULL,
  amount BIGINT NOT NULL,
  balance_after BIGINT NOT NULL, -- sum of the amounts up to here; the newest row holds the balance
  description TEXT,
  metadata TEXT,                -- JSON object
  created_at BIGINT NOT NULL
);
CREATE INDEX credit_ledger_by_organization ON credit_ledger(organization_id, sequence);

CREATE TABLE prompt_sessions ( -- one per (organization, image): the first prompt costs 3, later ones 1
  organization_id TEXT NOT NULL,
  image_id TEXT NOT NULL,
  last_prompt_at BIGINT NOT NULL,
  PRIMARY KEY (organization_id, image_id)
);

CREATE TABLE objects (sha256 TEXT PRIMARY KEY, md5 TEXT NOT NULL, size BIGINT NOT NULL, created_at BIGINT NOT NULL);

CREATE TABLE discarded_objects ( -- what deletions let go: removed by the sweep once it is certain that nothing names the bytes
  sha256 TEXT PRIMARY KEY,
  discarded_at BIGINT NOT NULL
);

CREATE TABLE uploads ( -- signed PUT addresses and what arrived there
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  project_id TEXT NOT NULL,
  kind TEXT NOT NULL DEFAULT 'image',
  folder TEXT NOT NULL,
  filename TEXT NOT NULL,
  content_type TEXT NOT NULL,
  maximum_bytes BIGINT NOT NULL,
  object TEXT,             -- sha256 once the PUT was complete
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX uploads_by_object ON uploads(object);
CREATE INDEX uploads_by_age ON uploads(created_at);

CREATE TABLE projects (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  description TEXT,
  annotation_types TEXT NOT NULL, -- JSON array
  classes TEXT NOT NULL,          -- JSON array of {name, type, color}, in the user's order
  prompted_labels TEXT NOT NULL DEFAULT '[]', -- JSON array of {name, type}: labels that prompts returned and a save may add
  image_count BIGINT NOT NULL DEFAULT 0,           -- derived, not archived
  completed_image_count BIGINT NOT NULL DEFAULT 0, -- derived, not archived
  total_size BIGINT NOT NULL DEFAULT 0,            -- derived, bytes, not archived
  archived_images BIGINT NOT NULL DEFAULT 0,       -- derived
  created_by TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (organization_id, name)
);
CREATE INDEX projects_by_age ON projects(organization_id, created_at, id);

CREATE TABLE images (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
  folder TEXT NOT NULL,   -- '/' or '/cars/night', never a trailing slash
  filename TEXT NOT NULL,
  stage TEXT NOT NULL DEFAULT 'new', -- new, annotate, review, complete
  is_archived INTEGER NOT NULL DEFAULT 0,
  annotation_count BIGINT NOT NULL DEFAULT 0, -- derived
  object TEXT NOT NULL REFERENCES objects(sha256),
  file_size BIGINT NOT NULL,
  md5 TEXT NOT NULL,
  mime_type TEXT NOT NULL,
  width BIGINT,  -- pixels after EXIF rotation
  height BIGINT,
  display_name TEXT,
  created_by TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX images_by_place ON images(project_id, folder, filename) WHERE is_archived = 0;
CREATE INDEX images_by_name ON images(project_id, filename);
CREATE INDEX images_by_stage ON images(project_id, is_archived, stage);
CREATE INDEX images_by_object ON images(object);

CREATE TABLE annotation_documents ( -- one row an image: the document as it is served
  image_id TEXT PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE,
  document TEXT NOT NULL, -- JSON array in the contract's form
  updated_at BIGINT NOT NULL
);
CREATE TABLE image_classes ( -- derived: annotations per image and label, so that statistics and class removal parse nothing
  project_id TEXT NOT NULL,
  label TEXT NOT NULL,
  image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
  annotation_count BIGINT NOT NULL,
  PRIMARY KEY (project_id, label, image_id)
) WITHOUT ROWID;
CREATE INDEX image_classes_by_image ON image_classes(image_id);

CREATE TABLE exports (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  format TEXT NOT NULL,
  include_images INTEGER NOT NULL,
  class_filter TEXT, -- JSON array
  status_filter TEXT,
  status TEXT NOT NULL DEFAULT 'pending',
  error_message TEXT,
  object TEXT,
  file_size BIGINT,
  md5 TEXT,
  image_count BIGINT,
  annotation_count BIGINT,
  annotated_image_count BIGINT, -- images of the snapshot with at least one annotation after class_filter: training wants five
  created_by TEXT,
  created_at BIGINT NOT NULL,
  completed_at BIGINT,
  UNIQUE (project_id, name)
);
CREATE INDEX exports_by_age ON exports(organization_id, created_at, id);

CREATE INDEX exports_unfinished ON exports(project_id) WHERE status IN ('pending', 'processing');

-- What an export sees is its project as it was at the export's creation. Nothing is copied then: whoever changes an image or its document while an
-- export is unfinished first keeps the old state here, by the triggers below; what is not here is as it was. Rows go once the export is built.
CREATE TABLE export_snapshots (
  export_id TEXT NOT NULL REFERENCES exports(id) ON DELETE CASCADE,
  image_id TEXT NOT NULL,
  is_member INTEGER NOT NULL, -- 0: it was not there, or archived
  folder TEXT,
  filename TEXT,
  width BIGINT,
  height BIGINT,
  stage TEXT,
  object TEXT,
  document TEXT, -- NULL without annotations
  PRIMARY KEY (export_id, image_id)
) WITHOUT ROWID;
CREATE INDEX export_snapshots_by_place ON export_snapshots(export_id, folder, filename);
CREATE INDEX export_snapshots_by_object ON export_snapshots(object);
CREATE TRIGGER export_keeps_changed_image BEFORE UPDATE ON images BEGIN
  INSERT INTO export_snapshots (export_id, image_id, is_member, folder, filename, width, height, stage, object, document)
  SELECT e.id, OLD.id, 1 - OLD.is_archived, OLD.folder, OLD.filename, OLD.width, OLD.height, OLD.stage, OLD.object,
         (SELECT document FROM annotation_documents WHERE image_id = OLD.id)
  FROM exports e WHERE e.project_id = OLD.project_id AND e.status IN ('pending', 'processing') ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER export_keeps_removed_image BEFORE DELETE ON images BEGIN
  INSERT INTO export_snapshots (export_id, image_id, is_member, folder, filename, width, height, stage, object, document)
  SELECT e.id, OLD.id, 1 - OLD.is_archived, OLD.folder, OLD.filename, OLD.width, OLD.height, OLD.stage, OLD.object,
         (SELECT document FROM annotation_documents WHERE image_id = OLD.id)
  FROM exports e WHERE e.project_id = OLD.project_id AND e.status IN ('pending', 'processing') ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER export_skips_new_image AFTER INSERT ON images BEGIN
  INSERT INTO export_snapshots (export_id, image_id, is_member)
  SELECT e.id, NEW.id, 0 FROM exports e WHERE e.project_id = NEW.project_id AND e.status IN ('pending', 'processing') ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER export_keeps_changed_document BEFORE UPDATE ON annotation_documents BEGIN
  INSERT INTO export_snapshots (export_id, image_id, is_member, folder, filename, width, height, stage, object, document)
  SELECT e.id, i.id, 1 - i.is_archived, i.folder, i.filename, i.width, i.height, i.stage, i.object, OLD.document
  FROM images i JOIN exports e ON e.project_id = i.project_id
  WHERE i.id = OLD.image_id AND e.status IN ('pending', 'processing') ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER export_keeps_removed_document BEFORE DELETE ON annotation_documents BEGIN
  INSERT INTO export_snapshots (export_id, image_id, is_member, folder, filename, width, height, stage, object, document)
  SELECT e.id, i.id, 1 - i.is_archived, i.folder, i.filename, i.width, i.height, i.stage, i.object, OLD.document
  FROM images i JOIN exports e ON e.project_id = i.project_id
  WHERE i.id = OLD.image_id AND e.status IN ('pending', 'processing') ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER export_skips_new_document AFTER INSERT ON annotation_documents BEGIN
  INSERT INTO export_snapshots (export_id, image_id, is_member, folder, filename, width, height, stage, object)
  SELECT e.id, i.id, 1 - i.is_archived, i.folder, i.filename, i.width, i.height, i.stage, i.object
  FROM images i JOIN exports e ON e.project_id = i.project_id
  WHERE i.id = NEW.image_id AND e.status IN ('pending', 'processing') ON CONFLICT DO NOTHING;
END;

CREATE TABLE training_runs (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  project_id TEXT,   -- outlives its project
  dataset_name TEXT NOT NULL,
  export_id TEXT,
  export_name TEXT NOT NULL,
  export_object TEXT NOT NULL, -- trains on these bytes even after the export is gone
  name TEXT NOT NULL,
  pipeline_type TEXT NOT NULL,
  gpu_type TEXT NOT NULL,
  config TEXT NOT NULL, -- JSON object as sent
  status TEXT NOT NULL DEFAULT 'pending',
  progress BIGINT NOT NULL DEFAULT 0,
  current_epoch BIGINT NOT NULL DEFAULT 0,
  total_epochs BIGINT,
  metrics TEXT NOT NULL DEFAULT '{}',
  eta_seconds BIGINT,
  estimated_minutes BIGINT NOT NULL,
  credits_charged BIGINT NOT NULL,
  credits_refunded BIGINT NOT NULL DEFAULT 0,
  error_message TEXT,
  model_id TEXT,
  created_by TEXT,
  created_at BIGINT NOT NULL,
  started_at BIGINT,
  completed_at BIGINT
);
CREATE INDEX training_runs_by_age ON training_runs(organization_id, created_at, id);

CREATE TABLE models (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT,
  model_type TEXT NOT NULL,
  architecture TEXT,
  visibility TEXT NOT NULL DEFAULT 'private',
  status TEXT NOT NULL,
  metrics TEXT,       -- JSON object
  class_mapping TEXT, -- JSON object, index to name
  version TEXT NOT NULL DEFAULT '1.0.0',
  parent_model_id TEXT,
  project_id TEXT,
  training_run_id TEXT,
  object TEXT,
  file_size BIGINT,
  md5 TEXT,
  input_size TEXT,    -- JSON array
  created_by TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX models_by_age ON models(organization_id, created_at, id);

CREATE TABLE annotation_batches (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  project_id TEXT REFERENCES projects(id) ON DELETE SET NULL,
  dataset_name TEXT NOT NULL,
  model_id TEXT,
  classes TEXT NOT NULL, -- JSON array as sent
  confidence_threshold DOUBLE PRECISION NOT NULL,
  status TEXT NOT NULL DEFAULT 'pending',
  total_images BIGINT NOT NULL,
  processed_images BIGINT NOT NULL DEFAULT 0,
  failed_images BIGINT NOT NULL DEFAULT 0,
  annotations_added BIGINT NOT NULL DEFAULT 0,
  credits_reserved BIGINT NOT NULL,
  credits_charged BIGINT,
  error_message TEXT,
  created_by TEXT,
  created_at BIGINT NOT NULL,
  completed_at BIGINT
);
CREATE TABLE annotation_batch_images (
  batch_id TEXT NOT NULL REFERENCES annotation_batches(id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  image_id TEXT NOT NULL,
  image_filename TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending', -- pending, processed, failed
  reason TEXT,
  PRIMARY KEY (batch_id, position)
) WITHOUT ROWID;

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  organization_id TEXT NOT NULL,
  project_id TEXT,
  payload TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending', -- pending, running; a finished job has no row
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  attempt BIGINT NOT NULL DEFAULT 0,
  leased_by TEXT,
  lease_until BIGINT, -- while pending: not before this instant
  created_at BIGINT NOT NULL
);
CREATE INDEX jobs_by_state ON jobs(state, created_at, id);
CREATE INDEX jobs_by_project ON jobs(project_id);

CREATE TABLE idempotency (
  key_id TEXT NOT NULL,
  method TEXT NOT NULL,
  path TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  body_sha256 TEXT NOT NULL,
  status INTEGER NOT NULL,
  reply TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (key_id, method, path, idempotency_key)
) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency(created_at);

CREATE TABLE rate_windows ( -- saved each half minute so that a restart does not forget: one row a key, minute counts as JSON
  key_id TEXT PRIMARY KEY,
  counts TEXT NOT NULL,
  saved_at BIGINT NOT NULL
);
