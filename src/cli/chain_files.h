/* What the offline subcommands read: a network's genesis and policy, a node's data folder. */
#ifndef SEALMQ_CLI_CHAIN_FILES_H
#define SEALMQ_CLI_CHAIN_FILES_H

#include "ledger/note.h"
#include "store/blocks.h"
#include "store/history.h"

struct chain_files {
    const char *folder;       /* -d: has genesis.json, policy and the nodes' folders */
    const char *genesis_path; /* --genesis */
    const char *data;         /* --data: a node's data folder (blocks.db, history.db) */
    const char *history_path; /* --history */
    const char *policy_path;  /* --policy */
    struct genesis genesis;
    struct block_store *blocks;
    struct history *history;
    struct policy *policy;
};

#define CHAIN_FILES_OPTIONS                                                                        \
    {"dir", required_argument, NULL, 'd'}, {"genesis", required_argument, NULL, 'G'},              \
    {                                                                                              \
        "data", required_argument, NULL, 'D'                                                       \
    }
#define CHAIN_FILES_HELP                                                                           \
    "  -d, --dir FOLDER    has genesis.json and policy (the current folder)\n"                     \
    "      --genesis FILE  the network's genesis\n"                                                \
    "      --data FOLDER   a node's data: blocks.db and history.db (FOLDER/node-a/data)\n"

bool chain_files_option(struct chain_files *files, int option, const char *value);
/* Each opens what it names; genesis first. `why` names the file. */
SEALMQ_MUST_CHECK int chain_files_genesis(struct chain_files *files, char *why, size_t why_size);
SEALMQ_MUST_CHECK int chain_files_blocks(struct chain_files *files, char *why, size_t why_size);
SEALMQ_MUST_CHECK int chain_files_history(struct chain_files *files, char *why, size_t why_size);
SEALMQ_MUST_CHECK int chain_files_policy(struct chain_files *files, char *why, size_t why_size);
void chain_files_close(struct chain_files *files);

#endif
