-- Search: what pictures look like (vectors) and show (tags). Everything here is derived: it can be made anew from the pictures.
CREATE TABLE image_vectors (
  number INTEGER PRIMARY KEY AUTOINCREMENT, -- grows with every vector, never used twice
  image_id TEXT NOT NULL UNIQUE REFERENCES images(id) ON DELETE CASCADE,
  project_id TEXT NOT NULL,
  model TEXT NOT NULL,  -- vectors of different models cannot be compared
  vector BLOB NOT NULL  -- 32-bit floats, little-endian, of length 1
);
CREATE INDEX image_vectors_by_project ON image_vectors(project_id, model, number);

CREATE TABLE image_tags (
  project_id TEXT NOT NULL,
  category TEXT NOT NULL, -- objects, scenes, attributes
  tag TEXT NOT NULL,      -- in lower case
  image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
  position INTEGER NOT NULL, -- among the image's tags of the category, surest first
  PRIMARY KEY (project_id, category, tag, image_id)
) WITHOUT ROWID;
CREATE INDEX image_tags_by_image ON image_tags(image_id, category, position);

-- Images that wait for a description: whoever adds one adds it here, by the trigger. A row goes in the transaction that writes the description.
CREATE TABLE description_queue (
  number INTEGER PRIMARY KEY, -- order of arrival
  image_id TEXT NOT NULL UNIQUE REFERENCES images(id) ON DELETE CASCADE,
  project_id TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, -- that ended a worker; given up at three
  queued_at BIGINT NOT NULL
);
CREATE INDEX description_queue_waiting ON description_queue(project_id, attempts, number) WHERE attempts < 3;
CREATE TRIGGER image_awaits_description AFTER INSERT ON images BEGIN
  INSERT INTO description_queue (image_id, project_id, queued_at) VALUES (NEW.id, NEW.project_id, NEW.created_at);
END;
INSERT INTO description_queue (image_id, project_id, queued_at) SELECT id, project_id, 0 FROM images ORDER BY created_at;

-- What indexes in memory have to look at again (server/search/index.h). Trimmed once all of them have.
CREATE TABLE search_changes (sequence INTEGER PRIMARY KEY AUTOINCREMENT, project_id TEXT NOT NULL, number BIGINT NOT NULL);
CREATE INDEX search_changes_by_project ON search_changes(project_id, sequence);
CREATE TRIGGER vector_came AFTER INSERT ON image_vectors BEGIN
  INSERT INTO search_changes (project_id, number) VALUES (NEW.project_id, NEW.number);
END;
CREATE TRIGGER vector_went AFTER DELETE ON image_vectors BEGIN
  INSERT INTO search_changes (project_id, number) VALUES (OLD.project_id, OLD.number);
END;
CREATE TRIGGER vector_moved AFTER UPDATE OF folder, is_archived ON images WHEN NEW.folder <> OLD.folder OR NEW.is_archived <> OLD.is_archived BEGIN
  INSERT INTO search_changes (project_id, number) SELECT project_id, number FROM image_vectors WHERE image_id = NEW.id;
END;
