/* pictograph-media's methods on images that libvips makes here, on damaged ones, and through the sandboxed program itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/file.h"
#include "base/hash.h"
#include "media/media.h"
#include "media/picture.h"
#include "media/pixels.h"
#include "base/banned.h"

static const char *program; /* path of pictograph-media */
static char folder[64];

/* Path of a file in the test's folder; valid for the next seven calls. */
static const char *in_folder(const char *name) {
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* The HEVC encoder, which only this test uses, keeps one table. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libx265"; }

/* ---- calling ---- */

static Status call(const char *method, const char *params, Buffer *answer, Error *err) {
    yyjson_doc *doc = json_parse(params, strlen(params), err);
    JsonWriter w;
    buffer_init(answer, CHANNEL_MAXIMUM);
    json_writer_init(&w, answer);
    WorkerCall request = {.fd = -1, .method = method, .params = yyjson_doc_get_root(doc), .result = &w};
    Status status = STATUS_INTERNAL_ERROR;
    for (const WorkerMethod *m = MEDIA_METHODS; m->name; m++)
        if (strcmp(m->name, method) == 0) status = m->run(&request, NULL, err);
    yyjson_doc_free(doc);
    return status;
}

static const char *params_text(const char *name, const char *more) {
    static char text[1024];
    snprintf(text, sizeof text, "{\"path\":\"%s\",\"filename\":\"%s\"%s}", in_folder(name), name, more);
    return text;
}

static void expect_inspect(const char *name, const char *expected) {
    Buffer answer;
    Error err = {0};
    if (call("inspect", params_text(name, ""), &answer, &err) != STATUS_OK) fail_msg("%s: %s", name, err.message);
    if (!strstr(buffer_text(&answer), expected)) fail_msg("%s: %s", name, buffer_text(&answer));
    buffer_clear(&answer);
}

static void expect_failure(const char *name, Status expected) {
    Buffer answer;
    Error err = {0};
    Status status = call("inspect", params_text(name, ""), &answer, &err);
    if (status != expected) fail_msg("%s: status %d (%s), expected %d", name, status, err.message, expected);
    assert_non_null(strstr(err.message, name));  /* which file */
    assert_null(strstr(err.message, folder)); /* and nothing about the server */
    buffer_clear(&answer);
}

/* ---- making images ---- */

/* A picture with a different colour in each corner, so that a turn shows: red, green, blue, white clockwise from top left. */
static VipsImage *corners(int width, int height) {
    unsigned char *rgb = calloc((size_t)width * (size_t)height, 3);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            static const unsigned char COLOURS[4][3] = {{220, 20, 20}, {20, 200, 20}, {20, 20, 220}, {240, 240, 240}};
            int corner = y < height / 2 ? x >= width / 2 : 3 - (x >= width / 2);
            memcpy(rgb + ((size_t)y * (size_t)width + (size_t)x) * 3, COLOURS[corner], 3);
        }
    VipsImage *image = vips_image_new_from_memory_copy(rgb, (size_t)width * (size_t)height * 3, width, height, 3, VIPS_FORMAT_UCHAR);
    free(rgb);
    assert_non_null(image);
    image->Type = VIPS_INTERPRETATION_sRGB;
    return image;
}

static void save(VipsImage *image, const char *name) {
    if (vips_image_write_to_file(image, in_folder(name), NULL) != 0) fail_msg("%s: %s", name, vips_error_buffer());
}

static void save_corners(const char *name, int width, int height) {
    VipsImage *image = corners(width, height);
    save(image, name);
    g_object_unref(image);
}

