/* The generated decoders and writers, by example: what is taken, what defaults become, and every error of a bad request at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "annotation/annotation.h"
#include "base/text.h"
#include "server/api/api_decode.h"
#include "server/api/api_types.h"
#include "server/api/api_write.h"
#include "base/banned.h"

#define UUID_A "7F1A4F0E-0d57-4d0c-9a43-6f3f1f2f9f10"

static Arena arena;
static FieldErrors errors;
static Error err;
static Decoder request;
static const char *path_values[4];

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 64 << 20);
    field_errors_init(&errors, &arena);
    err = (Error){0};
    memset(path_values, 0, sizeof path_values);
    path_values[0] = UUID_A;
    path_values[1] = "second";
    request = (Decoder){.arena = &arena, .errors = &errors, .err = &err, .path = path_values};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_clear(&arena);
    return 0;
}

static Status decode(const char *operation, void *input) {
    for (int i = 0; i < operation_reader_count; i++) {
        if (text_equal(operation_readers[i].operation, operation)) return operation_readers[i].read(&request, input);
    }
    fail_msg("no reader of %s", operation);
    return STATUS_INTERNAL_ERROR;
}

static Status decode_json(const char *operation, const char *body, void *input) {
    request.body = body;
    request.body_size = strlen(body);
    return decode(operation, input);
}

static Status decode_as(const char *operation, const char *type, const char *body, void *input) {
    request.content_type = type;
    return decode_json(operation, body, input);
}

static Status decode_query_of(const char *operation, const char *query, void *input) {
    request.query = query;
    return decode(operation, input);
}

/* "body.classes.0.name string_too_short; ..." */
static const char *summary(void) {
    const char *text = "";
    for (size_t i = 0; i < errors.count; i++) {
        text = arena_printf(&arena, "%s%s", text, i ? "; " : "");
        for (size_t s = 0; s < errors.items[i].loc_count; s++) {
            FieldStep step = errors.items[i].loc[s];
            const char *name = step.name ? step.name : arena_printf(&arena, "%zu", step.index);
            text = arena_printf(&arena, "%s%s%s", text, s ? "." : "", name);
        }
        text = arena_printf(&arena, "%s %s", text, errors.items[i].type);
    }
    return text;
}

static void test_every_wrong_field_is_listed_in_document_order(void **state) {
    (void)state;
    CreateProjectInput *in;
    Status status = decode_json("createProject",
                                "{\"extra\":1,\"description\":5,\"annotation_types\":[\"bbox\",\"oval\",\"bbox\"],"
                                "\"classes\":[{\"name\":\" \"},{\"type\":\"box\",\"colour\":\"red\"},7],\"classes\":[]}",
                                &in);
    assert_int_equal(status, STATUS_VALIDATION_ERROR);
    assert_string_equal(summary(), "body.extra extra_forbidden; body.description string_type; body.annotation_types.1 enum; "
                                   "body.annotation_types.2 value_error; body.classes.0.name string_pattern_mismatch; "
                                   "body.classes.1.colour extra_forbidden; body.classes.1.name missing; body.classes.2 dict_type; "
                                   "body.classes value_error; body.name missing");
    assert_string_equal(err.message, "10 fields failed validation");
}

