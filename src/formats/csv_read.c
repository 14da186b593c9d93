/* CSV in: a line a box, columns by their names in the first line: those of csv_write.c, or the usual others (class, xmin, ymin, xmax, ymax).
 *
 * The lines of one image may lie anywhere in the file. The text is taken apart in place: cells stay where they are, without their quotes.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "formats/format.h"
#include "formats/names.h"
#include "base/banned.h"

typedef enum Column {
    IMAGE_ID, FILENAME, FOLDER, WIDTH, HEIGHT, STATUS, ANNOTATION_ID, NAME, X, Y, W, H, X2, Y2, CONFIDENCE, CREATED_BY, SPLIT, COLUMN_COUNT, NO_COLUMN = COLUMN_COUNT
} Column;
static const struct {
    const char *name;
    Column column;
} HEADERS[] = {
    {"image_id", IMAGE_ID}, {"filename", FILENAME}, {"file_name", FILENAME}, {"image", FILENAME}, {"image_path", FILENAME}, {"path", FILENAME}, {"folder", FOLDER}, {"width", WIDTH}, {"height", HEIGHT},
    {"status", STATUS}, {"annotation_id", ANNOTATION_ID}, {"name", NAME}, {"class", NAME}, {"label", NAME}, {"class_name", NAME}, {"category", NAME}, {"x", X}, {"y", Y}, {"w", W}, {"h", H},
    {"xmin", X}, {"ymin", Y}, {"xmax", X2}, {"ymax", Y2}, {"x_min", X}, {"y_min", Y}, {"x_max", X2}, {"y_max", Y2}, {"x1", X}, {"y1", Y}, {"x2", X2}, {"y2", Y2}, {"confidence", CONFIDENCE}, {"score", CONFIDENCE},
    {"created_by", CREATED_BY}, {"split", SPLIT},
};
enum { HEADER_COUNT = sizeof HEADERS / sizeof *HEADERS, COLUMNS_MAX = 256 };

typedef struct Line {
    const char *cells[COLUMN_COUNT]; /* NULL: not there */
    size_t number;                   /* of the line in the file */
    size_t next;                     /* of its image; SIZE_MAX: none */
} Line;

typedef struct CsvReader {
    Reader *reader;
    const char *file;
    Column columns[COLUMNS_MAX]; /* of the cells of a line; NO_COLUMN: not of interest */
    size_t column_count;
    Line *lines; /* heap */
    size_t line_count, line_capacity;
    StringMap images; /* path -> index among them */
    struct CsvImage {
        const char *path;
        size_t first, last;
    } *list; /* in order of appearance; heap */
    size_t image_count, image_capacity;
} CsvReader;

/* ---- lines and cells ---- */

/* Where the parser stands. */
typedef struct Cursor {
    char *at, *end;
    size_t line; /* from 1 */
    char separator; /* between cells */
} Cursor;

/* The next cell, in place; *last when it ends its line. A quote within an unquoted cell is a character. */
static char *next_cell(Cursor *c, bool *last) {
    char *cell = c->at, *to = c->at;
    bool quoted = c->at < c->end && *c->at == '"';
    if (quoted) {
        cell = to = ++c->at;
        while (c->at < c->end && (*c->at != '"' || (c->at + 1 < c->end && c->at[1] == '"'))) {
            if (*c->at == '"') c->at++;
            c->line += *c->at == '\n';
            *to++ = *c->at++;
        }
        if (c->at < c->end) c->at++; /* its quote */
    }
    const char stops[] = {c->separator, '\r', '\n', '\0'};
    while (c->at < c->end && !strchr(stops, *c->at)) *to++ = *c->at++; /* a NUL is found by strchr, too, and ends the cell */
    char stop = c->at < c->end ? *c->at++ : '\n';
    if (stop == '\r' && c->at < c->end && *c->at == '\n') c->at++;
    *last = stop != c->separator && stop != '\0';
    c->line += *last;
    *to = '\0'; /* at the latest on the separator, which was read */
    return cell;
}

static const char *trimmed(char *cell) {
    cell += strspn(cell, " \t");
    size_t length = strlen(cell);
    while (length && strchr(" \t", cell[length - 1])) length--;
    cell[length] = '\0';
    return cell;
}

/* Takes the guard of csv_write.c away. */
static const char *unguarded(const char *cell) {
    size_t quotes = strspn(cell, "'");
    return quotes && cell[quotes] && strchr("=+-@\t\r", cell[quotes]) ? cell + 1 : cell;
}

