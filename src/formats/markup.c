/* What the writers of XML share. */
#include <string.h>

#include "formats/format.h"
#include "base/banned.h"

void markup_text(Buffer *out, const char *text) {
    static const char *const ESCAPES[128] = {['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\t'] = "&#9;", ['\n'] = "&#10;", ['\r'] = "&#13;"};
    static const char REPLACEMENT[] = "\xef\xbf\xbd";
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        bool noncharacter = c == 0xef && (unsigned char)p[1] == 0xbf && (unsigned char)p[2] >= 0xbe; /* U+FFFE and U+FFFF */
        if (c < 128 && ESCAPES[c]) buffer_append_text(out, ESCAPES[c]);
        else if (c < 0x20 || noncharacter) buffer_append_text(out, REPLACEMENT), p += noncharacter ? 2 : 0;
        else buffer_append_byte(out, (char)c);
    }
}

void markup_element(Buffer *out, const char *indent, const char *name, const char *text) {
    buffer_printf(out, "%s<%s>", indent, name);
    markup_text(out, text);
    buffer_printf(out, "</%s>\n", name);
}
