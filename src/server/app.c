/* The application: which features there are, and in what order the parts of the server open. Nothing else knows them all. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "server/api/access_log.h"
#include "server/api/authenticate.h"
#include "server/api/idempotency.h"
#include "server/api/metrics.h"
#include "server/api/rate_limit.h"
#include "server/api/upkeep.h"
#include "server/auto_annotate/auto_annotate.h"
#include "server/connectors/connectors.h"
#include "server/credits/credits.h"
#include "server/exports/exports.h"
#include "server/http/http.h"
#include "server/jobs/jobs.h"
#include "server/jobs/workers.h"
#include "server/objects/objects.h"
#include "server/server.h"
#include "server/store/db.h"
#include "server/system/system.h"
#include "server/training/training.h"
#include "server/video/video.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/banned.h"

/* --- job kinds: one row a kind, in the feature that has it --- */

