/* Loads a chain of running nodes.
 *
 *   chain_load FOLDER [GATEWAYS]
 *
 * FOLDER is what `sealmq init` has made. Registers gateways, describes their items, says "ready",
 * and then takes lines of standard input, each a run, and answers each with a line of JSON:
 *
 *   run records=1 window=8 seconds=5 warm=1 rate=0 first=0 gateways=100 ahead=500 pids=1,2,3
 *
 * All may be left out. Status 2: the measurement is void. */
#include "chain_load.h"

#include "process.h"
#include "store/keyfile.h"
#include "store/network_files.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS   UINT64_C(1000000000)
#define TICK_NS     UINT64_C(20000000)
#define DRAIN_NS    (20 * SECOND_NS)
#define READY_NS    (60 * SECOND_NS)
#define ITEMS       100
#define PATH_LENGTH 1024

/* --- a run --------------------------------------------------------------------------------- */

void run_receipt(struct client *client, const struct ahead *request, uint64_t number)
{
    struct network *network = client->network;
    struct outcome *outcome = network->outcome;
    uint64_t now_ns = network->loop.now_ns;
    (void)number;
    outcome->all_requests++;
    outcome->all_records += request->records;
    if (now_ns >= network->measure_ns && now_ns < network->end_ns) {
        uint64_t since_ns = network->last_receipt_ns < network->measure_ns
                                ? network->measure_ns
                                : network->last_receipt_ns;
        if (now_ns - since_ns > outcome->longest_gap_ns)
            outcome->longest_gap_ns = now_ns - since_ns;
        outcome->requests++;
        outcome->records += request->records;
        /* To its arrival: what follows is the gateway's own work, done elsewhere in production. */
        times_add(&outcome->times, now_ns > request->due_ns ? now_ns - request->due_ns : 0);
    }
    network->last_receipt_ns = now_ns;
    if (network->is_running && network->run->rate <= 0 && client_has_room(client))
        client_send(client, now_ns);
}

static void tick_all(struct network *network, uint64_t *tick_ns)
{
    if (network->loop.now_ns < *tick_ns)
        return;
    *tick_ns = network->loop.now_ns + TICK_NS;
    for (size_t i = 0; i < network->client_count; i++)
        client_tick(&network->clients[i]);
}

/* Fills the windows, for those that have nothing under way that would call for more. */
static void fill(struct network *network)
{
    const struct run *run = network->run;
    for (size_t i = run->first; i < run->first + run->gateways; i++)
        while (client_has_room(&network->clients[i]))
            client_send(&network->clients[i], network->loop.now_ns);
}

/* Sends what is due; gateways take turns. Nobody has room: it waits, and its time goes on. */
static void send_due(struct network *network, uint64_t begin_ns, uint64_t *sent, size_t *turn)
{
    const struct run *run = network->run;
    for (;;) {
        uint64_t due_ns = begin_ns + (uint64_t)((double)*sent * 1e9 / run->rate);
        if (due_ns > network->loop.now_ns)
            return;
        size_t tries = 0;
        while (tries < run->gateways &&
               !client_has_room(&network->clients[run->first + *turn % run->gateways])) {
            tries++;
            ++*turn;
        }
        if (tries == run->gateways)
            return;
        client_send(&network->clients[run->first + *turn % run->gateways], due_ns);
        ++*turn;
        ++*sent;
    }
}

static uint64_t own_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* A node that is killed during a run has used nothing. */
static void read_cpu(const struct run *run, uint64_t *own_ns, uint64_t cpu_ns[VALIDATORS_MAX])
{
    *own_ns = own_cpu_ns();
    for (size_t i = 0; i < run->pid_count; i++)
        cpu_ns[i] = kill(run->pids[i], 0) == 0 ? process_cpu_ns(run->pids[i]) : 0;
}

static void take_cpu(const struct run *run, uint64_t own_ns, const uint64_t *cpu_ns,
                     struct outcome *outcome)
{
    uint64_t own_after_ns, after_ns[VALIDATORS_MAX];
    read_cpu(run, &own_after_ns, after_ns);
    outcome->own_cpu_ns = own_after_ns - own_ns;
    for (size_t i = 0; i < run->pid_count; i++)
        outcome->cpu_ns[i] = after_ns[i] > cpu_ns[i] ? after_ns[i] - cpu_ns[i] : 0;
}