static void read_header(CsvReader *c, Cursor *cursor) {
    if (text_starts_with(cursor->at, TEXT_MARK)) cursor->at += strlen(TEXT_MARK);
    cursor->separator = cursor->at[strcspn(cursor->at, ",;\t\r\n")];
    if (!cursor->separator || !strchr(",;\t", cursor->separator)) cursor->separator = ',';
    bool seen[COLUMN_COUNT] = {false};
    for (bool last = false; !last;) {
        const char *cell = trimmed(next_cell(cursor, &last));
        size_t i = 0;
        while (i < HEADER_COUNT && !text_equal_ignoring_case(HEADERS[i].name, cell)) i++;
        Column column = i < HEADER_COUNT && !seen[HEADERS[i].column] ? HEADERS[i].column : NO_COLUMN;
        if (c->column_count == COLUMNS_MAX) continue;
        c->columns[c->column_count++] = column;
        if (column != NO_COLUMN) seen[column] = true;
    }
}

static bool has_columns(const CsvReader *c) {
    bool has[COLUMN_COUNT + 1] = {false};
    for (size_t i = 0; i < c->column_count; i++) has[c->columns[i]] = true;
    return has[FILENAME] && has[NAME] && has[X] && has[Y] && ((has[W] && has[H]) || (has[X2] && has[Y2]));
}

/* False at an empty line. */
static bool read_line(CsvReader *c, Cursor *cursor, Line *line) {
    size_t filled = 0, index = 0;
    *line = (Line){.number = cursor->line, .next = SIZE_MAX};
    for (bool last = false; !last; index++) {
        const char *cell = next_cell(cursor, &last);
        if (!*cell || index >= c->column_count || c->columns[index] == NO_COLUMN) continue;
        line->cells[c->columns[index]] = unguarded(cell);
        filled++;
    }
    return filled > 0;
}

/* ---- recognising ---- */

static bool takes(const Dataset *d, const TreeFile *file) { return reader_takes(d, file, ".csv"); }

static bool looks_like_csv(const Tree *tree, const TreeFile *file) {
    Buffer ends;
    CsvReader c = {0};
    bool is = reader_peek(tree, file, &ends);
    if (is) {
        read_header(&c, &(Cursor){ends.data, ends.data + ends.size, 1, ','});
        is = has_columns(&c);
    }
    buffer_clear(&ends);
    return is;
}

bool csv_detect(const Dataset *d) { return reader_finds_file(d, takes, looks_like_csv); }

/* ---- grouping ---- */

/* "a/b/photo.jpg": the file's name below its folder, which starts with a slash in our own files. */
static const char *path_of(CsvReader *c, const Line *line) {
    const char *folder = line->cells[FOLDER], *filename = line->cells[FILENAME];
    return folder ? name_join(c->reader->arena, folder, filename) : filename;
}

static void add_line(CsvReader *c, Line *line) {
    if (!line->cells[FILENAME] || !text_is_utf8(line->cells[FILENAME], strlen(line->cells[FILENAME]))) {
        reader_leave_out(c->reader, c->file, "line %zu: names no image; left out", line->number);
        return;
    }
    if (c->line_count == c->line_capacity) {
        c->line_capacity = c->line_capacity ? 2 * c->line_capacity : 1024;
        c->lines = xrealloc(c->lines, c->line_capacity * sizeof *c->lines);
    }
    const char *path = path_of(c, line);
    size_t image = string_map_get_or_set(&c->images, path, c->image_count);
    if (image == c->image_count) {
        if (c->image_count == c->image_capacity) {
            c->image_capacity = c->image_capacity ? 2 * c->image_capacity : 256;
            c->list = xrealloc(c->list, c->image_capacity * sizeof *c->list);
        }
        c->list[c->image_count++] = (struct CsvImage){path, c->line_count, c->line_count};
        reader_claim_image(c->reader, c->file, path);
    } else {
        c->lines[c->list[image].last].next = c->line_count;
        c->list[image].last = c->line_count;
    }
    c->lines[c->line_count++] = *line;
}

/* ---- boxes and images ---- */

static bool number(const Line *line, Column column, double *out) {
    return line->cells[column] && text_to_number(line->cells[column], out) && isfinite(*out);
}

static bool read_box(const Line *line, Box *out) {
    double x2, y2;
    if (!number(line, X, &out->x) || !number(line, Y, &out->y)) return false;
    if (number(line, W, &out->w) && number(line, H, &out->h)) return true;
    if (!number(line, X2, &x2) || !number(line, Y2, &y2)) return false;
    out->w = x2 - out->x;
    out->h = y2 - out->y;
    return true;
}

static bool is_utf8(const char *text) { return !text || text_is_utf8(text, strlen(text)); }