static void write_file(const char *name, const void *data, size_t size) {
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void copy_cut(const char *from, const char *to, double part) {
    Buffer bytes;
    buffer_init(&bytes, 64 << 20);
    assert_int_equal(file_read(in_folder(from), &bytes, NULL), STATUS_OK);
    write_file(to, bytes.data, (size_t)((double)bytes.size * part));
    buffer_clear(&bytes);
}

/* ---- inspect ---- */

static void the_types_are_known_by_content(void **state) {
    (void)state;
    static const struct {
        const char *name, *mime, *extension;
    } TYPES[] = {{"a.jpg", "image/jpeg", ".jpg"}, {"a.png", "image/png", ".png"},   {"a.webp", "image/webp", ".webp"},
                 {"a.tif", "image/tiff", ".tiff"}, {"a.tiff", "image/tiff", ".tiff"}, {"a.gif", "image/gif", ".gif"}};
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        char expected[200], renamed[32];
        save_corners(TYPES[i].name, 60, 40);
        snprintf(expected, sizeof expected, "{\"mime_type\":\"%s\",\"extension\":\"%s\",\"width\":60,\"height\":40,\"orientation\":1,\"pages\":1,",
                 TYPES[i].mime, TYPES[i].extension);
        expect_inspect(TYPES[i].name, expected);
        snprintf(renamed, sizeof renamed, "renamed%zu.jpg", i); /* a PNG called .jpg is a PNG */
        copy_cut(TYPES[i].name, renamed, 1);
        expect_inspect(renamed, expected);
    }
}

static void every_orientation_turns_the_size_and_the_pixels(void **state) {
    (void)state;
    for (int orientation = 1; orientation <= 8; orientation++) {
        char name[32], more[200], expected[100];
        VipsImage *upright = corners(64, 48), *stored = NULL, *step = NULL;
        /* the stored picture is the upright one, undone */
        static const VipsAngle ANGLES[] = {0, 0, 0, 2, 2, 1, 3, 3, 1};
        assert_int_equal(vips_rot(upright, &step, ANGLES[orientation], NULL), 0);
        bool mirrored = orientation == 2 || orientation == 4 || orientation == 5 || orientation == 7;
        assert_int_equal(mirrored ? vips_flip(step, &stored, VIPS_DIRECTION_HORIZONTAL, NULL) : vips_copy(step, &stored, NULL), 0);
        vips_image_set_int(stored, VIPS_META_ORIENTATION, orientation);
        snprintf(name, sizeof name, "o%d.jpg", orientation);
        save(stored, name);
        snprintf(expected, sizeof expected, "\"width\":64,\"height\":48,\"orientation\":%d", orientation);
        expect_inspect(name, expected);

        Buffer answer;
        Pixels pixels;
        Error err = {0};
        snprintf(more, sizeof more, ",\"output\":\"%s\"", in_folder("pixels"));
        if (call("decode", params_text(name, more), &answer, &err) != STATUS_OK) fail_msg("%s: %s", name, err.message);
        buffer_clear(&answer);
        assert_int_equal(pixels_read(in_folder("pixels"), PICTURE_MAX_PIXELS, &pixels, &err), STATUS_OK);
        assert_int_equal(pixels.width, 64);
        assert_int_equal(pixels.height, 48);
        const unsigned char *top_left = pixels.rgb + (10 * 64 + 10) * 3, *top_right = pixels.rgb + (10 * 64 + 54) * 3,
                            *bottom_left = pixels.rgb + (38 * 64 + 10) * 3;
        if (top_left[0] < 180 || top_left[1] > 70 || top_right[1] < 150 || top_right[0] > 70 || bottom_left[2] < 200 || bottom_left[0] < 200)
            fail_msg("orientation %d is turned wrongly", orientation);
        pixels_clear(&pixels);
        g_object_unref(upright);
        g_object_unref(step);
        g_object_unref(stored);
    }
}

