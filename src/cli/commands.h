/* Commands: the functions behind the rows of the table. Each returns the exit code. */
#pragma once
#include "cli/cli.h"

int cmd_login(Cli *cli);
int cmd_init(Cli *cli);
int cmd_completion_bash(Cli *cli);

int cmd_datasets_list(Cli *cli);
int cmd_datasets_get(Cli *cli);
int cmd_datasets_create(Cli *cli);
int cmd_datasets_delete(Cli *cli);
int cmd_datasets_download(Cli *cli);
int cmd_datasets_upload(Cli *cli);
int cmd_datasets_import(Cli *cli);

int cmd_images_upload(Cli *cli);
int cmd_images_download(Cli *cli);
int cmd_images_delete(Cli *cli);

int cmd_annotations_get(Cli *cli);
int cmd_annotations_save(Cli *cli);
int cmd_annotations_delete(Cli *cli);

int cmd_exports_list(Cli *cli);
int cmd_exports_create(Cli *cli);
int cmd_exports_get(Cli *cli);
int cmd_exports_download(Cli *cli);
int cmd_exports_delete(Cli *cli);

int cmd_auto_annotate_point(Cli *cli);
int cmd_auto_annotate_box(Cli *cli);
int cmd_auto_annotate_text(Cli *cli);
int cmd_auto_annotate_batch(Cli *cli);

int cmd_train_start(Cli *cli);
int cmd_train_status(Cli *cli);
int cmd_train_cancel(Cli *cli);
int cmd_train_logs(Cli *cli);

int cmd_models_list(Cli *cli);
int cmd_models_download(Cli *cli);

int cmd_credits_balance(Cli *cli);
int cmd_credits_history(Cli *cli);
int cmd_credits_estimate(Cli *cli);

int cmd_pipeline(Cli *cli);
