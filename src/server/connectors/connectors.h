/* Connectors: imports from V7 and Roboflow by their public HTTP interfaces.
 *
 * The key of the source lives in the memory of this process alone, from the start of an import to its end. After a restart it is gone: such an
 * import ends as `error`, and a new start of the same datasets goes on in the projects that are there.
 */
#pragma once
#include "server/jobs/jobs.h"

typedef struct Connectors Connectors; /* keys of running imports, and libcurl's set-up */

Connectors *connectors_open(void);
/* Wipes all keys. No job may run. NULL is fine. */
void connectors_close(Connectors *connectors);

extern const JobKind IMPORT_JOB;
