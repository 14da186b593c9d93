/* Time: wall time in milliseconds since 1970 for what is stored and shown, monotonic seconds for intervals. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t clock_now_ms(void);   /* UTC, milliseconds since 1970 */
double clock_monotonic(void); /* seconds, never goes back */
/* RFC 3339 in UTC with milliseconds and Z, "2026-04-19T10:15:30.123Z"; out needs CLOCK_TEXT_SIZE bytes. Returns out. */
enum { CLOCK_TEXT_SIZE = 32 };
char *clock_format(int64_t ms, char out[CLOCK_TEXT_SIZE]);
/* Reads RFC 3339 with any offset; false when it is not one. */
bool clock_parse(const char *text, int64_t *out_ms);
void clock_sleep(double seconds);
