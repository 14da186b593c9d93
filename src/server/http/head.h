/* Head: checks of header fields that the library leaves to us. Pure functions over text. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is this a field by RFC 9110, 5.1 and 5.5? The library lets pass "Content-Length : 5", which it does not take for a length while a proxy may, carriage
 * returns in values, and folded lines, whose second half it hangs on the name. Other control characters in values divide nothing and may stay, as 5.5 says. */
bool head_field_is_sound(const char *name, size_t name_size, const char *value, size_t value_size);
/* Decimal digits and nothing else, as Content-Length must be; -1 otherwise. */
int64_t head_content_length(const char *text);
/* Is this a sound value for building addresses from: a host name or address with an optional port? */
bool head_host_is_plain(const char *host);