/* A line without class and numbers says only that the image is there. */
static bool says_nothing(const Line *line) { return !line->cells[NAME] && !line->cells[X] && !line->cells[ANNOTATION_ID]; }

static void read_annotation(CsvReader *c, DatasetImage *image, const Line *line, StringMap *ids) {
    Reader *r = c->reader;
    const char *name = line->cells[NAME], *id = line->cells[ANNOTATION_ID];
    const char *what = arena_printf(&r->image_arena, "line %zu", line->number);
    Annotation annotation = {.name = name, .confidence = 1};
    if (!name || text_is_blank(name) || !is_utf8(name)) {
        reader_leave_out(r, c->file, "%s: no class; left out", what);
        return;
    }
    if (!read_box(line, &annotation.bounding_box)) {
        reader_leave_out(r, c->file, "%s (%s): no box of four numbers; left out", what, name);
        return;
    }
    if (!id || text_is_blank(id) || !is_utf8(id)) id = what;
    while (string_map_get_or_set(ids, id, line->number) != line->number) id = arena_printf(&r->image_arena, "%s#%zu", id, line->number);
    annotation.id = id;
    double confidence;
    if (number(line, CONFIDENCE, &confidence) && confidence >= 0 && confidence <= 1) annotation.confidence = confidence;
    if (is_utf8(line->cells[CREATED_BY])) annotation.created_by = line->cells[CREATED_BY];
    reader_add_box(r, image, c->file, arena_printf(&r->image_arena, "%s (%s)", what, name), annotation);
}

static bool begin_image(CsvReader *c, const char *path, DatasetImage *out) {
    Reader *r = c->reader;
    TreeFile *file = reader_find_image(r, c->file, path);
    if (file && file->seen) {
        reader_leave_file_out(r, c->file, "image %s is listed twice; the second is left out", path);
        return false;
    }
    if (file) {
        file->seen = true;
        *out = reader_image(r, file);
        return true;
    }
    if (!reader_missing_image(r, c->file, path, out)) return false;
    if (r->tree->image_count) reader_warn(r, c->file, "image %s is missing", path);
    return true;
}

static Status read_image(CsvReader *c, const struct CsvImage *entry, Error *err) {
    Reader *r = c->reader;
    const Line *first = &c->lines[entry->first];
    DatasetImage image;
    StringMap ids;
    double width = 0, height = 0;
    if (!begin_image(c, entry->path, &image)) return STATUS_OK;
    if (!number(first, WIDTH, &width) || !number(first, HEIGHT, &height)) width = 0;
    reader_settle_size(r, &image, c->file, width, height);
    if (is_utf8(first->cells[IMAGE_ID])) image.id = first->cells[IMAGE_ID];
    if (is_utf8(first->cells[STATUS])) image.status = first->cells[STATUS];
    const char *split = first->cells[SPLIT] ? name_split(first->cells[SPLIT], strlen(first->cells[SPLIT])) : NULL;
    if (split) image.split = split;
    image.labelled = true;
    string_map_init(&ids, &r->image_arena);
    for (size_t i = entry->first; i != SIZE_MAX; i = c->lines[i].next) {
        if (!says_nothing(&c->lines[i])) read_annotation(c, &image, &c->lines[i], &ids);
    }
    return reader_deliver(r, &image, err);
}

Status csv_read_text(Reader *r, const char *file, char *text, size_t size, Error *err) {
    CsvReader c = {.reader = r, .file = file};
    Cursor cursor = {text, text + size, 1, ','};
    Line line;
    Status status = STATUS_OK;
    string_map_init(&c.images, r->arena);
    if (size) read_header(&c, &cursor);
    if (!has_columns(&c)) {
        reader_warn(r, file, "a table, but not of boxes; passed over");
        return STATUS_OK;
    }
    while (cursor.at < cursor.end) {
        if (read_line(&c, &cursor, &line)) add_line(&c, &line);
    }
    for (size_t i = 0; i < c.image_count && status == STATUS_OK; i++) status = read_image(&c, &c.list[i], err);
    free(c.lines);
    free(c.list);
    return status;
}

Status csv_read(Reader *r, Error *err) {
    Status status = STATUS_OK;
    for (size_t i = 0; i < r->tree->count && status == STATUS_OK; i++) {
        const TreeFile *file = &r->tree->files[i];
        Buffer text;
        if (!takes(r->dataset, file) || !reader_text(r, file, &text)) continue;
        status = csv_read_text(r, file->path, text.data, text.size, err);
        buffer_clear(&text);
    }
    return status;
}
