/* Imports: what of them other features may use. */
#pragma once
#include "server/jobs/jobs.h"

/* Makes a project of an uploaded zip. The id of the job is the import's, and so is the id of the project that comes of it. */
extern const JobKind ZIP_IMPORT_JOB;
