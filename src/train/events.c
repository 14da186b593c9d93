/* See events.h. */
#include "train/events.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/banned.h"

enum { LINE_MAXIMUM = 1 << 20 };

void events_init(Events *events, int fd) {
    events->fd = fd;
    events->last = 0;
    pthread_mutex_init(&events->mutex, NULL);
}

JsonWriter *event_begin(EventLine *line, Events *events, const char *name) {
    line->events = events;
    buffer_init(&line->buffer, LINE_MAXIMUM);
    json_writer_init(&line->writer, &line->buffer);
    json_begin_object(&line->writer);
    json_field_string(&line->writer, "event", name);
    return &line->writer;
}

void event_end(EventLine *line) {
    json_end_object(&line->writer);
    buffer_append_byte(&line->buffer, '\n');
    Events *events = line->events;
    pthread_mutex_lock(&events->mutex);
    if (events->fd >= 0 && !line->buffer.failed)
        file_write_all(events->fd, line->buffer.data, line->buffer.size, NULL); /* whoever listened may be gone: the run goes on */
    events->last = clock_monotonic();
    pthread_mutex_unlock(&events->mutex);
    buffer_clear(&line->buffer);
}

void event_warning(Events *events, const char *file, const char *message) {
    EventLine line;
    JsonWriter *w = event_begin(&line, events, "warning");
    if (file) json_field_string(w, "file", file);
    json_field_string(w, "message", message);
    event_end(&line);
}