static void test_messages_are_pydantics(void **state) {
    (void)state;
    PromptPointInput *in;
    decode_json("promptPoint",
                "{\"dataset_name\":\"\",\"image_filename\":true,\"x\":\"1\",\"y\":null,\"positive_points\":[[1],[1,2,3],[1,\"2\"]],"
                "\"score_threshold\":1.5}",
                &in);
    Buffer text;
    JsonWriter w;
    buffer_init(&text, 1 << 20);
    json_writer_init(&w, &text);
    field_errors_write(&errors, &w);
    assert_string_equal(
        buffer_text(&text),
        "[{\"loc\":[\"body\",\"dataset_name\"],\"msg\":\"String should have at least 1 character\",\"type\":\"string_too_short\",\"input\":\"\"},"
        "{\"loc\":[\"body\",\"image_filename\"],\"msg\":\"Input should be a valid string\",\"type\":\"string_type\",\"input\":true},"
        "{\"loc\":[\"body\",\"x\"],\"msg\":\"Input should be a valid number\",\"type\":\"float_type\",\"input\":\"1\"},"
        "{\"loc\":[\"body\",\"y\"],\"msg\":\"Input should be a valid number\",\"type\":\"float_type\",\"input\":null},"
        "{\"loc\":[\"body\",\"positive_points\",0],\"msg\":\"List should have at least 2 items after validation, not 1\",\"type\":\"too_short\"},"
        "{\"loc\":[\"body\",\"positive_points\",1],\"msg\":\"List should have at most 2 items after validation, not 3\",\"type\":\"too_long\"},"
        "{\"loc\":[\"body\",\"positive_points\",2,1],\"msg\":\"Input should be a valid number\",\"type\":\"float_type\",\"input\":\"2\"},"
        "{\"loc\":[\"body\",\"score_threshold\"],\"msg\":\"Input should be less than or equal to 1\",\"type\":\"less_than_equal\",\"input\":1.5}]");
    buffer_clear(&text);
}

static void test_defaults_and_aliases(void **state) {
    (void)state;
    CreateProjectInput *in;
    assert_int_equal(decode_json("createProject", "{\"name\":\"road signs\"}", &in), STATUS_OK);
    assert_string_equal(in->body->name, "road signs");
    assert_null(in->body->description);
    assert_false(in->body->description_is_null);
    assert_int_equal(in->body->annotation_types.count, 1);
    assert_int_equal(in->body->annotation_types.items[0], ANNOTATION_KIND_BBOX);
    assert_int_equal(in->body->classes.count, 0);
    /* 'box' and 'bbox' are two values to the schema and one kind to us */
    assert_int_equal(decode_json("createProject",
                                 "{\"name\":\"a\",\"annotation_types\":[\"polygon\",\"box\",\"bbox\"],\"classes\":[{\"name\":\"x\",\"type\":\"box\"}]}", &in),
                     STATUS_OK);
    assert_int_equal(in->body->annotation_types.count, 2);
    assert_int_equal(in->body->annotation_types.items[1], ANNOTATION_KIND_BBOX);
    assert_int_equal(in->body->classes.items[0].type, ANNOTATION_KIND_BBOX);
}

static void test_patch_tells_null_from_absent(void **state) {
    (void)state;
    UpdateProjectInput *in;
    path_values[0] = "my project";
    assert_int_equal(decode_json("updateProject", "{\"description\":null,\"classes\":[]}", &in), STATUS_OK);
    assert_string_equal(in->name, "my project");
    assert_null(in->body->name);
    assert_null(in->body->description);
    assert_true(in->body->description_is_null);
    assert_true(in->body->has_classes);
    assert_false(in->body->has_annotation_types);

    assert_int_equal(decode_json("updateProject", "{}", &in), STATUS_EMPTY_UPDATE);
    assert_string_equal(summary(), "body empty_update");
}

static void test_null_is_not_the_default(void **state) {
    (void)state;
    CreateExportInput *in;
    assert_int_equal(decode_json("createExport", "{\"dataset_name\":\"d\",\"name\":\"e\"}", &in), STATUS_OK);
    assert_int_equal(in->body->status_filter, STATUS_FILTER_COMPLETE);
    assert_int_equal(in->body->format, EXPORT_FORMAT_PICTOGRAPH);
    assert_true(in->body->include_images);
    assert_int_equal(decode_json("createExport", "{\"dataset_name\":\"d\",\"name\":\"e\",\"status_filter\":null,\"class_filter\":[\"a\",\"b\"]}", &in),
                     STATUS_OK);
    assert_int_equal(in->body->status_filter, 0);
    assert_true(in->body->status_filter_is_null);
    assert_int_equal(in->body->class_filter.count, 2);
    assert_string_equal(in->body->class_filter.items[1], "b");
}