/* New requests are sent no more: waits for the receipts of those under way. */
static void drain(struct network *network, uint64_t *tick_ns)
{
    uint64_t end_ns = network->loop.now_ns + DRAIN_NS;
    while (network->outstanding > 0 && network->loop.now_ns < end_ns) {
        loop_turn(&network->loop, (int64_t)TICK_NS);
        tick_all(network, tick_ns);
    }
    network->outcome->lost = network->outstanding;
}

static void sign_ahead(struct network *network)
{
    const struct run *run = network->run;
    for (size_t i = run->first; i < run->first + run->gateways; i++) {
        struct client *client = &network->clients[i];
        while (client->made - client->next < run->ahead)
            client_make(client, run->records);
    }
}

/* Forgets what was signed for another run. Its numbers were not used. */
static void forget_ahead(struct network *network)
{
    for (size_t i = 0; i < network->client_count; i++)
        network->clients[i].made = network->clients[i].next;
}

static void run_load(struct network *network, const struct run *run, struct outcome *outcome)
{
    uint64_t tick_ns = 0, sent = 0, own_ns = 0, cpu_ns[VALIDATORS_MAX];
    size_t turn = 0;
    bool is_measuring = false;
    network->run = run;
    network->outcome = outcome;
    forget_ahead(network);
    sign_ahead(network);
    loop_turn(&network->loop, 0);
    uint64_t begin_ns = network->loop.now_ns;
    network->measure_ns = begin_ns + (uint64_t)(run->warm_seconds * 1e9);
    network->end_ns = network->measure_ns + (uint64_t)(run->seconds * 1e9);
    network->is_running = true;
    while (network->loop.now_ns < network->end_ns) {
        if (!is_measuring && network->loop.now_ns >= network->measure_ns) {
            is_measuring = true;
            read_cpu(run, &own_ns, cpu_ns);
        }
        tick_all(network, &tick_ns);
        int64_t wait_ns = (int64_t)TICK_NS;
        if (run->rate > 0) {
            send_due(network, begin_ns, &sent, &turn);
            wait_ns = 500000;
        } else {
            fill(network);
        }
        loop_turn(&network->loop, wait_ns);
    }
    take_cpu(run, own_ns, cpu_ns, outcome);
    outcome->seconds = run->seconds;
    uint64_t since_ns = network->last_receipt_ns > network->measure_ns ? network->last_receipt_ns
                                                                       : network->measure_ns;
    if (network->end_ns > since_ns && network->end_ns - since_ns > outcome->longest_gap_ns)
        outcome->longest_gap_ns = network->end_ns - since_ns;
    network->is_running = false;
    drain(network, &tick_ns);
}

static void print_outcome(const struct run *run, const struct outcome *o)
{
    printf("{\"seconds\":%.3f,\"requests\":%llu,\"records\":%llu,\"all_requests\":%llu,"
           "\"all_records\":%llu,\"sent\":%llu,\"lost\":%llu,\"doubled\":%llu,\"refused\":%llu,"
           "\"bad\":%llu,\"resent\":%llu,\"reconnected\":%llu,\"signed_late\":%llu,"
           "\"p50_ns\":%llu,\"p99_ns\":%llu,\"max_ns\":%llu,\"longest_gap_ns\":%llu,"
           "\"own_cpu_ns\":%llu,\"cpu_ns\":[",
           o->seconds, (unsigned long long)o->requests, (unsigned long long)o->records,
           (unsigned long long)o->all_requests, (unsigned long long)o->all_records,
           (unsigned long long)o->all_sent, (unsigned long long)o->lost,
           (unsigned long long)o->doubled, (unsigned long long)o->refused,
           (unsigned long long)o->bad, (unsigned long long)o->resent,
           (unsigned long long)o->reconnected, (unsigned long long)o->signed_late,
           (unsigned long long)times_at(&o->times, 0.5),
           (unsigned long long)times_at(&o->times, 0.99), (unsigned long long)o->times.greatest,
           (unsigned long long)o->longest_gap_ns, (unsigned long long)o->own_cpu_ns);
    for (size_t i = 0; i < run->pid_count; i++)
        printf("%s%llu", i == 0 ? "" : ",", (unsigned long long)o->cpu_ns[i]);
    puts("]}");
    fflush(stdout);
}

/* --- what is asked for --------------------------------------------------------------------- */

static void read_pids(const char *text, struct run *run)
{
    char *end;
    for (run->pid_count = 0; *text != '\0' && run->pid_count < VALIDATORS_MAX; text = end) {
        run->pids[run->pid_count++] = (int)strtol(text, &end, 10);
        if (*end == ',')
            end++;
    }
}

