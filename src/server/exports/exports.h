/* Exports: what of them other features may use. */
#pragma once
#include "server/jobs/jobs.h"

/* Builds the zip of an export from its snapshot; payload as export_payload writes it. The id of the job is the export's. */
extern const JobKind EXPORT_JOB;
