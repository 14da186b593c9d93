CREATE TABLE videos ( -- uploads that were registered: their sources stay. The id is the upload's
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  project_id TEXT REFERENCES projects(id) ON DELETE CASCADE, -- NULL: belongs to no dataset
  folder TEXT NOT NULL,
  filename TEXT NOT NULL,
  mime_type TEXT NOT NULL,
  object TEXT NOT NULL REFERENCES objects(sha256),
  file_size BIGINT NOT NULL,
  created_by TEXT,
  created_at BIGINT NOT NULL
);
CREATE INDEX videos_by_object ON videos(object);
CREATE INDEX videos_by_project ON videos(project_id);

CREATE TABLE frame_extractions ( -- the id is the job's
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  project_id TEXT NOT NULL, -- outlives its project
  folder TEXT NOT NULL,
  object TEXT NOT NULL,     -- the video's bytes
  filename TEXT NOT NULL,   -- the video's name; frames are named after it
  fps DOUBLE PRECISION NOT NULL,
  start_seconds DOUBLE PRECISION NOT NULL,
  end_seconds DOUBLE PRECISION, -- NULL: to the end of the video
  max_frames BIGINT,
  status TEXT NOT NULL DEFAULT 'processing', -- processing, complete, failed
  progress BIGINT NOT NULL DEFAULT 0,
  frames_extracted BIGINT NOT NULL DEFAULT 0,
  frames_left_out BIGINT NOT NULL DEFAULT 0, -- their names were taken
  first_left_out TEXT,
  total_frames BIGINT NOT NULL, -- expected, and at the end what it was
  cursor TEXT,                  -- JSON: where the media worker goes on; NULL before the first frames
  error_message TEXT,
  created_by TEXT,
  created_at BIGINT NOT NULL,
  completed_at BIGINT
);
CREATE INDEX frame_extractions_open ON frame_extractions(object) WHERE status = 'processing';

-- Whatever stops naming bytes says so; the sweep then looks whether anything else does.
CREATE TRIGGER video_lets_go AFTER DELETE ON videos BEGIN
  INSERT INTO discarded_objects (sha256, discarded_at) VALUES (OLD.object, CAST(strftime('%s', 'now') AS INTEGER) * 1000) ON CONFLICT (sha256) DO NOTHING;
END;
CREATE TRIGGER extraction_lets_go AFTER UPDATE OF status ON frame_extractions WHEN NEW.status <> 'processing' BEGIN
  INSERT INTO discarded_objects (sha256, discarded_at) VALUES (OLD.object, CAST(strftime('%s', 'now') AS INTEGER) * 1000) ON CONFLICT (sha256) DO NOTHING;
END;
CREATE TRIGGER upload_lets_go AFTER DELETE ON uploads WHEN OLD.object IS NOT NULL BEGIN
  INSERT INTO discarded_objects (sha256, discarded_at) VALUES (OLD.object, CAST(strftime('%s', 'now') AS INTEGER) * 1000) ON CONFLICT (sha256) DO NOTHING;
END;
CREATE TRIGGER upload_is_overwritten AFTER UPDATE OF object ON uploads WHEN OLD.object IS NOT NULL AND OLD.object <> NEW.object BEGIN
  INSERT INTO discarded_objects (sha256, discarded_at) VALUES (OLD.object, CAST(strftime('%s', 'now') AS INTEGER) * 1000) ON CONFLICT (sha256) DO NOTHING;
END;
