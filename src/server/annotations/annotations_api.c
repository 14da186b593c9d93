/* Handlers of the annotations: read, overwrite, delete. */
#include <string.h>

#include "base/clock.h"
#include "server/annotations/annotations.h"
#include "server/api/api_handlers.h"
#include "server/images/images.h"
#include "server/projects/projects.h"
#include "base/banned.h"

/* One row: stage, count and document, if the image is in the caller's organization. */
static Status read_document(Request *rq, const char *image_id, const char **stage, int64_t *count, const char **document) {
    DbRows rows = db_query(request_db(rq), &rq->error,
                           "SELECT i.stage, i.annotation_count, d.document FROM images i JOIN projects p ON p.id = i.project_id "
                           "LEFT JOIN annotation_documents d ON d.image_id = i.id WHERE i.id = $1 AND p.organization_id = $2",
                           DB_TEXT(image_id), DB_TEXT(rq->principal.organization_id));
    bool found = db_next(&rows);
    if (found) {
        *stage = db_text(&rows, 0, &rq->arena);
        *count = db_int(&rows, 1);
        *document = db_text(&rows, 2, &rq->arena);
    }
    Status status = db_finish(&rows);
    return status != STATUS_OK || found ? status : request_not_found(rq, "Image");
}

Status get_annotations(Request *rq, const GetAnnotationsInput *in, AnnotationsResponse *out) {
    const char *stage = NULL, *document = NULL;
    Status status = read_document(rq, in->image_id, &stage, &out->count, &document);
    if (status != STATUS_OK) return status;
    out->image_id = in->image_id;
    out->annotations_json = document ? document : "[]";
    out->has_count = true;
    out->status = annotation_progress_from_name(image_progress(stage));
    return STATUS_OK;
}

Status get_annotation_file(Request *rq, const GetAnnotationFileInput *in, AnnotationsReply *out) {
    const char *stage = NULL, *document = NULL;
    int64_t count;
    Status status = read_document(rq, in->image_id, &stage, &count, &document);
    out->annotations_json = document ? document : "[]";
    return status;
}

/* ---- saving ---- */

typedef struct Save {
    Request *rq;
    const char *image_id;
    AnnotationList *list;
    AnnotationsSaved saved;
} Save;

/* Says what there is instead: a slip of the pen is seen at once, and who has no classes yet learns what makes some. */
static Status unknown_class(Arena *arena, const ClassList *classes, Error *err) {
    enum { SHOWN_BYTES = 350 }; /* an error's text has 500 */
    if (classes->count == 0) return error_set(err, STATUS_UNKNOWN_CLASS, "Unknown class: the project has none yet. A PATCH of the project makes classes, and so does a prompt by its name");
    const char *names = "";
    size_t i = 0;
    for (; i < classes->count && strlen(names) + strlen(classes->items[i].name) < SHOWN_BYTES; i++)
        names = arena_printf(arena, "%s%s'%s'", names, i ? ", " : "", classes->items[i].name);
    return error_set(err, STATUS_UNKNOWN_CLASS, "Unknown class; the project has %s%s", names, i < classes->count ? ", …" : "");
}

/* Every label must be a class, or a label that a prompt on this dataset returned, which then joins the classes. Inside the transaction, so
 * that a class that was removed a moment ago counts as removed. */
