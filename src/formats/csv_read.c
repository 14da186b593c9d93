/* CSV in: a line a box, columns by their names in the first line: those of csv_write.c, or the usual others (class, xmin, ymin, xmax, ymax).
 *
 * The lines of one image may lie anywhere in the file, which is read twice: first for the places of each image's lines, of which those that stand
 * together count as one, then image by image. A copy of the text is taken apart in place: cells stay where they are, without their quotes.
 * Of an image that several files list, or one by two names, the boxes are put together, each once.
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
enum { HEADER_COUNT = sizeof HEADERS / sizeof *HEADERS, COLUMNS_MAX = 256, PIECE_MAX = 1 << 16 };

typedef struct Line {
    const char *cells[COLUMN_COUNT]; /* NULL: not there */
    size_t number;                   /* of the line in the file */
} Line;

/* Lines of one image that stand together. */
typedef struct Lines {
    size_t at, size; /* of their text */
    size_t number;   /* of the first */
    size_t next;     /* those of the same image that follow; SIZE_MAX: none */
} Lines;

typedef struct CsvReader {
    Reader *reader;
    const char *file;
    LongText text;
    char separator; /* between cells */
    Column columns[COLUMNS_MAX]; /* of the cells of a line; NO_COLUMN: not of interest */
    size_t column_count;
    Lines *lines; /* heap */
    size_t line_count, line_capacity;
    StringMap images; /* path -> index among them */
    struct CsvImage {
        const char *path;
        size_t first, last;
        struct CsvReader *table;
        TreeFile *file;        /* NULL: missing */
        struct CsvImage *next; /* of the same file */
        bool merged;           /* its boxes went to an earlier one's */
    } *list; /* in order of appearance; heap */
    size_t image_count, image_capacity;
    Merged merged;
} CsvReader;

/* ---- lines and cells ---- */

/* Where the parser stands. */
typedef struct Cursor {
    char *at, *end;
    size_t line; /* from 1 */
    char separator;
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
    c->separator = cursor->separator;
    c->column_count = 0;
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
    *line = (Line){.number = cursor->line};
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
    return folder ? name_join(&c->reader->image_arena, folder, filename) : filename;
}

static struct CsvImage *image_of(CsvReader *c, const char *path) {
    size_t image = string_map_get_or_set(&c->images, path, c->image_count);
    if (image < c->image_count) return &c->list[image];
    if (c->image_count == c->image_capacity) {
        c->image_capacity = c->image_capacity ? 2 * c->image_capacity : 256;
        c->list = xrealloc(c->list, c->image_capacity * sizeof *c->list);
    }
    reader_claim_image(c->reader, c->file, path);
    c->list[c->image_count] = (struct CsvImage){.path = arena_strdup(c->reader->arena, path), .first = SIZE_MAX, .last = SIZE_MAX};
    return &c->list[c->image_count++];
}

/* at: where the line stands. */
static void add_line(CsvReader *c, const Line *line, size_t at, size_t size) {
    if (!line->cells[FILENAME] || !text_is_utf8(line->cells[FILENAME], strlen(line->cells[FILENAME]))) {
        reader_leave_out(c->reader, c->file, "line %zu: names no image; left out", line->number);
        return;
    }
    struct CsvImage *image = image_of(c, path_of(c, line));
    Lines *last = image->last == SIZE_MAX ? NULL : &c->lines[image->last];
    arena_reset(&c->reader->image_arena);
    if (last && last->at + last->size == at && last->size + size <= PIECE_MAX) {
        last->size += size;
        return;
    }
    if (last) last->next = c->line_count;
    else image->first = c->line_count;
    image->last = c->line_count;
    if (c->line_count == c->line_capacity) {
        c->line_capacity = c->line_capacity ? 2 * c->line_capacity : 256;
        c->lines = xrealloc(c->lines, c->line_capacity * sizeof *c->lines);
    }
    c->lines[c->line_count++] = (Lines){at, size, line->number, SIZE_MAX};
}

