/* Runs a fuzz target over files instead of made-up input: each file named, and each file of each
 * folder named. So a corpus, and every input that once broke something, is run by the tests, with
 * any compiler. Fails when there was nothing to run. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t files_run;

static _Noreturn void stop(const char *path, const char *what)
{
    fprintf(stderr, "replay: %s: %s\n", path, what);
    exit(1);
}

/* The input lies in memory of exactly its size, so that a sanitizer sees a read beyond it. */
static void run_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size == 0 ? 1 : size);
    if (file == NULL || data == NULL || fread(data, 1, size, file) != size)
        stop(path, "cannot be read");
    fclose(file);
    printf("%s: %zu bytes\n", path, size);
    fflush(stdout); /* before it may crash */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    files_run++;
}

static void run_path(const char *path, int depth)
{
    struct stat status;
    if (stat(path, &status) != 0)
        stop(path, "does not exist");
    if (!S_ISDIR(status.st_mode)) {
        run_file(path, (size_t)status.st_size);
        return;
    }
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        stop(path, "cannot be listed");
    for (int i = 0; i < count; i++) {
        char below[4096];
        int n = snprintf(below, sizeof(below), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && n > 0 && (size_t)n < sizeof(below) && depth < 4)
            run_path(below, depth + 1);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        run_path(argv[i], 0);
    printf("replay: %zu files\n", files_run);
    return files_run == 0;
}
