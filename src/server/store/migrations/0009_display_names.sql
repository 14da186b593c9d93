-- What an image is called for people is part of what an export sees, so the triggers keep it, too.
ALTER TABLE export_snapshots ADD COLUMN display_name TEXT;
DROP TRIGGER export_keeps_changed_image;
CREATE TRIGGER export_keeps_changed_image BEFORE UPDATE ON images BEGIN
  INSERT INTO export_snapshots (export_id, image_id, is_member, folder, filename, width, height, stage, object, display_name, document)
  SELECT e.id, OLD.id, 1 - OLD.is_archived, OLD.folder, OLD.filename, OLD.width, OLD.height, OLD.stage, OLD.object, OLD.display_name,
         (SELECT document FROM annotation_documents WHERE image_id = OLD.id)
  FROM exports e WHERE e.project_id = OLD.project_id AND e.status IN ('pending', 'processing') ON CONFLICT DO NOTHING;
END;
DROP TRIGGER export_keeps_removed_image;
CREATE TRIGGER export_keeps_removed_image BEFORE DELETE ON images BEGIN
  INSERT INTO export_snapshots (export_id, image_id, is_member, folder, filename, width, height, stage, object, display_name, document)
  SELECT e.id, OLD.id, 1 - OLD.is_archived, OLD.folder, OLD.filename, OLD.width, OLD.height, OLD.stage, OLD.object, OLD.display_name,
         (SELECT document FROM annotation_documents WHERE image_id = OLD.id)
  FROM exports e WHERE e.project_id = OLD.project_id AND e.status IN ('pending', 'processing') ON CONFLICT DO NOTHING;
END;
DROP TRIGGER export_keeps_changed_document;
CREATE TRIGGER export_keeps_changed_document BEFORE UPDATE ON annotation_documents BEGIN
  INSERT INTO export_snapshots (export_id, image_id, is_member, folder, filename, width, height, stage, object, display_name, document)
  SELECT e.id, i.id, 1 - i.is_archived, i.folder, i.filename, i.width, i.height, i.stage, i.object, i.display_name, OLD.document
  FROM images i JOIN exports e ON e.project_id = i.project_id
  WHERE i.id = OLD.image_id AND e.status IN ('pending', 'processing') ON CONFLICT DO NOTHING;
END;
DROP TRIGGER export_keeps_removed_document;
CREATE TRIGGER export_keeps_removed_document BEFORE DELETE ON annotation_documents BEGIN
  INSERT INTO export_snapshots (export_id, image_id, is_member, folder, filename, width, height, stage, object, display_name, document)
  SELECT e.id, i.id, 1 - i.is_archived, i.folder, i.filename, i.width, i.height, i.stage, i.object, i.display_name, OLD.document
  FROM images i JOIN exports e ON e.project_id = i.project_id
  WHERE i.id = OLD.image_id AND e.status IN ('pending', 'processing') ON CONFLICT DO NOTHING;
END;
DROP TRIGGER export_skips_new_document;
CREATE TRIGGER export_skips_new_document AFTER INSERT ON annotation_documents BEGIN
  INSERT INTO export_snapshots (export_id, image_id, is_member, folder, filename, width, height, stage, object, display_name)
  SELECT e.id, i.id, 1 - i.is_archived, i.folder, i.filename, i.width, i.height, i.stage, i.object, i.display_name
  FROM images i JOIN exports e ON e.project_id = i.project_id
  WHERE i.id = NEW.image_id AND e.status IN ('pending', 'processing') ON CONFLICT DO NOTHING;
END;