static Status check_labels(DbSession *tx, Save *save, Error *err) {
    Request *rq = save->rq;
    DbRows rows = db_query(tx, err, "SELECT p.id, p.classes, p.prompted_labels FROM images i JOIN projects p ON p.id = i.project_id WHERE i.id = $1 AND p.organization_id = $2",
                           DB_TEXT(save->image_id), DB_TEXT(rq->principal.organization_id));
    bool found = db_next(&rows);
    const char *project_id = found ? db_text(&rows, 0, &rq->arena) : NULL;
    ClassList classes = class_list_parse(&rq->arena, found ? db_text_borrowed(&rows, 1) : NULL);
    ClassList prompted = class_list_parse(&rq->arena, found ? db_text_borrowed(&rows, 2) : NULL);
    Status status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    if (!found) return error_set(err, STATUS_NOT_FOUND, "Image not found");
    ClassList joining = {0};
    const char *last = NULL; /* runs of one label are common */
    for (size_t i = 0; i < save->list->count; i++) {
        const char *name = save->list->items[i].name;
        if (last && strcmp(last, name) == 0) continue;
        last = name;
        if (class_list_find(&classes, name) || class_list_find(&joining, name)) continue;
        const ProjectClassRecord *offered = class_list_find(&prompted, name);
        if (offered) {
            class_list_add(&rq->arena, &joining, name, offered->type, NULL, "polygon");
            continue;
        }
        last = NULL; /* every bearer of an unknown label is named */
        request_field_error(rq, "unknown_class", arena_printf(&rq->arena, "'%s' is not a class of the project", name), "body", "annotations",
                            arena_printf(&rq->arena, "%zu", i), "name", NULL);
    }
    if (rq->errors.count) return unknown_class(&rq->arena, &classes, err);
    return joining.count ? project_add_classes(tx, &rq->arena, project_id, &joining, err) : STATUS_OK;
}

static Status save_document(DbSession *tx, void *context, Error *err) {
    Save *save = context;
    Status status = check_labels(tx, save, err);
    if (status != STATUS_OK) return status;
    return annotations_replace(tx, &save->rq->arena, save->image_id, save->list, NULL, &save->saved, err);
}

static Status save_list(Request *rq, const char *image_id, AnnotationList *list, AnnotationsSaveResponse *out) {
    const char *creator = request_creator(rq);
    for (size_t i = 0; i < list->count; i++)
        if (!list->items[i].created_by) list->items[i].created_by = creator;
    Save save = {.rq = rq, .image_id = image_id, .list = list};
    Status status = request_write(rq, save_document, &save);
    if (status != STATUS_OK) return status;
    *out = (AnnotationsSaveResponse){.image_id = image_id, .previous_count = save.saved.previous_count, .new_count = save.saved.new_count,
                                     .status = annotation_progress_from_name(image_progress(save.saved.stage))};
    return STATUS_OK;
}

Status save_annotations(Request *rq, const SaveAnnotationsInput *in, AnnotationsSaveResponse *out) {
    if (in->body->image_id && strcasecmp(in->body->image_id, in->image_id) != 0) {
        request_field_error(rq, "value_error", "Differs from the image of the path", "body", "image_id", NULL);
        return request_fail(rq, STATUS_VALIDATION_ERROR, "image_id differs from the image of the path");
    }
    return save_list(rq, in->image_id, in->body->annotations, out);
}

Status save_annotations_by_body(Request *rq, const SaveAnnotationsByBodyInput *in, AnnotationsSaveResponse *out) {
    return save_list(rq, in->body->image_id, in->body->annotations, out);
}

static Status clear_document(DbSession *tx, void *context, Error *err) {
    Save *save = context;
    ImageRecord image;
    Status status = image_load(tx, &save->rq->arena, save->rq->principal.organization_id, save->image_id, &image, err);
    if (status != STATUS_OK) return status;
    return annotations_replace(tx, &save->rq->arena, save->image_id, &(AnnotationList){0}, NULL, &save->saved, err);
}

Status delete_annotations(Request *rq, const DeleteAnnotationsInput *in, AnnotationsDeleteResponse *out) {
    Save save = {.rq = rq, .image_id = in->image_id};
    Status status = request_write(rq, clear_document, &save);
    if (status != STATUS_OK) return status;
    *out = (AnnotationsDeleteResponse){.image_id = in->image_id, .deleted_count = save.saved.previous_count,
                                       .status = annotation_progress_from_name(image_progress(save.saved.stage))};
    return STATUS_OK;
}