static void odd_pixels_become_rgb(void **state) {
    (void)state;
    VipsImage *rgb = corners(40, 30), *image = NULL;
    struct {
        const char *name;
        VipsInterpretation space;
    } SPACES[] = {{"cmyk.jpg", VIPS_INTERPRETATION_CMYK}, {"grey.png", VIPS_INTERPRETATION_B_W}, {"deep.png", VIPS_INTERPRETATION_RGB16},
                  {"deepgrey.tif", VIPS_INTERPRETATION_GREY16}, {"lab.tif", VIPS_INTERPRETATION_LAB}, {"float.tif", VIPS_INTERPRETATION_scRGB}};
    for (size_t i = 0; i < sizeof SPACES / sizeof *SPACES; i++) {
        char more[200];
        Buffer answer;
        Error err = {0};
        Pixels pixels;
        assert_int_equal(vips_colourspace(rgb, &image, SPACES[i].space, NULL), 0);
        save(image, SPACES[i].name);
        g_object_unref(image);
        expect_inspect(SPACES[i].name, "\"width\":40,\"height\":30");
        snprintf(more, sizeof more, ",\"output\":\"%s\"", in_folder("pixels"));
        if (call("decode", params_text(SPACES[i].name, more), &answer, &err) != STATUS_OK) fail_msg("%s: %s", SPACES[i].name, err.message);
        buffer_clear(&answer);
        assert_int_equal(pixels_read(in_folder("pixels"), 1200, &pixels, &err), STATUS_OK);
        assert_true(pixels.rgb[(25 * 40 + 5) * 3] > 200); /* the white corner */
        pixels_clear(&pixels);
        snprintf(more, sizeof more, ",\"size\":20,\"output\":\"%s\"", in_folder("small.jpg"));
        if (call("thumbnail", params_text(SPACES[i].name, more), &answer, &err) != STATUS_OK) fail_msg("%s: %s", SPACES[i].name, err.message);
        assert_string_equal(buffer_text(&answer), "{\"width\":20,\"height\":15,\"mime_type\":\"image/jpeg\"}");
        buffer_clear(&answer);
    }
    g_object_unref(rgb);
}

