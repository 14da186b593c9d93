/* See the header. */
#include "formats/composer.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "base/banned.h"

struct Composer {
    struct archive *archive; /* keeps the tables of conversion for its entry */
    struct archive_entry *entry;
    locale_t utf8;
};

Composer *composer_new(void) {
    Composer *composer = xcalloc(1, sizeof *composer);
    composer->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    composer->archive = archive_read_new();
    composer->entry = composer->archive ? archive_entry_new2(composer->archive) : NULL;
    return composer;
}

const char *composer_form(Composer *composer, const char *name) {
    if (!composer || !composer->entry || !composer->utf8 || text_is_ascii(name)) return name;
    locale_t before = uselocale(composer->utf8); /* of this thread alone */
    archive_entry_clear(composer->entry);
    const char *form = archive_entry_update_pathname_utf8(composer->entry, name) ? archive_entry_pathname(composer->entry) : NULL;
    uselocale(before);
    return form ? form : name;
}

void composer_free(Composer *composer) {
    if (!composer) return;
    archive_entry_free(composer->entry);
    archive_read_free(composer->archive);
    if (composer->utf8) freelocale(composer->utf8);
    free(composer);
}
