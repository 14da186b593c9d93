/* What a run says: one JSON object a line on a stream, whole lines only, from any thread.
 *
 *     EventLine line; JsonWriter *w = event_begin(&line, events, "epoch");
 *     json_field_int(w, "epoch", 3); event_end(&line);
 */
#pragma once
#include <pthread.h>

#include "base/json.h"

typedef struct Events {
    int fd; /* -1: nobody listens */
    pthread_mutex_t mutex;
    double last; /* when a line was written */
} Events;

typedef struct EventLine {
    Events *events;
    Buffer buffer;
    JsonWriter writer;
} EventLine;

void events_init(Events *events, int fd);
JsonWriter *event_begin(EventLine *line, Events *events, const char *name);
void event_end(EventLine *line);
/* {"event": "warning", "file": …, "message": …}; file may be NULL. */
void event_warning(Events *events, const char *file, const char *message);