/* False when the first line is no header of boxes. */
static bool read_lines(CsvReader *c) {
    Buffer copy;
    size_t at = 0, least = 1, number = 1;
    bool is_fine = true;
    buffer_init(&copy, SIZE_MAX / 2);
    while (at < c->text.size && is_fine) {
        size_t size;
        const char *piece = long_text_at(&c->text, at, least, &size);
        if (!size) break; /* the text has become shorter */
        bool is_last = at + size == c->text.size;
        buffer_reset(&copy);
        buffer_append(&copy, piece, size);
        Cursor cursor = {copy.data, copy.data + size, number, c->separator};
        char *done = cursor.at;
        while (cursor.at < cursor.end && is_fine) {
            Line line = {0};
            bool is_header = at == 0 && done == copy.data, is_filled = false;
            if (is_header) read_header(c, &cursor);
            else is_filled = read_line(c, &cursor, &line);
            if (cursor.at == cursor.end && !is_last) break; /* it may go on */
            if (is_header) is_fine = has_columns(c);
            else if (is_filled) add_line(c, &line, at + (size_t)(done - copy.data), (size_t)(cursor.at - done));
            done = cursor.at;
            number = cursor.line;
        }
        least = done == copy.data ? 2 * size : 1; /* a line that is longer than what was in memory */
        at += (size_t)(done - copy.data);
    }
    buffer_clear(&copy);
    return is_fine && has_columns(c);
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

static bool begin_image(struct CsvImage *entry, DatasetImage *out) {
    CsvReader *c = entry->table;
    if (entry->file) {
        entry->file->seen = true;
        *out = reader_image(c->reader, entry->file);
        return true;
    }
    if (!reader_missing_image(c->reader, c->file, entry->path, out)) return false;
    if (c->reader->tree->image_count) reader_warn(c->reader, c->file, "image %s is missing", entry->path);
    return true;
}

static void read_size(CsvReader *c, const Line *line, DatasetImage *image) {
    double width = 0, height = 0;
    if (!number(line, WIDTH, &width) || !number(line, HEIGHT, &height)) width = 0;
    reader_settle_size(c->reader, image, c->file, width, height);
}

/* What the first line of an image says of it; false when the image is left out. */
static bool read_facts(struct CsvImage *entry, const Line *first, DatasetImage *image) {
    if (entry->merged) {
        read_size(entry->table, first, &(DatasetImage){.filename = image->filename, .path = image->path});
        return true;
    }
    if (!begin_image(entry, image)) return false;
    read_size(entry->table, first, image);
    if (is_utf8(first->cells[IMAGE_ID])) image->id = first->cells[IMAGE_ID];
    if (is_utf8(first->cells[STATUS])) image->status = first->cells[STATUS];
    const char *split = first->cells[SPLIT] ? name_split(first->cells[SPLIT], strlen(first->cells[SPLIT])) : NULL;
    if (split) image->split = split;
    image->labelled = true;
    return true;
}

/* False when the image is left out. */
static bool read_lines_of(struct CsvImage *entry, DatasetImage *image) {
    CsvReader *c = entry->table;
    Reader *r = c->reader;
    StringMap ids;
    bool has_facts = false;
    string_map_init(&ids, &r->image_arena);
    for (size_t i = entry->first; i != SIZE_MAX; i = c->lines[i].next) {
        size_t size;
        const char *piece = long_text_at(&c->text, c->lines[i].at, c->lines[i].size, &size);
        size = size < c->lines[i].size ? size : c->lines[i].size;
        char *copy = arena_strndup(&r->image_arena, piece, size);
        for (Cursor cursor = {copy, copy + size, c->lines[i].number, c->separator}; cursor.at < cursor.end;) {
            Line line;
            if (!read_line(c, &cursor, &line)) continue;
            if (!has_facts && !read_facts(entry, &line, image)) return false;
            has_facts = true;
            if (!says_nothing(&line)) read_annotation(c, image, &line, &ids);
        }
    }
    return has_facts;
}

static Status read_image(struct CsvImage *entry, Error *err) {
    DatasetImage image;
    United united = {0};
    if (entry->merged || !read_lines_of(entry, &image)) return STATUS_OK;
    for (struct CsvImage *other = entry->next; other; other = other->next) {
        size_t before = image.annotations.count;
        other->merged = true;
        read_lines_of(other, &image);
        reader_unite(other->table->reader, &united, &image.annotations, before, &other->table->merged);
    }
    return reader_deliver(entry->table->reader, &image, err);
}

/* ---- tables ---- */

static void open_table(CsvReader *c) {
    string_map_init(&c->images, c->reader->arena);
    if (!read_lines(c)) reader_warn(c->reader, c->file, "a table, but not of boxes; passed over");
}

/* When all have claimed their images: who speaks of which, in the order of the tables. */
static void find_images(CsvReader *tables, size_t count) {
    Reader *r = tables->reader;
    struct CsvImage **first = xcalloc(r->tree->count + 1, sizeof *first);
    for (size_t n = count; n-- > 0;) {
        CsvReader *c = &tables[n];
        for (size_t i = c->image_count; i-- > 0;) {
            struct CsvImage *image = &c->list[i];
            image->table = c;
            image->file = reader_find_image(r, c->file, image->path);
            if (!image->file) continue;
            image->next = first[image->file - r->tree->files];
            first[image->file - r->tree->files] = image;
        }
    }
    free(first);
}

static Status read_tables(CsvReader *tables, size_t count, Error *err) {
    Status status = STATUS_OK;
    if (count) find_images(tables, count);
    for (CsvReader *c = tables; c < tables + count; c++)
        for (size_t i = 0; i < c->image_count && status == STATUS_OK; i++) status = read_image(&c->list[i], err);
    for (CsvReader *c = tables; c < tables + count; c++) {
        reader_tell_merged(c->reader, c->file, &c->merged);
        free(c->lines);
        free(c->list);
        long_text_close(&c->text);
    }
    return status;
}

Status csv_read_text(Reader *r, const char *file, const char *text, size_t size, Error *err) {
    CsvReader c = {.reader = r, .file = file};
    long_text_of_bytes(&c.text, text, size);
    open_table(&c);
    return read_tables(&c, 1, err);
}

Status csv_read(Reader *r, Error *err) {
    CsvReader *tables = NULL;
    size_t count = 0, capacity = 0;
    for (size_t i = 0; i < r->tree->count; i++) {
        const TreeFile *file = &r->tree->files[i];
        CsvReader c = {.reader = r, .file = file->path};
        if (!takes(r->dataset, file) || !reader_open_text(r, file, &c.text)) continue;
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 8;
            tables = xrealloc(tables, capacity * sizeof *tables);
        }
        open_table(&c);
        tables[count++] = c;
    }
    Status status = read_tables(tables, count, err);
    free(tables);
    return status;
}