static void test_open_object_keeps_what_it_does_not_know(void **state) {
    (void)state;
    CreateTrainingRunInput *in;
    assert_int_equal(decode_json("createTrainingRun",
                                 "{\"dataset_name\":\"d\",\"export_name\":\"e\",\"pipeline_type\":\"yolox\","
                                 "\"config\":{\"epochs\":3.0,\"size\":\"nano\",\"learning_rate\":0.01}}",
                                 &in),
                     STATUS_OK);
    const TrainingConfig *config = in->body->config;
    assert_true(config->has_epochs);
    assert_int_equal(config->epochs, 3);
    assert_false(config->has_batch_size);
    assert_string_equal(json_get_string(config->json, "size", ""), "nano");
    assert_int_equal(in->body->gpu_type, GPU_TYPE_A10G);

    assert_int_equal(decode_json("createTrainingRun", "{\"dataset_name\":\"d\",\"export_name\":\"e\",\"pipeline_type\":\"yolox\"}", &in), STATUS_OK);
    assert_non_null(in->body->config);
    assert_null(in->body->config->json);

    decode_json("createTrainingRun",
                "{\"dataset_name\":\"d\",\"export_name\":\"e\",\"pipeline_type\":\"rcnn\",\"config\":{\"epochs\":2.5,\"batch_size\":1e30,"
                "\"learning_rate\":0,\"image_size\":18446744073709551615}}",
                &in);
    assert_string_equal(summary(), "body.pipeline_type enum; body.config.epochs int_from_float; body.config.batch_size less_than_equal; "
                                   "body.config.learning_rate greater_than; body.config.image_size less_than_equal");
}

static void test_nul_and_long_text(void **state) {
    (void)state;
    CreateApiKeyInput *in;
    char body[512];
    snprintf(body, sizeof body, "{\"organization_id\":\"a\\u0000b\",\"name\":\"%0101d\",\"role\":\"king\",\"expires_at\":\"tomorrow\",\"rate_limit\":0}", 0);
    assert_int_equal(decode_json("createApiKey", body, &in), STATUS_VALIDATION_ERROR);
    assert_string_equal(summary(), "body.organization_id value_error; body.name string_too_long; body.role enum; "
                                   "body.expires_at datetime_parsing; body.rate_limit greater_than_equal");
    assert_string_equal(errors.items[2].msg, "Input should be 'viewer', 'member', 'admin' or 'owner'");
}

static void test_times_and_nullable_numbers(void **state) {
    (void)state;
    CreateApiKeyInput *in;
    assert_int_equal(decode_json("createApiKey",
                                 "{\"organization_id\":\"o\",\"name\":\"k\",\"role\":\"admin\",\"expires_at\":\"1970-01-01T01:00:01+01:00\","
                                 "\"rate_limit\":null}",
                                 &in),
                     STATUS_OK);
    assert_true(in->body->has_expires_at);
    assert_int_equal(in->body->expires_at, 1000);
    assert_false(in->body->has_rate_limit);
    assert_true(in->body->rate_limit_is_null);
    assert_int_equal(in->body->role, ROLE_ADMIN);
}

static void test_annotations_are_read_by_their_own_room(void **state) {
    (void)state;
    SaveAnnotationsInput *in;
    assert_int_equal(decode_json("saveAnnotations",
                                 "{\"annotations\":[{\"id\":\"1\",\"name\":\"car\",\"type\":\"bbox\",\"bounding_box\":{\"x\":1,\"y\":2,\"w\":3,\"h\":4}}]}",
                                 &in),
                     STATUS_OK);
    assert_int_equal(in->body->annotations->count, 1);
    assert_string_equal(in->body->annotations->items[0].name, "car");
    assert_string_equal(in->image_id, "7f1a4f0e-0d57-4d0c-9a43-6f3f1f2f9f10");

    decode_json("saveAnnotations", "{\"annotations\":[{\"id\":\"1\",\"name\":\"car\",\"type\":\"keypoint\",\"keypoint\":{\"x\":1},\"class\":\"a\"}],\"y\":1}", &in);
    assert_string_equal(summary(), "body.annotations.0.keypoint.y missing; body.annotations.0.class extra_forbidden; body.y extra_forbidden");
}

