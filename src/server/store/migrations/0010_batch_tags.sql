-- Batches that tag images: at most so many tags an image.
ALTER TABLE annotation_batches ADD COLUMN top_k BIGINT NOT NULL DEFAULT 1;
