/* The load generator of `make bench`: one kind of load against one broker, one line of JSON.
 *
 * Status 0: all came as it should. 1: messages were lost, repeated or reordered, or connections
 * broken. 2: nothing could be measured. */
#include "load.h"
#include "loop.h"
#include "packets.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char help[] =
    "usage: mqtt_load --port PORT [--pid PID] MODE [option]...\n"
    "\n"
    "  MODE: --fan-in P | --fan-out S | --pairs N | --connects N | --idle N | --churn N\n"
    "  --qos 0|1|2        0\n"
    "  --size BYTES       of a payload, 64; at least 24\n"
    "  --window N         messages of a publisher under way, 100; with a rate 32768\n"
    "  --rate N           messages a second in all, or connections that are replaced\n"
    "  --seconds S        measured, 1\n"
    "  --warm S           before that, 0.3\n"
    "  --messages N       of each publisher, instead of seconds\n"
    "  --stall S          without any arrival, after which what is missing is lost; 5\n"
    "  --pid PID          the broker's, for its processor time and memory\n";

static double number_of(const char *text, double least, double most, const char *what)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(value >= least && value <= most))
        give_up("--%s %s: give a number, %.0f to %.0f", what, text, least, most);
    return value;
}

enum {
    OPTION_FIRST = 256,
    FAN_IN,
    FAN_OUT,
    PAIRS,
    CONNECTS,
    IDLE,
    CHURN,
    QOS,
    SIZE,
    WINDOW,
    RATE,
    SECONDS,
    WARM,
    MESSAGES,
    STALL,
    PID,
    PORT,
    HELP
};

static const struct option long_options[] = {
    {"fan-in", required_argument, NULL, FAN_IN},
    {"fan-out", required_argument, NULL, FAN_OUT},
    {"pairs", required_argument, NULL, PAIRS},
    {"connects", required_argument, NULL, CONNECTS},
    {"idle", required_argument, NULL, IDLE},
    {"churn", required_argument, NULL, CHURN},
    {"qos", required_argument, NULL, QOS},
    {"size", required_argument, NULL, SIZE},
    {"window", required_argument, NULL, WINDOW},
    {"rate", required_argument, NULL, RATE},
    {"seconds", required_argument, NULL, SECONDS},
    {"warm", required_argument, NULL, WARM},
    {"messages", required_argument, NULL, MESSAGES},
    {"stall", required_argument, NULL, STALL},
    {"pid", required_argument, NULL, PID},
    {"port", required_argument, NULL, PORT},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static void take_shape(struct load_options *o, enum load_shape shape, uint32_t publishers,
                       uint32_t subscribers)
{
    o->mode = LOAD_FLOW;
    o->shape = shape;
    o->publishers = publishers;
    o->subscribers = subscribers;
}

static void take_mode(struct load_options *o, int option, const char *text)
{
    double most = option < CONNECTS ? 1000 : 19900;
    uint32_t n = (uint32_t)number_of(text, 1, most, long_options[option - FAN_IN].name);
    if (option == FAN_IN)
        take_shape(o, SHAPE_FAN_IN, n, 1);
    else if (option == FAN_OUT)
        take_shape(o, SHAPE_FAN_OUT, 1, n);
    else if (option == PAIRS)
        take_shape(o, SHAPE_PAIRS, n, n);
    else
        o->mode = option == CONNECTS ? LOAD_CONNECTS : option == IDLE ? LOAD_IDLE : LOAD_CHURN;
    o->connections = n;
}

static void take_option(struct load_options *o, int option, const char *text)
{
    const char *name = option > OPTION_FIRST ? long_options[option - FAN_IN].name : "";
    switch (option) {
    case QOS:
        o->qos = (uint8_t)number_of(text, 0, 2, name);
        break;
    case SIZE:
        o->size = (size_t)number_of(text, sizeof(struct stamp), 200e6, name);
        break;
    case WINDOW:
        o->window = (uint32_t)number_of(text, 1, 32768, name);
        break;
    case RATE:
        o->rate = number_of(text, 1, 1e7, name);
        break;
    case SECONDS:
        o->seconds = number_of(text, 0.01, 1e6, name);
        break;
    case WARM:
        o->warm_seconds = number_of(text, 0, 1e6, name);
        break;
    case MESSAGES:
        o->messages = (uint64_t)number_of(text, 1, 1e12, name);
        break;
    case STALL:
        o->stall_seconds = number_of(text, 0.1, 1e6, name);
        break;
    case PID:
        o->pid = (int)number_of(text, 1, 1e9, name);
        break;
    case PORT:
        o->port = (uint16_t)number_of(text, 1, 65535, name);
        break;
    case HELP:
        fputs(help, stdout);
        exit(0);
    default:
        if (option <= OPTION_FIRST)
            give_up("unknown option; see --help");
        take_mode(o, option, text);
    }
}

static void print(const struct load_result *r)
{
    const struct tally *t = &r->tally;
    printf("{\"seconds\": %.6f, \"messages\": %" PRIu64 ", \"deliveries\": %" PRIu64
           ", \"cpu_ns\": %" PRIu64 ", \"own_cpu_ns\": %" PRIu64 ", \"lost\": %" PRIu64
           ", \"duplicates\": %" PRIu64 ", \"reordered\": %" PRIu64 ", \"strays\": %" PRIu64
           ", \"stalled\": %s, ",
           r->seconds, r->messages, r->deliveries, r->cpu_ns, r->own_cpu_ns, t->lost, t->duplicates,
           t->reordered, t->strays, r->has_stalled ? "true" : "false");
    printf("\"connects\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"broken\": %" PRIu64
           ", \"resident_before\": %" PRIu64 ", \"resident_after\": %" PRIu64
           ", \"resident_peak\": %" PRIu64 ", ",
           r->connects, r->refused, r->broken, r->resident_before, r->resident_after,
           r->resident_peak);
    printf("\"p50_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64 ", \"p999_ns\": %" PRIu64
           ", \"max_ns\": %" PRIu64 "}\n",
           times_at(&r->times, 0.5), times_at(&r->times, 0.99), times_at(&r->times, 0.999),
           r->times.greatest);
}

static bool is_clean(const struct load_result *r)
{
    const struct tally *t = &r->tally;
    return t->lost + t->duplicates + t->reordered + t->strays + r->refused + r->broken == 0 &&
           !r->has_stalled;
}

int main(int argc, char **argv)
{
    static struct load_result result;
    struct load_options o = {
        .mode = LOAD_FLOW, .size = 64, .seconds = 1, .warm_seconds = 0.3, .stall_seconds = 5};
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        take_option(&o, option, optarg);
    if (o.port == 0 || optind < argc || o.connections == 0)
        give_up("give --port and a mode; see --help");
    if (o.window == 0 && o.rate == 0)
        o.window = 100;
    if (o.mode == LOAD_CHURN && o.rate == 0)
        o.rate = 1000;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    static void (*const loads[])(const struct load_options *, struct load_result *) = {
        [LOAD_FLOW] = load_flow,
        [LOAD_CONNECTS] = load_connects,
        [LOAD_IDLE] = load_idle,
        [LOAD_CHURN] = load_churn,
    };
    loads[o.mode](&o, &result);
    print(&result);
    return is_clean(&result) ? 0 : 1;
}