static void test_malformed_identifier_is_not_found(void **state) {
    (void)state;
    GetImageInput *in;
    path_values[0] = "not-a-uuid";
    assert_int_equal(decode("getImage", &in), STATUS_NOT_FOUND);
}

static void test_query(void **state) {
    (void)state;
    ListDatasetsInput *in;
    assert_int_equal(decode_query_of("listDatasets", "", &in), STATUS_OK);
    assert_int_equal(in->limit, 100);
    assert_int_equal(in->offset, 0);
    assert_int_equal(decode_query_of("listDatasets", "limit=5&unknown=1&&limit=%37&offset=2", &in), STATUS_OK);
    assert_int_equal(in->limit, 7);
    assert_int_equal(decode_query_of("listDatasets", "limit=1001&offset=x1", &in), STATUS_VALIDATION_ERROR);
    assert_string_equal(summary(), "query.limit less_than_equal; query.offset int_parsing");
}

static void test_query_extremes(void **state) {
    (void)state;
    void *in;
    decode_query_of("listDatasets", "limit=&offset=99999999999999999999", &in);
    decode_query_of("listDatasets", "limit=0&offset=-99999999999999999999", &in);
    decode_query_of("listDatasets", "limit=%4", &in);
    decode_query_of("listExports", "status=%ff", &in);
    path_values[0] = "abcdefghijklmnop";
    decode_query_of("getObject", "signature=abc", &in);
    assert_string_equal(summary(), "query.limit int_parsing; query.limit greater_than_equal; "
                                   "query.offset greater_than_equal; query value_error; query value_error; "
                                   "query.signature string_pattern_mismatch; query.expires missing");
}

static void test_query_words(void **state) {
    (void)state;
    GetDatasetByNameInput *dataset;
    assert_int_equal(decode_query_of("getDatasetByName", "include_images=True", &dataset), STATUS_OK);
    assert_true(dataset->include_images);
    assert_int_equal(decode_query_of("getDatasetByName", "include_images=0", &dataset), STATUS_OK);
    assert_false(dataset->include_images);
    ListExportsInput *exports;
    assert_int_equal(decode_query_of("listExports", "status=completed&dataset_name=a+b%2Fc", &exports), STATUS_OK);
    assert_int_equal(exports->status, EXPORT_STATUS_COMPLETED);
    assert_string_equal(exports->dataset_name, "a b/c");
    assert_int_equal(decode_query_of("getDatasetByName", "include_images=maybe", &dataset), STATUS_VALIDATION_ERROR);
    assert_string_equal(summary(), "query.include_images bool_parsing");
    ListProjectsInput *projects;
    assert_int_equal(decode_query_of("listProjects", "limit=5%00x&offset=1%00", &projects), STATUS_VALIDATION_ERROR);
    assert_string_equal(summary(), "query.include_images bool_parsing; query.limit int_parsing; query.offset int_parsing");
}

