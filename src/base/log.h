/* Log: one JSON line on standard error per event. Never pass a secret: keys, signatures and tokens have no field here.
 *
 *     log_event(LOG_INFO, "worker_started", "worker", "media", "pid", "4711", NULL);
 */
#pragma once

typedef enum LogLevel { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR } LogLevel;

/* Events below this level are dropped; LOG_INFO at start. */
void log_set_level(LogLevel level);
/* Event name, then pairs of key and value (both const char *), then NULL. Thread-safe: one write(2) a line. */
void log_event(LogLevel level, const char *event, ...) __attribute__((sentinel));
/* A value for log_event made by printf rules; valid until the caller's block ends. */
#define log_text(...) (log_format((char[256]){0}, 256, __VA_ARGS__))
const char *log_format(char *out, unsigned long size, const char *format, ...) __attribute__((format(printf, 3, 4)));
