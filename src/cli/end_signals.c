#include "cli/end_signals.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static void fill(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

void end_signals_block(void)
{
    sigset_t set;
    fill(&set);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is a full disk: refused, and tried again */
}

/* What the program sends itself is no second wish. The signal is blocked in here, so it takes
 * effect when this returns. */
static void end_at_once(int number, siginfo_t *info, void *machine)
{
    (void)machine;
    if (info->si_code == SI_USER && info->si_pid == getpid())
        return;
    signal(number, SIG_DFL);
    raise(number);
}

static void let_end_at_once(void)
{
    struct sigaction action = {.sa_sigaction = end_at_once, .sa_flags = SA_SIGINFO};
    sigset_t set;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    fill(&set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int end_signals_wait(void (*reload)(void *context), void *context)
{
    sigset_t set;
    fill(&set);
    sigaddset(&set, SIGHUP);
    for (;;) {
        int number = 0;
        if (sigwait(&set, &number) != 0)
            continue;
        if (number != SIGHUP) {
            let_end_at_once();
            return number;
        }
        reload(context);
    }
}