static void test_form(void **state) {
    (void)state;
    RegisterImageInput *in;
    assert_int_equal(decode_as("registerImage", "application/x-www-form-urlencoded; charset=utf-8",
                               "dataset_id=d&filename=a+b.jpg&gcs_path=x%2Fy&image_width=&image_height=40&file_size=12&folder_path=%2Fcars%2F", &in),
                     STATUS_OK);
    assert_string_equal(in->body->filename, "a b.jpg");
    assert_string_equal(in->body->folder_path, "/cars"); /* the trailing slash is dropped */
    assert_false(in->body->has_image_width);
    assert_true(in->body->has_image_height);
    assert_int_equal(in->body->image_height, 40);
    assert_int_equal(in->body->file_size, 12);

    assert_int_equal(decode_as("registerImage", "application/json", "{\"dataset_id\":\"d\",\"filename\":\"a.jpg\",\"gcs_path\":\"x\",\"image_width\":\"\"}", &in),
                     STATUS_OK);
    assert_false(in->body->has_image_width);
    assert_string_equal(in->body->folder_path, "/");

    assert_int_equal(decode_as("registerImage", "application/x-www-form-urlencoded",
                               "dataset_id=&filename=a/b&image_width=0&file_size=x&folder_path=/a/../b&color=red&dataset_id=2", &in),
                     STATUS_VALIDATION_ERROR);
    assert_string_equal(summary(), "body.dataset_id string_too_short; body.filename string_pattern_mismatch; body.image_width greater_than_equal; "
                                   "body.file_size int_parsing; body.folder_path string_pattern_mismatch; body.color extra_forbidden; "
                                   "body.dataset_id value_error; body.gcs_path missing");
    assert_int_equal(decode_as("registerImage", "application/x-www-form-urlencoded", "dataset_id=%zz", &in), STATUS_BAD_REQUEST);
    /* a JSON number stays a JSON number: text is for forms */
    field_errors_init(&errors, &arena);
    decode_as("registerImage", "application/json", "{\"dataset_id\":\"d\",\"filename\":\"a.jpg\",\"gcs_path\":\"x\",\"image_width\":\"12\"}", &in);
    assert_string_equal(summary(), "body.image_width int_type");
}

#define PART(headers, body) "--b\r\nContent-Disposition: form-data; " headers "\r\n\r\n" body "\r\n"

static void test_multipart(void **state) {
    (void)state;
    UploadImageDirectInput *in;
    assert_int_equal(decode_as("uploadImageDirect", "multipart/form-data; boundary=\"b\"",
                               PART("name=\"dataset_id\"", "d") PART("name=file; filename=\"x \\\"y\\\".jpg\"\r\nContent-Type: image/jpeg", "\xff\xd8--b\r\n") "--b--\r\n",
                               &in),
                     STATUS_OK);
    assert_string_equal(in->body->dataset_id, "d");
    assert_int_equal(in->body->file.size, 7);
    assert_memory_equal(in->body->file.data, "\xff\xd8--b\r\n", 7);
    assert_string_equal(in->body->file.file_name, "x \"y\".jpg");
    assert_string_equal(in->body->file.content_type, "image/jpeg");

    decode_as("uploadImageDirect", "multipart/form-data; boundary=b", "preamble\r\n" PART("name=x; filename=y", "\xff") "--b--", &in);
    assert_string_equal(summary(), "body.x extra_forbidden; body.dataset_id missing; body.file missing");
}

static void test_malformed_multipart(void **state) {
    (void)state;
    static const char *const BODIES[] = {"--b", "--b\r\n", "--b\r\n\r\n--b--", "--b--extra\r\n--b", PART("name=a", "1"), PART("nam=a", "1") "--b--",
                                         PART("name=a", "\xff") "--b--", "--b\r\nno colon", "--b\r\nContent-Disposition: form-data; name=a", "--b\r\n--b--"};
    void *in;
    for (size_t i = 0; i < sizeof BODIES / sizeof *BODIES; i++) {
        Status status = decode_as("uploadImageDirect", "multipart/form-data; boundary=b", BODIES[i], &in);
        if (i != 3) assert_int_equal(status, STATUS_BAD_REQUEST); /* the fourth ends at once and is empty */
        else assert_int_equal(status, STATUS_VALIDATION_ERROR);
    }
    assert_int_equal(decode_as("uploadImageDirect", "multipart/form-data", "--b--", &in), STATUS_BAD_REQUEST);
}

