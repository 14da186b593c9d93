/* Commands of pictographd, over what the command line said. Each writes its result to stdout and returns a status with the text of a failure. */
#pragma once
#include "base/error.h"
#include "server/config.h"

enum { FLAGS_MAXIMUM = 16 };

/* Options that a command was given; NULL: not given. */
typedef struct Options {
    const char *data;
    const char *org;
    const char *email;
    const char *tier;
    const char *amount;
    const char *model;
    const char *output;
    const char *from;
    ConfigFlag settings[FLAGS_MAXIMUM]; /* of serve */
    size_t setting_count;
} Options;

Status command_init(const Options *options, Arena *arena, Error *err);
Status command_serve(const Options *options, Arena *arena, Error *err);
Status command_org_create(const Options *options, Arena *arena, Error *err);
Status command_org_key(const Options *options, Arena *arena, Error *err);
Status command_org_set_tier(const Options *options, Arena *arena, Error *err);
Status command_credits_grant(const Options *options, Arena *arena, Error *err);
Status command_model_publish(const Options *options, Arena *arena, Error *err);
Status command_model_withdraw(const Options *options, Arena *arena, Error *err);
Status command_backup(const Options *options, Arena *arena, Error *err);
Status command_restore(const Options *options, Arena *arena, Error *err);
Status command_check(const Options *options, Arena *arena, Error *err);
Status command_models(const Options *options, Arena *arena, Error *err);
Status command_doctor(const Options *options, Arena *arena, Error *err);
