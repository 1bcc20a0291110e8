/* A folder of its own for each test, removed afterwards. */
#ifndef TEST_STORE_FOLDER_H
#define TEST_STORE_FOLDER_H

#include "base/bytes.h"

/* cmocka setup and teardown: *state is the folder's path (const char *). crypto is initialised. */
int folder_setup(void **state);
int folder_teardown(void **state);
/* "<folder>/<name>", in one of a few static places taken in turn. */
const char *folder_path(void **state, const char *name);
/* Whole files, asserted. */
void put_file(const char *path, struct bytes content, unsigned mode);
struct buf get_file(const char *path);
void copy_file(const char *from, const char *to);
/* Runs SQL on a file behind everybody's back, asserted. */
void run_sql(const char *path, const char *sql);
/* The first column of the first row as a number. */
int64_t ask_sql(const char *path, const char *sql);

#endif