static void heic_becomes_png(void **state) {
    (void)state;
    Buffer answer;
    Error err = {0};
    char more[200];
    VipsImage *image = corners(128, 64);
    if (vips_heifsave(image, in_folder("photo.heic"), "compression", VIPS_FOREIGN_HEIF_COMPRESSION_HEVC, NULL) != 0) {
        print_message("no HEVC encoder here: the HEIC path is not tried (%s)\n", vips_error_buffer());
        vips_error_clear();
        g_object_unref(image);
        return;
    }
    g_object_unref(image);
    expect_inspect("photo.heic", "{\"mime_type\":\"image/heic\",\"extension\":\".heic\",\"width\":128,\"height\":64,");
    snprintf(more, sizeof more, ",\"convert_to\":\"%s\"", in_folder("photo.png"));
    if (call("inspect", params_text("photo.heic", more), &answer, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_non_null(strstr(buffer_text(&answer), "\"mime_type\":\"image/png\",\"extension\":\".png\",\"width\":128,\"height\":64,\"orientation\":1"));
    assert_non_null(strstr(buffer_text(&answer), "\"converted_path\":"));
    buffer_clear(&answer);
    expect_inspect("photo.png", "{\"mime_type\":\"image/png\",\"extension\":\".png\",\"width\":128,\"height\":64,");
    copy_cut("photo.heic", "cut.heic", 0.7);
    expect_failure("cut.heic", STATUS_UNDECODABLE_MEDIA);
}

static void pages_are_counted_and_the_first_is_read(void **state) {
    (void)state;
    VipsImage *pages[3] = {corners(50, 20), NULL, corners(50, 20)}, *all = NULL;
    assert_int_equal(vips_invert(pages[0], &pages[1], NULL), 0); /* WebP's writer merges equal frames */
    assert_int_equal(vips_arrayjoin(pages, &all, 3, "across", 1, NULL), 0);
    vips_image_set_int(all, VIPS_META_PAGE_HEIGHT, 20);
    save(all, "pages.tif");
    save(all, "pages.gif");
    save(all, "pages.webp");
    expect_inspect("pages.tif", "\"width\":50,\"height\":20,\"orientation\":1,\"pages\":3");
    expect_inspect("pages.gif", "\"width\":50,\"height\":20,\"orientation\":1,\"pages\":3");
    expect_inspect("pages.webp", "\"width\":50,\"height\":20,\"orientation\":1,\"pages\":3");
    g_object_unref(all);
    for (int i = 0; i < 3; i++) g_object_unref(pages[i]);
}

/* ---- damage ---- */

/* Noise, so that every tenth of a file holds pixels. */
static void save_noise(const char *name) {
    VipsImage *noise = NULL, *bytes = NULL;
    assert_int_equal(vips_gaussnoise(&noise, 200, 150, "mean", 128.0, "sigma", 60.0, NULL), 0);
    assert_int_equal(vips_cast_uchar(noise, &bytes, NULL), 0);
    save(bytes, name);
    g_object_unref(noise);
    g_object_unref(bytes);
}

static void truncated_images_are_refused(void **state) {
    (void)state;
    static const char *const NAMES[] = {"n.jpg", "n.png", "n.webp", "n.gif", "n.tif"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        save_noise(NAMES[i]);
        expect_inspect(NAMES[i], "\"width\":200");
        for (double part = 0.05; part < 0.95; part += 0.15) {
            char cut[32];
            snprintf(cut, sizeof cut, "cut_%s", NAMES[i]);
            copy_cut(NAMES[i], cut, part);
            expect_failure(cut, STATUS_UNDECODABLE_MEDIA);
        }
    }
}

static void what_is_no_image_is_refused(void **state) {
    (void)state;
    write_file("empty.png", "", 0);
    write_file("one.jpg", "\xFF", 1);
    write_file("text.gif", "hello, I am no picture at all", 29);
    write_file("only.png", "\x89PNG\r\n\x1A\n", 8);
    write_file("only.jpg", "\xFF\xD8\xFF", 3);
    write_file("vector.png", "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"/>", 63);
    static const char *const NAMES[] = {"empty.png", "one.jpg", "text.gif", "only.png", "only.jpg", "vector.png"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) expect_failure(NAMES[i], STATUS_UNDECODABLE_MEDIA);
    expect_failure("missing.png", STATUS_NOT_FOUND);
}

static uint32_t crc32_of(const unsigned char *p, size_t n) {
    uint32_t c = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
    }
    return ~c;
}

static void put_be32(unsigned char *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static void an_enormous_header_is_refused_before_decoding(void **state) {
    (void)state;
    unsigned char png[8 + 25 + 12 + 2] = "\x89PNG\r\n\x1A\n";
    unsigned char *ihdr = png + 8;
    put_be32(ihdr, 13);
    memcpy(ihdr + 4, "IHDR", 4);
    put_be32(ihdr + 8, 60000);
    put_be32(ihdr + 12, 60000);
    memcpy(ihdr + 16, "\x08\x02\x00\x00\x00", 5);
    put_be32(ihdr + 21, crc32_of(ihdr + 4, 17));
    put_be32(ihdr + 25, 2);
    memcpy(ihdr + 29, "IDAT\x78\x9C", 6);
    put_be32(ihdr + 35, crc32_of(ihdr + 29, 6));
    write_file("enormous.png", png, sizeof png);
    expect_failure("enormous.png", STATUS_IMAGE_TOO_LARGE);

    unsigned char bmp[54 + 4] = "BM";
    bmp[10] = 54, bmp[14] = 40, bmp[26] = 1, bmp[28] = 24;
    bmp[20] = 1, bmp[24] = 1; /* 65536 x 65536 */
    write_file("enormous.bmp", bmp, sizeof bmp);
    expect_failure("enormous.bmp", STATUS_IMAGE_TOO_LARGE);

    Buffer answer;
    Error err = {0};
    save_corners("ten.png", 10, 10);
    assert_int_equal(call("inspect", params_text("ten.png", ",\"max_pixels\":99"), &answer, &err), STATUS_IMAGE_TOO_LARGE);
    buffer_clear(&answer);
}

static void a_tiff_loop_ends(void **state) {
    (void)state;
    /* one directory of a 1 x 1 grey image whose next directory is itself */
    unsigned char tiff[8 + 2 + 8 * 12 + 4 + 1] = "II\x2A\x00\x08";
    static const uint16_t TAGS[8][3] = {{256, 3, 1}, {257, 3, 1}, {258, 3, 8}, {259, 3, 1}, {262, 3, 1}, {273, 4, 110}, {278, 3, 1}, {279, 4, 1}};
    tiff[8] = 8;
    for (int i = 0; i < 8; i++) {
        unsigned char *entry = tiff + 10 + 12 * i;
        entry[0] = (unsigned char)TAGS[i][0], entry[1] = (unsigned char)(TAGS[i][0] >> 8);
        entry[2] = (unsigned char)TAGS[i][1];
        entry[4] = 1;
        entry[8] = (unsigned char)TAGS[i][2];
    }
    tiff[10 + 96] = 8; /* the next directory is the first again */
    write_file("loop.tif", tiff, sizeof tiff);
    Buffer answer;
    Error err = {0};
    Status status = call("inspect", params_text("loop.tif", ""), &answer, &err); /* either way is right, but it ends */
    assert_true(status == STATUS_OK || status == STATUS_UNDECODABLE_MEDIA);
    buffer_clear(&answer);
}

static void a_gif_of_ten_thousand_frames_is_refused(void **state) {
    (void)state;
    static const char HEAD[] = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xFF\xFF\xFF";
    static const char FRAME[] = "\x21\xF9\x04\x00\x01\x00\x00\x00\x2C\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01";
    Buffer gif;
    buffer_init(&gif, 1 << 20);
    buffer_append(&gif, HEAD, sizeof HEAD - 1);
    for (int i = 0; i < 10000; i++) buffer_append(&gif, FRAME, sizeof FRAME); /* with the NUL: the end of the frame's blocks */
    buffer_append_byte(&gif, 0x3B);
    write_file("many.gif", gif.data, gif.size);
    buffer_clear(&gif);
    expect_failure("many.gif", STATUS_IMAGE_TOO_LARGE);
}

/* ---- thumbnail ---- */

static void thumbnails_are_upright_and_never_larger(void **state) {
    (void)state;
    Buffer answer;
    Error err = {0};
    char more[300];
    static const struct {
        const char *extension, *mime;
    } OUTPUTS[] = {{"t.jpg", "image/jpeg"}, {"t.png", "image/png"}, {"t.webp", "image/webp"}};
    VipsImage *image = corners(300, 100);
    vips_image_set_int(image, VIPS_META_ORIENTATION, 6);
    save(image, "turned.jpg");
    g_object_unref(image);
    for (size_t i = 0; i < 3; i++) {
        char expected[100];
        snprintf(more, sizeof more, ",\"size\":120,\"output\":\"%s\"", in_folder(OUTPUTS[i].extension));
        if (call("thumbnail", params_text("turned.jpg", more), &answer, &err) != STATUS_OK) fail_msg("%s", err.message);
        snprintf(expected, sizeof expected, "{\"width\":40,\"height\":120,\"mime_type\":\"%s\"}", OUTPUTS[i].mime);
        assert_string_equal(buffer_text(&answer), expected);
        buffer_clear(&answer);
    }
    snprintf(more, sizeof more, ",\"size\":1000,\"output\":\"%s\"", in_folder("t.png"));
    assert_int_equal(call("thumbnail", params_text("turned.jpg", more), &answer, &err), STATUS_OK);
    assert_non_null(strstr(buffer_text(&answer), "\"width\":100,\"height\":300"));
    buffer_clear(&answer);
    snprintf(more, sizeof more, ",\"size\":0,\"output\":\"%s\"", in_folder("t.png"));
    assert_int_equal(call("thumbnail", params_text("turned.jpg", more), &answer, &err), STATUS_VALIDATION_ERROR);
    buffer_clear(&answer);
    snprintf(more, sizeof more, ",\"size\":50,\"output\":\"%s\"", in_folder("no/such/folder.jpg"));
    assert_int_equal(call("thumbnail", params_text("turned.jpg", more), &answer, &err), STATUS_IO);
    buffer_clear(&answer);
}

/* ---- the program ---- */

static void ask_program(int fd, const char *request, const char *expected) {
    Buffer reply;
    Error err = {0};
    buffer_init(&reply, CHANNEL_MAXIMUM);
    assert_int_equal(channel_send(fd, request, strlen(request), NULL), STATUS_OK);
    if (channel_receive(fd, 20, &reply, &err) != STATUS_OK) fail_msg("%s", err.message);
    if (!strstr(buffer_text(&reply), expected)) fail_msg("%s", buffer_text(&reply));
    buffer_clear(&reply);
}

static void the_program_serves_in_its_sandbox(void **state) {
    (void)state;
    int pair[2], status;
    char request[600], outside[] = "/tmp/media_outside_XXXXXX";
    assert_non_null(mkdtemp(outside));
    save_corners("served.png", 500, 400);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(pair[1], 3) < 0) _exit(1);
        fcntl(3, F_SETFD, 0); /* dup2 onto itself keeps the flag */
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* the leak checker reads /proc, which the sandbox hides */
        execl(program, program, "--write", folder, "--read", folder, (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    snprintf(request, sizeof request, "{\"id\":1,\"method\":\"inspect\",\"params\":{\"path\":\"%s\"}}", in_folder("served.png"));
    ask_program(pair[0], request, "\"width\":500,\"height\":400");
    snprintf(request, sizeof request, "{\"id\":2,\"method\":\"thumbnail\",\"params\":{\"path\":\"%s\",\"size\":64,\"output\":\"%s\"}}",
             in_folder("served.png"), in_folder("served.jpg"));
    ask_program(pair[0], request, "\"width\":64,\"height\":51");
    snprintf(request, sizeof request, "{\"id\":3,\"method\":\"thumbnail\",\"params\":{\"path\":\"%s\",\"size\":64,\"output\":\"%s/x.jpg\"}}",
             in_folder("served.png"), outside);
    ask_program(pair[0], request, "\"error\"");
    ask_program(pair[0], "{\"id\":4,\"method\":\"inspect\",\"params\":{\"path\":\"/etc/passwd\"}}", "\"code\":\"not_found\"");
    ask_program(pair[0], "{\"id\":5,\"method\":\"inspect\",\"params\":{}}", "\"code\":\"validation_error\"");
    close(pair[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(rmdir(outside), 0); /* and empty it was */
}

static int start(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/media_test_XXXXXX");
    return mkdtemp(folder) && picture_start("media_test", NULL) == STATUS_OK ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    return file_remove_tree(folder, NULL) == STATUS_OK ? 0 : -1;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    program = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_types_are_known_by_content),
        cmocka_unit_test(every_orientation_turns_the_size_and_the_pixels),
        cmocka_unit_test(odd_pixels_become_rgb),
        cmocka_unit_test(heic_becomes_png),
        cmocka_unit_test(pages_are_counted_and_the_first_is_read),
        cmocka_unit_test(truncated_images_are_refused),
        cmocka_unit_test(what_is_no_image_is_refused),
        cmocka_unit_test(an_enormous_header_is_refused_before_decoding),
        cmocka_unit_test(a_tiff_loop_ends),
        cmocka_unit_test(a_gif_of_ten_thousand_frames_is_refused),
        cmocka_unit_test(thumbnails_are_upright_and_never_larger),
        cmocka_unit_test(the_program_serves_in_its_sandbox),
    };
    return cmocka_run_group_tests_name("media", tests, start, stop);
}
