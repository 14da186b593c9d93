/* System: what the rest of the server asks of this feature, the sweep.
 *
 * What nobody needs any more goes. Called about once a minute; each round is short.
 *
 * Objects that deletions let go lie in discarded_objects until it is certain that no row names their bytes and that nobody is about to write one
 * (objects_remove leaves young files alone). Uploads that were never registered go after a day, with their bytes.
 */
#pragma once
#include "server/server.h"

void sweep_discarded(Server *server);
void sweep_uploads(Server *server);
