-- What annotated the images of a batch; an image_id of '' in annotation_batch_images stands for a name that no image bears.
ALTER TABLE annotation_batches ADD COLUMN engine TEXT;
