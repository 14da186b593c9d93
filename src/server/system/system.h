/* System: what the rest of the server asks of this feature, the sweep.
 *
 * What nobody needs any more goes. Called about once a minute; each round is short.
 *
 * Objects that deletions let go lie in discarded_objects until it is certain that no row names their bytes and that nobody is about to write one
 * (objects_remove leaves young files alone). Uploads that were never registered go after a day, with their bytes.
 * Files that no row names, left by a crash between rename and commit, go within two days: each call looks at one of OBJECTS_PARTS parts of the store.
 */
#pragma once
#include "server/server.h"

void sweep_discarded(Server *server);
void sweep_uploads(Server *server);
enum { SWEEP_FILES_SECONDS = 300 }; /* between two calls: all parts within 22 hours */
void sweep_files(Server *server);
