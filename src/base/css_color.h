/* Colours as CSS Color 4 writes them: #rgb, #rgba, #rrggbb, #rrggbbaa, the named colours, rgb() and its kin. */
#pragma once
#include <stdbool.h>

/* Of functions the shape is checked (as many values as they take, numbers or none), not the ranges: browsers clip those.
 * NULL is none, nor is anything longer than the contract takes. */
bool css_color_is_valid(const char *text);