static void test_bodies_that_are_none(void **state) {
    (void)state;
    void *in;
    assert_int_equal(decode_as("createProject", "text/plain", "{}", &in), STATUS_UNSUPPORTED_MEDIA_TYPE);
    assert_int_equal(decode_as("createProject", "application/jsonx", "{}", &in), STATUS_UNSUPPORTED_MEDIA_TYPE);
    assert_int_equal(decode_as("createProject", "Application/JSON; charset=utf-8", "{\"name\":", &in), STATUS_MALFORMED_JSON);
    assert_int_equal(decode_json("createProject", "{\"name\":\"\xff\"}", &in), STATUS_MALFORMED_JSON);
    assert_int_equal(decode_json("createProject", "[]", &in), STATUS_VALIDATION_ERROR);
    assert_string_equal(summary(), "body dict_type");
    field_errors_init(&errors, &arena);
    assert_int_equal(decode_json("createProject", "", &in), STATUS_VALIDATION_ERROR);
    assert_string_equal(summary(), "body missing");
}

static void test_memory_has_a_limit(void **state) {
    (void)state;
    Buffer body;
    buffer_init(&body, 1 << 20);
    buffer_append_text(&body, "{\"name\":[");
    for (int i = 0; i < 200000; i++) buffer_append_text(&body, i ? ",1" : "1");
    buffer_append_text(&body, "]}");
    void *in;
    arena.limit = 1 << 20;
    assert_int_equal(decode_json("createProject", buffer_text(&body), &in), STATUS_PAYLOAD_TOO_LARGE);
    buffer_clear(&body);
}

static void test_patterns(void **state) {
    (void)state;
    static const struct {
        const Pattern *pattern;
        const char *good[6], *bad[8];
    } CASES[] = {
        {&PATTERN_NON_BLANK, {"a", " a", "\xc2\xa0x", "."}, {"", " ", "\t\n\v\f\r", "\xc2\xa0", "\xe3\x80\x80\xe2\x80\x8a", "\xef\xbb\xbf\xe2\x80\xa9\xe1\x9a\x80"}},
        {&PATTERN_PROJECT_NAME, {"a", "...", "a b", "\xe6\x97\xa5\xe6\x9c\xac", ".a", "a.."}, {"", ".", "..", " a", "a ", "a/b", "a\\b", "a\x1f"}},
        {&PATTERN_PROJECT_NAME, {"a!"}, {"a?", "a#", "50%", "a\n", "\xe3\x80\x80x", "x\xc2\xa0", "x\xe2\x80\xaf", "\n"}},
        {&PATTERN_EXPORT_NAME, {" a ", "..."}, {"", ".", "..", "a/b", "a\\", "%", "#", "a\tb"}},
        {&PATTERN_VIRTUAL_PATH, {"/", "/a", "/a/", "/a b/c.d", "/...", "/.a"}, {"", "a", "//", "/a//", "/a//b", "/.", "/a/../b", "/a/."}},
        {&PATTERN_FILE_NAME, {"a.jpg", "..", " "}, {"", "a/b", "a\\b", "\x01"}},
        {&PATTERN_FOLDER_NAME, {"a\\b"}, {"", "a/b", "\n"}},
        {&PATTERN_OBJECT_TOKEN, {"abcdefgh_-ABCD09"}, {"", "abcdefgh_-ABCD0", "abcdefgh_-ABCD0+"}},
        {&PATTERN_TOKEN_43, {"0123456789012345678901234567890123456789_-a"}, {"0123456789012345678901234567890123456789_-", "01234567890123456789012345678901234567890123"}},
        {&PATTERN_IDEMPOTENCY_KEY, {"!~", "a"}, {"", "a b", "\x7f", "\xc3\xa4"}},
        {&PATTERN_EMAIL, {"a@b.c", "a.b+c@d-e.org"}, {"", "a", "@b.c", "a@b", "a@.c", "a@b.", "a b@c.d", "a@b@c.d"}},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        for (int j = 0; j < 6 && CASES[i].good[j]; j++)
            if (!CASES[i].pattern->matches(CASES[i].good[j])) fail_msg("%s refuses '%s'", CASES[i].pattern->text, CASES[i].good[j]);
        for (int j = 0; j < 8 && CASES[i].bad[j]; j++)
            if (CASES[i].pattern->matches(CASES[i].bad[j])) fail_msg("%s takes '%s'", CASES[i].pattern->text, CASES[i].bad[j]);
    }
}

