#include "cli/chain_files.h"

#include "store/file.h"
#include "store/network_files.h"

#include <stdio.h>

bool chain_files_option(struct chain_files *files, int option, const char *value)
{
    switch (option) {
    case 'd':
        files->folder = value;
        return true;
    case 'G':
        files->genesis_path = value;
        return true;
    case 'D':
        files->data = value;
        return true;
    case 'H':
        files->history_path = value;
        return true;
    case 'P':
        files->policy_path = value;
        return true;
    default:
        return false;
    }
}

/* `given`, or `name` in `folder`. */
static int choose(const char *given, const char *folder, const char *name, char out[PATH_SIZE],
                  char *why, size_t why_size)
{
    int n = given != NULL ? snprintf(out, PATH_SIZE, "%s", given)
                          : snprintf(out, PATH_SIZE, "%s/%s", folder, name);
    if (n > 0 && n < PATH_SIZE)
        return 0;
    snprintf(why, why_size, "the path of %s is too long", name);
    return SEALMQ_E_LIMIT;
}

static const char *folder_of(const struct chain_files *files)
{
    return files->folder != NULL ? files->folder : ".";
}

static int data_folder(const struct chain_files *files, char out[PATH_SIZE], char *why,
                       size_t why_size)
{
    return choose(files->data, folder_of(files), "node-a/data", out, why, why_size);
}

int chain_files_genesis(struct chain_files *files, char *why, size_t why_size)
{
    char path[PATH_SIZE];
    int error = choose(files->genesis_path, folder_of(files), "genesis.json", path, why, why_size);
    return error != 0 ? error : genesis_file_read(path, &files->genesis, why, why_size);
}

int chain_files_blocks(struct chain_files *files, char *why, size_t why_size)
{
    char folder[PATH_SIZE];
    int error = data_folder(files, folder, why, why_size);
    if (error != 0)
        return error;
    return block_store_open(folder, BLOCK_STORE_READ, &files->genesis.hash, &files->blocks, why,
                            why_size);
}

int chain_files_history(struct chain_files *files, char *why, size_t why_size)
{
    char folder[PATH_SIZE], path[PATH_SIZE];
    int error = data_folder(files, folder, why, why_size);
    if (error == 0)
        error = choose(files->history_path, folder, "history.db", path, why, why_size);
    if (error != 0)
        return error;
    return history_open(path, HISTORY_READ, &files->history, why, why_size);
}

int chain_files_policy(struct chain_files *files, char *why, size_t why_size)
{
    char path[PATH_SIZE];
    int error = choose(files->policy_path, folder_of(files), "policy", path, why, why_size);
    return error != 0 ? error : policy_file_read(path, &files->policy, why, why_size);
}

void chain_files_close(struct chain_files *files)
{
    policy_free(files->policy);
    history_close(files->history);
    block_store_close(files->blocks);
}
