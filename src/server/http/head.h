/* Head: checks of header fields that the library leaves to us. Pure functions over text. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Decimal digits and nothing else, as Content-Length must be; -1 otherwise. */
int64_t head_content_length(const char *text);
/* Is this a sound value for building addresses from: a host name or address with an optional port? */
bool head_host_is_plain(const char *host);