static void check_written(Buffer *text, const char *expected) {
    assert_string_equal(buffer_text(text), expected);
    buffer_reset(text);
}

static void test_writers(void **state) {
    (void)state;
    Buffer text;
    JsonWriter w;
    buffer_init(&text, 1 << 20);

    json_writer_init(&w, &text);
    write_credit_history_response(&w, &(CreditHistoryResponse){.has_total = true, .total = 3});
    check_written(&text, "{\"entries\":[],\"total\":3}");

    CreditLedgerEntry entry = {.id = "i", .operation = "top_up", .amount = -5, .created_at = 1, .metadata = "{\"a\":1}"};
    json_writer_init(&w, &text);
    write_credit_ledger_entry(&w, &entry);
    check_written(&text, "{\"id\":\"i\",\"operation\":\"top_up\",\"amount\":-5,\"balance_after\":null,\"description\":null,"
                         "\"metadata\":{\"a\":1},\"created_at\":\"1970-01-01T00:00:00.001Z\"}");

    json_writer_init(&w, &text);
    write_annotations_response(&w, &(AnnotationsResponse){.image_id = "i", .annotations_json = "[1]", .status = ANNOTATION_PROGRESS_IN_PROGRESS});
    check_written(&text, "{\"image_id\":\"i\",\"annotations\":[1],\"status\":\"in_progress\"}");

    json_writer_init(&w, &text);
    write_point_prompt_result(&w, &(PointPromptResult){.status = PROMPT_STATUS_NO_DETECTION});
    check_written(&text, "{\"status\":\"no_detection\",\"annotation\":null,\"annotations\":[],\"score\":null,\"inference_time\":null,\"engine\":null}");

    json_writer_init(&w, &text);
    write_health_status(&w, &(HealthStatus){0});
    check_written(&text, "{\"status\":\"ok\"}");
    buffer_clear(&text);
}

static void test_enum_names(void **state) {
    (void)state;
    assert_string_equal(export_format_name(EXPORT_FORMAT_PASCAL_VOC), "pascal_voc");
    assert_null(export_format_name(0));
    assert_null(export_format_name((ExportFormat)99));
    assert_int_equal(export_format_from_name("csv"), EXPORT_FORMAT_CSV);
    assert_int_equal(export_format_from_name("CSV"), 0);
    assert_int_equal(export_format_from_name(NULL), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_every_wrong_field_is_listed_in_document_order),
        CASE(test_messages_are_pydantics),
        CASE(test_defaults_and_aliases),
        CASE(test_patch_tells_null_from_absent),
        CASE(test_null_is_not_the_default),
        CASE(test_open_object_keeps_what_it_does_not_know),
        CASE(test_nul_and_long_text),
        CASE(test_times_and_nullable_numbers),
        CASE(test_annotations_are_read_by_their_own_room),
        CASE(test_malformed_identifier_is_not_found),
        CASE(test_query),
        CASE(test_query_extremes),
        CASE(test_query_words),
        CASE(test_form),
        CASE(test_multipart),
        CASE(test_malformed_multipart),
        CASE(test_bodies_that_are_none),
        CASE(test_memory_has_a_limit),
        CASE(test_patterns),
        CASE(test_writers),
        CASE(test_enum_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