static bool read_run(const struct network *network, char *line, struct run *run)
{
    *run = (struct run){.records = 1, .window = 8, .gateways = network->client_count, .seconds = 2};
    char *save, *word = strtok_r(line, " \n", &save);
    if (word == NULL || strcmp(word, "run") != 0)
        return false;
    while ((word = strtok_r(NULL, " \n", &save)) != NULL) {
        char *value = strchr(word, '=');
        if (value == NULL)
            return false;
        *value++ = '\0';
        double number = strtod(value, NULL);
        if (strcmp(word, "records") == 0)
            run->records = (uint32_t)number;
        else if (strcmp(word, "window") == 0)
            run->window = (uint32_t)number;
        else if (strcmp(word, "first") == 0)
            run->first = (size_t)number;
        else if (strcmp(word, "gateways") == 0)
            run->gateways = (size_t)number;
        else if (strcmp(word, "seconds") == 0)
            run->seconds = number;
        else if (strcmp(word, "warm") == 0)
            run->warm_seconds = number;
        else if (strcmp(word, "rate") == 0)
            run->rate = number;
        else if (strcmp(word, "ahead") == 0)
            run->ahead = (uint32_t)number;
        else if (strcmp(word, "pids") == 0)
            read_pids(value, run);
        else
            return false;
    }
    return run->records <= ITEMS && run->window >= 1 && run->window <= WINDOW_MAX &&
           run->gateways >= 1 && run->first + run->gateways <= network->client_count &&
           run->ahead <= REQUESTS_AHEAD - WINDOW_MAX;
}

/* --- the network --------------------------------------------------------------------------- */

static void read_files(struct network *network, const char *folder)
{
    char path[PATH_LENGTH], why[256] = "";
    snprintf(path, sizeof path, "%s/genesis.json", folder);
    int error = genesis_file_read(path, &network->genesis, why, sizeof why);
    snprintf(path, sizeof path, "%s/policy", folder);
    if (error == 0)
        error = policy_file_read(path, &network->receipts.policy, why, sizeof why);
    snprintf(path, sizeof path, "%s/admin.key", folder);
    if (error == 0)
        error = keyfile_read(path, network->admin_id, &network->admin_key, why, sizeof why);
    if (error == 0)
        error = compressor_new(&network->compressor);
    if (error != 0)
        give_up("%s", why[0] != '\0' ? why : sealmq_error_text(error));
}

static bool are_all_ready(const struct network *network)
{
    for (size_t i = 0; i < network->client_count; i++)
        if (network->clients[i].state != CLIENT_READY)
            return false;
    return true;
}

/* All gateways registered, connected and their items described. */
static void make_ready(struct network *network)
{
    static const struct run describing = {.window = 1, .records = 1};
    static struct outcome outcome;
    uint64_t tick_ns = 0, end_ns = clock_ns() + READY_NS;
    admin_register(network);
    network->run = &describing;
    network->outcome = &outcome;
    while (!are_all_ready(network)) {
        if (network->loop.now_ns > end_ns)
            give_up("not all gateways have a session key after a minute");
        tick_all(network, &tick_ns);
        loop_turn(&network->loop, (int64_t)TICK_NS);
    }
    for (size_t i = 0; i < network->client_count; i++) {
        client_make_describe(&network->clients[i], ITEMS);
        client_send(&network->clients[i], network->loop.now_ns);
    }
    drain(network, &tick_ns);
    if (outcome.lost != 0 || outcome.bad != 0)
        give_up("%llu gateways could not describe their items", (unsigned long long)outcome.lost);
}

int main(int argc, char **argv)
{
    static struct network network;
    static struct run run;
    char line[1024];
    if (argc < 2 || argc > 3 || crypto_init() != 0)
        give_up("usage: chain_load FOLDER [GATEWAYS]");
    network.client_count = argc == 3 ? strtoul(argv[2], NULL, 10) : 100;
    if (network.client_count < 1 || network.client_count > GATEWAYS_MAX)
        give_up("1 to %d gateways", GATEWAYS_MAX);
    read_files(&network, argv[1]);
    loop_open(&network.loop);
    network.clients = calloc(network.client_count, sizeof *network.clients);
    if (network.clients == NULL)
        give_up("out of memory");
    for (size_t i = 0; i < network.client_count; i++)
        client_open(&network, i, &network.clients[i]);
    make_ready(&network);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        struct outcome *outcome = calloc(1, sizeof *outcome);
        if (outcome == NULL || !read_run(&network, line, &run))
            give_up("what is to be run? %s", line);
        run_load(&network, &run, outcome);
        print_outcome(&run, outcome);
        network.outcome = NULL;
        free(outcome);
    }
    return 0;
}
