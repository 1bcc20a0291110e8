#include "cli/sim_runs.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a process says of a seed. The result's words are static, and at the same place in all
 * processes of one program. */
struct report {
    uint64_t seed;
    int error;
    struct sim_result result;
};

static void add(struct sim_totals *totals, const struct report *report)
{
    const struct sim_result *r = &report->result;
    totals->runs++;
    totals->blocks += r->blocks;
    totals->requests += r->requests;
    totals->view_changes += r->view_changes;
    totals->crashes += r->crashes;
    totals->messages += r->messages;
    totals->lost += r->lost;
    totals->simulated_ms += r->simulated_ms;
    for (int i = 0; i < SIM_LIES_COUNT; i++)
        totals->lied[i] += (r->lies >> i) & 1;
    for (int i = 0; i < SIM_MARKS_COUNT; i++)
        totals->marks[i] += r->marks[i] != 0;
    if (totals->runs == 1 || r->healed_ms > totals->slowest_ms ||
        (r->healed_ms == totals->slowest_ms && report->seed < totals->slowest_seed)) {
        totals->slowest_ms = r->healed_ms;
        totals->slowest_seed = report->seed;
    }
    if (!r->held && (!totals->is_broken || report->seed < totals->broken_seed)) {
        totals->is_broken = true;
        totals->broken_seed = report->seed;
        totals->broken = *r;
    }
}

static void run_seed(const struct sim_options *options, uint64_t seed, struct report *out)
{
    struct sim_options own = *options;
    own.seed = seed;
    memset(out, 0, sizeof(*out));
    out->seed = seed;
    out->error = sim_run(&own, &out->result);
}

static bool write_all(int fd, const void *data, size_t n)
{
    const char *p = data;
    while (n > 0) {
        ssize_t written = write(fd, p, n);
        if (written < 0 && errno != EINTR)
            return false;
        p += written > 0 ? written : 0;
        n -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

/* 1: a report; 0: the end; -1: a failure, or a report cut short. */
static int read_report(int fd, struct report *out)
{
    char *p = (char *)out;
    size_t n = 0;
    while (n < sizeof(*out)) {
        ssize_t got = read(fd, p + n, sizeof(*out) - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 && n == 0 ? 0 : -1;
        n += (size_t)got;
    }
    return 1;
}

/* A report is no longer than what a pipe takes whole, so that those of several processes do not
 * mix. */
_Static_assert(sizeof(struct report) <= 4096, "PIPE_BUF");

static void work(const struct sim_options *options, uint64_t first, uint64_t count, unsigned job,
                 unsigned jobs, int fd)
{
    struct report report;
    for (uint64_t i = job; i < count; i += jobs) {
        run_seed(options, first + i, &report);
        if (!write_all(fd, &report, sizeof(report)) || report.error != 0 || !report.result.held)
            break;
    }
    _exit(0);
}

static int collect(int fd, uint64_t count, void (*progress)(uint64_t, uint64_t),
                   struct sim_totals *out)
{
    struct report report;
    for (;;) {
        int got = read_report(fd, &report);
        if (got <= 0)
            return got == 0 ? 0 : SEALMQ_E_IO;
        if (report.error != 0)
            return report.error;
        add(out, &report);
        if (progress != NULL)
            progress(out->runs, count);
        /* The other processes go on to seeds above it: they need not. */
        if (out->is_broken)
            return 0;
    }
}

static int run_jobs(const struct sim_options *options, uint64_t first, uint64_t count,
                    unsigned jobs, void (*progress)(uint64_t, uint64_t), struct sim_totals *out)
{
    pid_t children[SIM_JOBS_MAX];
    unsigned started = 0;
    int pipe_fds[2];
    if (pipe(pipe_fds) != 0)
        return SEALMQ_E_IO;
    int error = 0;
    for (; started < jobs && error == 0; started++) {
        children[started] = fork();
        if (children[started] == 0) {
            close(pipe_fds[0]);
            work(options, first, count, started, jobs, pipe_fds[1]);
        }
        if (children[started] < 0) {
            error = SEALMQ_E_IO;
            break;
        }
    }
    close(pipe_fds[1]);
    if (error == 0)
        error = collect(pipe_fds[0], count, progress, out);
    close(pipe_fds[0]);
    bool stops = error != 0 || out->is_broken;
    for (unsigned i = 0; i < started; i++) {
        int status = 0;
        if (stops)
            kill(children[i], SIGKILL);
        if ((waitpid(children[i], &status, 0) != children[i] || status != 0) && !stops)
            error = SEALMQ_E_IO;
    }
    return error;
}

int sim_runs(const struct sim_options *options, uint64_t first, uint64_t count, unsigned jobs,
             void (*progress)(uint64_t done, uint64_t all), struct sim_totals *out)
{
    *out = (struct sim_totals){0};
    if (jobs > 1)
        return run_jobs(options, first, count, jobs, progress, out);
    struct report report;
    for (uint64_t i = 0; i < count && !out->is_broken; i++) {
        run_seed(options, first + i, &report);
        if (report.error != 0)
            return report.error;
        add(out, &report);
        if (progress != NULL)
            progress(out->runs, count);
    }
    return 0;
}
