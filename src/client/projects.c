/* Projects. */
#include <pictograph/projects.h>

#include "client/call.h"
#include "client/failure.h"
#include "client/pager.h"

#include "base/banned.h"

PictographPager *pictograph_projects_list(PictographClient *client, const PictographList *list, PictographError *error) {
    PagerPlan plan = {.call = {.method = "GET", .path = "projects/"}, .items = "/projects", .page_size = 50};
    return pager_new(client, &plan, list, error);
}

PictographResult *pictograph_projects_get(PictographClient *client, const char *name, PictographError *error) {
    return call(client, &(Call){.method = "GET", .path = "projects/{}", .names = {name}, .envelope = "project"}, error);
}

static void write_classes(JsonWriter *writer, const PictographProject *project) {
    if (!project->classes) return;
    json_key(writer, "classes");
    json_begin_array(writer);
    for (size_t i = 0; i < project->class_count; i++) {
        json_begin_object(writer);
        json_field_string(writer, "name", project->classes[i].name);
        call_optional_string(writer, "type", project->classes[i].type);
        call_optional_string(writer, "color", project->classes[i].color);
        json_end_object(writer);
    }
    json_end_array(writer);
}

static void write_project(Buffer *body, const PictographProject *project) {
    JsonWriter writer = call_body(body);
    call_optional_string(&writer, "name", project->name);
    call_optional_string(&writer, "description", project->description);
    call_optional_strings(&writer, "annotation_types", project->annotation_types);
    write_classes(&writer, project);
    json_end_object(&writer);
}

PictographResult *pictograph_projects_create(PictographClient *client, const PictographProject *project, PictographError *error) {
    Buffer body;
    write_project(&body, project);
    return call(client, &(Call){.method = "POST", .path = "projects/", .body = &body, .envelope = "project"}, error);
}

PictographResult *pictograph_projects_update(PictographClient *client, const char *name, const PictographProject *changes,
                                             PictographError *error) {
    if (!changes->name && !changes->description && !changes->annotation_types && !changes->classes) {
        failure_set(error, PICTOGRAPH_VALIDATION, "The update of project '%s' changes nothing", name);
        return NULL;
    }
    Buffer body;
    write_project(&body, changes);
    return call(client, &(Call){.method = "PATCH", .path = "projects/{}", .names = {name}, .body = &body, .envelope = "project"}, error);
}

PictographResult *pictograph_projects_delete(PictographClient *client, const char *name, PictographError *error) {
    return call(client, &(Call){.method = "DELETE", .path = "projects/{}", .names = {name}, .envelope = "deleted"}, error);
}
