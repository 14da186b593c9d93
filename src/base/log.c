#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/banned.h"

static _Atomic LogLevel lowest = LOG_INFO;

void log_set_level(LogLevel level) { atomic_store(&lowest, level); }

void log_event(LogLevel level, const char *event, ...) {
    static const char *const NAMES[] = {"debug", "info", "warning", "error"};
    if (level < atomic_load(&lowest)) return;
    char now[CLOCK_TEXT_SIZE];
    Buffer line;
    JsonWriter w;
    buffer_init(&line, 16384);
    json_writer_init(&w, &line);
    json_begin_object(&w);
    json_field_string(&w, "time", clock_format(clock_now_ms(), now));
    json_field_string(&w, "level", NAMES[level]);
    json_field_string(&w, "event", event);
    va_list args;
    va_start(args, event);
    for (const char *key = va_arg(args, const char *); key; key = va_arg(args, const char *))
        json_field_string(&w, key, va_arg(args, const char *));
    va_end(args);
    json_end_object(&w);
    buffer_append_byte(&line, '\n');
    if (!line.failed && write(STDERR_FILENO, line.data, line.size) < 0) { /* nowhere left to report to */ }
    buffer_clear(&line);
}

const char *log_format(char *out, unsigned long size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(out, size, format, args);
    va_end(args);
    return out;
}
