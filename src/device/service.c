#include "device/service.h"

#include "base/id.h"
#include "device/service_int.h"

#include <stdio.h>
#include <stdlib.h>

int device_service_new(const struct device_service_options *options, struct device_service **out)
{
    struct device_service *service = calloc(1, sizeof *service);
    if (service == NULL)
        return SEALMQ_E_NOMEM;
    service->options = *options;
    if (service->options.session_life_s == 0)
        service->options.session_life_s = SESSION_LIFE_S;
    if (service->options.gateways_max == 0)
        service->options.gateways_max = GATEWAYS_MAX;
    snprintf(service->node, sizeof service->node, "%s", options->node);
    snprintf(service->request_topic, sizeof service->request_topic, "chain/%s/request",
             options->network);
    snprintf(service->reply_prefix, sizeof service->reply_prefix, "chain/%s/reply/",
             options->network);
    int error = compressor_new(&service->compressor);
    if (error != 0) {
        device_service_free(service);
        return error;
    }
    *out = service;
    return 0;
}

static void session_free(struct session **session)
{
    if (*session == NULL)
        return;
    secret_wipe(*session, sizeof **session);
    free(*session);
    *session = NULL;
}

static void gateway_remove(struct device_service *service, struct gateway_state *gateway)
{
    HASH_DEL(service->gateways, gateway);
    session_free(&gateway->current);
    session_free(&gateway->next);
    free(gateway);
}

void device_service_free(struct device_service *service)
{
    if (service == NULL)
        return;
    struct gateway_state *gateway, *following;
    HASH_ITER (hh, service->gateways, gateway, following)
        gateway_remove(service, gateway);
    compressor_free(service->compressor);
    report_close(&service->report);
    buf_wipe(&service->plain);
    buf_close(&service->request);
    for (size_t i = 0; i < 2; i++) {
        buf_close(&service->topic[i]);
        buf_close(&service->payload[i]);
    }
    free(service);
}

static struct gateway_state *gateway_find(struct device_service *service, struct bytes id)
{
    struct gateway_state *gateway = NULL;
    if (id.n != 0)
        HASH_FIND(hh, service->gateways, id.p, id.n, gateway);
    return gateway;
}

/* Strangers' states only hold the time of their last hint: one makes room for another. */
static void make_room(struct device_service *service)
{
    struct gateway_state *gateway, *following;
    HASH_ITER (hh, service->gateways, gateway, following) {
        if (!gateway->is_member) {
            gateway_remove(service, gateway);
            return;
        }
    }
}

static struct gateway_state *gateway_get(struct device_service *service, struct bytes id)
{
    struct gateway_state *gateway = gateway_find(service, id);
    if (gateway != NULL || !id_is_valid(id))
        return gateway;
    if (HASH_COUNT(service->gateways) >= service->options.gateways_max)
        make_room(service);
    if (HASH_COUNT(service->gateways) >= service->options.gateways_max)
        return NULL;
    gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL)
        return NULL;
    if (bytes_to_cstr(id, gateway->id, sizeof gateway->id) != 0) {
        free(gateway);
        return NULL;
    }
    HASH_ADD(hh, service->gateways, id, (unsigned)id.n, gateway);
    if (gateway->hh.tbl == NULL) {
        free(gateway);
        return NULL;
    }
    return gateway;
}

int device_service_member(struct device_service *service, struct bytes id,
                          const struct public_key *key)
{
    struct gateway_state *gateway =
        key != NULL ? gateway_get(service, id) : gateway_find(service, id);
    if (gateway == NULL)
        return key != NULL ? SEALMQ_E_LIMIT : 0;
    bool is_same =
        key != NULL && gateway->is_member && memcmp(gateway->key.b, key->b, PUBLIC_KEY_SIZE) == 0;
    if (is_same)
        return 0;
    session_free(&gateway->current);
    session_free(&gateway->next);
    gateway->handshake_number = 0;
    gateway->is_member = key != NULL;
    if (key != NULL)
        gateway->key = *key;
    return 0;
}

void device_service_stats_get(const struct device_service *service,
                              struct device_service_stats *out)
{
    *out = service->stats;
}

/* ---- one message ---- */

/* Everything about the message at hand. */
struct work {
    struct device_service *service;
    const struct device_input *in;
    struct gateway_state *gateway;
    struct bytes below;     /* the topic below "<id>/"; empty for the request topic */
    struct session *opened; /* whose key the payload was sealed under; NULL: none of ours */
    struct device_output *out;
};

static int fail(struct work *work, int error, const char *why)
{
    snprintf(work->service->why, sizeof work->service->why, "%s", why);
    return error;
}

static int hint(struct work *work, const char *level, uint16_t code)
{
    struct gateway_state *gateway = work->gateway;
    if (gateway->hint_ms != 0 && work->in->now_ms - gateway->hint_ms < HINT_INTERVAL_MS)
        return 0;
    gateway->hint_ms = work->in->now_ms == 0 ? 1 : work->in->now_ms;
    work->service->stats.hints_total++;
    struct buf payload = {0};
    int error = hint_format(code, &payload);
    if (error == 0)
        error =
            service_reply_plain(work->service, work->in->id, level, buf_bytes(&payload), work->out);
    buf_close(&payload);
    return error;
}

static int handshake_refuse(struct work *work, uint64_t number, int error, const char *why)
{
    uint8_t payload[FAIL_SIZE];
    work->service->stats.handshakes_refused_total++;
    handshake_fail(number, device_code_of(error), payload);
    int failed = service_reply_plain(work->service, work->in->id, "key/fail",
                                     bytes_of(payload, sizeof payload), work->out);
    return fail(work, failed != 0 ? failed : error, why);
}

/* A key id that neither live session has; never 0. */
static uint32_t choose_key_id(const struct gateway_state *gateway, const uint8_t random[4])
{
    uint32_t id;
    memcpy(&id, random, sizeof id);
    while (id == 0 || (gateway->current != NULL && gateway->current->keys.key_id == id) ||
           (gateway->next != NULL && gateway->next->keys.key_id == id))
        id++;
    return id;
}

static int take_hello(struct work *work)
{
    struct device_service *service = work->service;
    struct gateway_state *gateway = work->gateway;
    const struct handshake_parties parties = {
        .gateway = work->in->id,
        .node = bytes_str(service->node),
        .genesis = &service->options.genesis,
    };
    struct x25519_pair fresh;
    uint8_t answer[ANSWER_SIZE];
    uint64_t number;
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return fail(work, SEALMQ_E_NOMEM, "");
    x25519_pair_from_secret(work->in->random, &fresh);
    uint32_t key_id = choose_key_id(gateway, work->in->random + X25519_SIZE);
    uint64_t expires_s = (uint64_t)(work->in->wall_us / 1000000) + service->options.session_life_s;
    int error = handshake_answer(&parties, work->in->payload, &gateway->key, service->options.key,
                                 &fresh, key_id, expires_s, &number, answer, &session->keys);
    x25519_pair_wipe(&fresh);
    if (error == 0 && number <= gateway->handshake_number)
        error = SEALMQ_E_REPLAY;
    if (error != 0) {
        session_free(&session);
        return handshake_refuse(work, number, error, "key agreement");
    }
    gateway->handshake_number = number;
    session_free(&gateway->next);
    gateway->next = session;
    service->stats.handshakes_total++;
    return service_reply_plain(service, work->in->id, "key/success",
                               bytes_of(answer, sizeof answer), work->out);
}

/* Opens the payload into service->plain; on success gateway->current is the key that fit. */
static int open_envelope(struct work *work)
{
    struct device_service *service = work->service;
    struct gateway_state *gateway = work->gateway;
    struct envelope_header header;
    int error = envelope_peek(work->in->payload, &header);
    if (error != 0)
        return fail(work, error, "not a sealed message");
    struct session *session = NULL;
    bool is_next = false;
    if (gateway->current != NULL && gateway->current->keys.key_id == header.key_id) {
        session = gateway->current;
    } else if (gateway->next != NULL && gateway->next->keys.key_id == header.key_id) {
        session = gateway->next;
        is_next = true;
    }
    if (session == NULL || session->keys.expires_s <= (uint64_t)(work->in->wall_us / 1000000)) {
        error = hint(work, "forbidden", DEVICE_CODE_KEY);
        return fail(work, error != 0 ? error : SEALMQ_E_EXPIRED,
                    session == NULL ? "no such session key" : "the session key has expired");
    }
    buf_reset(&service->plain);
    error = envelope_open(service->compressor, work->in->payload, &session->keys.up,
                          work->in->topic, &service->plain);
    if (error == SEALMQ_E_CRYPTO || error == SEALMQ_E_SHORT) {
        int failed = hint(work, "forbidden", DEVICE_CODE_KEY);
        return fail(work, failed != 0 ? failed : error, "does not open under the session key");
    }
    work->opened = session;
    if (error != 0)
        return fail(work, error, "sealed, but not well formed inside");
    /* After it has opened: nobody else can spend a counter. */
    if (header.counter <= session->up)
        return fail(work, SEALMQ_E_REPLAY, "message counter was used before");
    session->up = header.counter;
    if (is_next) {
        session_free(&gateway->current);
        gateway->current = session;
        gateway->next = NULL;
    }
    return 0;
}

/* Levels that a report's topic must not begin or end with. */
static bool topic_is_reserved(struct bytes below)
{
    static const char *const first[] = {"key", "unauth", "forbidden", "update"};
    static const char *const last[] = {"datas", "success", "error"};
    if (below.n == 0)
        return true;
    const uint8_t *slash = memchr(below.p, '/', below.n);
    struct bytes head = bytes_of(below.p, slash != NULL ? (size_t)(slash - below.p) : below.n);
    size_t start = below.n;
    while (start > 0 && below.p[start - 1] != '/')
        start--;
    struct bytes tail = bytes_of(below.p + start, below.n - start);
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        if (bytes_equal(head, bytes_str(first[i])))
            return true;
    }
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) {
        if (bytes_equal(tail, bytes_str(last[i])))
            return true;
    }
    return false;
}

/* The answer's topic and that of the republished report are a level longer, and have to be topics
 * of the broker, too. */
static bool topic_has_room(struct bytes below)
{
    size_t levels = 1;
    for (size_t i = 0; i < below.n; i++)
        levels += below.p[i] == '/';
    return below.n <= TOPIC_MAX_BYTES && levels <= TOPIC_MAX_LEVELS;
}

static void count_refused(struct device_service_stats *stats, int error)
{
    switch (error) {
    case SEALMQ_E_SIGNATURE:
        stats->reports_refused_signature_total++;
        break;
    case SEALMQ_E_REPLAY:
        stats->reports_refused_replay_total++;
        break;
    case SEALMQ_E_PARSE:
    case SEALMQ_E_SHORT:
    case SEALMQ_E_COUNT:
    case SEALMQ_E_TYPE:
    case SEALMQ_E_LIMIT:
    case SEALMQ_E_VERSION:
    case SEALMQ_E_UNSUPPORTED:
        stats->reports_refused_malformed_total++;
        break;
    default:
        stats->reports_refused_other_total++;
        break;
    }
}

/* The plain text of a report: n, signature, JSON; fills out->report. */
static int read_report(struct work *work)
{
    struct device_service *service = work->service;
    struct device_report *report = &work->out->report;
    struct reader r = reader_of(buf_bytes(&service->plain));
    report->head.gateway = work->in->id;
    report->head.topic = work->below;
    report->head.n = reader_u64(&r);
    reader_copy(&r, report->signature.b, SIGNATURE_SIZE);
    report->json = reader_bytes(&r, r.n);
    int error = reader_end(&r);
    if (error != 0)
        return fail(work, error, "the sealed report is too short");
    if (report->head.n == 0)
        return fail(work, SEALMQ_E_PARSE, "capture numbers begin at 1");
    error = report_parse(report->json, &service->report, service->why, sizeof service->why);
    if (error != 0)
        return error;
    report->rows = service->report.rows;
    report->head.rows = (uint32_t)service->report.n;
    report->account = work->in->account;
    error = report_hash_of(&report->head, report->rows, &report->hash);
    if (error != 0)
        return fail(work, error, "");
    error = report_verify(&work->gateway->key, &service->options.genesis, &report->hash,
                          &report->signature);
    return error != 0 ? fail(work, error, "the report's signature does not verify") : 0;
}

/* Tells the gateway why a message of its own was refused that names nothing which could be trusted:
 * the answer names nothing either (n 0, no hash), so that a recorded message which somebody sends
 * again settles no report. */
static int refuse_unnamed(struct work *work, enum reply_kind kind, struct bytes topic, int error)
{
    struct reply reply = {.kind = kind, .code = device_code_of(error)};
    reply.words = bytes_str(work->service->why[0] != '\0' ? work->service->why
                                                          : device_code_words(reply.code));
    int failed = service_reply_sealed(work->service, work->opened, topic, &reply, work->out);
    return failed != 0 ? failed : error;
}

static int refuse_unnamed_report(struct work *work, int error)
{
    struct buf topic = {0};
    buf_append_bytes(&topic, work->in->topic);
    buf_append_u8(&topic, '/');
    buf_append_cstr(&topic, reply_topic_level(REPLY_ERROR));
    int failed = buf_status(&topic);
    error = failed != 0 ? failed : refuse_unnamed(work, REPLY_ERROR, buf_bytes(&topic), error);
    buf_close(&topic);
    return error;
}

static int refuse_unnamed_request(struct work *work, int error)
{
    struct buf topic = {0};
    buf_append_cstr(&topic, work->service->reply_prefix);
    buf_append_bytes(&topic, work->in->id);
    int failed = buf_status(&topic);
    error = failed != 0 ? failed
                        : refuse_unnamed(work, REPLY_REQUEST_REFUSED, buf_bytes(&topic), error);
    buf_close(&topic);
    return error;
}

static int take_report(struct work *work)
{
    struct device_service *service = work->service;
    if (topic_is_reserved(work->below) || !topic_has_room(work->below))
        return fail(work, SEALMQ_E_DENIED, "not a topic for reports");
    report_close(&service->report);
    int error = open_envelope(work);
    if (error != 0 && work->opened != NULL)
        error = refuse_unnamed_report(work, error);
    if (error == 0) {
        error = read_report(work);
        if (error != 0) {
            const struct device_report *report = &work->out->report;
            int failed = service_reply_report(service, work->gateway, work->below, report->head.n,
                                              &report->hash, error, work->out);
            error = failed != 0 ? failed : error;
        }
    }
    if (error != 0) {
        count_refused(&service->stats, error);
        return error;
    }
    work->out->has_report = true;
    return 0;
}

static int take_request(struct work *work)
{
    struct device_service *service = work->service;
    int error = open_envelope(work);
    if (error == 0) {
        buf_reset(&service->request);
        error = request_from_json(buf_bytes(&service->plain), &service->request, NULL);
        if (error != 0)
            error = fail(work, error, "not a block write request");
    }
    struct request request;
    if (error == 0)
        error = request_decode(buf_bytes(&service->request), &request);
    if (error == 0 && !bytes_equal(request.sender, work->in->id))
        error = fail(work, SEALMQ_E_DENIED, "the request is another gateway's");
    if (error != 0) {
        service->stats.requests_refused_total++;
        return work->opened != NULL ? refuse_unnamed_request(work, error) : error;
    }
    service->stats.requests_total++;
    work->out->has_request = true;
    work->out->request = buf_bytes(&service->request);
    return 0;
}

static int take(struct work *work)
{
    struct device_service *service = work->service;
    const struct device_input *in = work->in;
    work->gateway = gateway_get(service, in->id);
    if (work->gateway == NULL)
        return fail(work, SEALMQ_E_LIMIT, "too many gateways");
    if (!work->gateway->is_member) {
        int error = hint(work, "unauth", DEVICE_CODE_UNKNOWN);
        return fail(work, error != 0 ? error : SEALMQ_E_UNKNOWN, "not registered");
    }
    if (bytes_equal(in->topic, bytes_str(service->request_topic)))
        return take_request(work);
    if (in->topic.n <= in->id.n + 1 || !bytes_starts_with(in->topic, in->id) ||
        in->topic.p[in->id.n] != '/')
        return fail(work, SEALMQ_E_DENIED, "not a topic of this id");
    work->below = bytes_of(in->topic.p + in->id.n + 1, in->topic.n - in->id.n - 1);
    if (bytes_equal(work->below, BYTES_LIT("key")))
        return take_hello(work);
    return take_report(work);
}

void device_service_input(struct device_service *service, const struct device_input *input,
                          struct device_output *out)
{
    *out = (struct device_output){0};
    service->why[0] = '\0';
    struct work work = {.service = service, .in = input, .out = out};
    out->error = take(&work);
    out->why = out->error != 0 ? service->why : "";
}

void device_service_stored(struct device_service *service, const struct device_stored *stored,
                           struct device_output *out)
{
    *out = (struct device_output){.why = ""};
    service->why[0] = '\0';
    if (stored->error == 0) {
        service->stats.reports_accepted_total++;
        service->stats.rows_accepted_total += stored->rows;
    } else if (stored->error != SEALMQ_E_EXISTS) {
        service->stats.reports_refused_other_total++;
    }
    struct gateway_state *gateway = gateway_find(service, stored->id);
    if (gateway == NULL || gateway->current == NULL)
        return;
    /* With a conflict, the answer names the hash that is recorded. */
    const struct hash *hash = stored->recorded != NULL ? stored->recorded : &stored->hash;
    out->error =
        service_reply_report(service, gateway, stored->topic, stored->n, hash, stored->error, out);
}

static int reply_about_request(struct device_service *service, struct bytes id,
                               const struct reply *reply, struct device_output *out)
{
    *out = (struct device_output){.why = ""};
    struct gateway_state *gateway = gateway_find(service, id);
    if (gateway == NULL || gateway->current == NULL)
        return SEALMQ_E_AGAIN;
    struct buf topic = {0};
    buf_append_cstr(&topic, service->reply_prefix);
    buf_append_bytes(&topic, id);
    int error = buf_status(&topic);
    if (error == 0)
        error = service_reply_sealed(service, gateway->current, buf_bytes(&topic), reply, out);
    buf_close(&topic);
    return error;
}

int device_service_receipt(struct device_service *service, struct bytes id, uint64_t request_number,
                           struct bytes proof, struct device_output *out)
{
    const struct reply reply = {.kind = REPLY_RECEIPT, .n = request_number, .proof = proof};
    return reply_about_request(service, id, &reply, out);
}

int device_service_request_refused(struct device_service *service, struct bytes id,
                                   uint64_t request_number, int error, struct device_output *out)
{
    struct reply reply = {
        .kind = REPLY_REQUEST_REFUSED,
        .n = request_number,
        .code = device_code_of(error),
    };
    reply.words = bytes_str(device_code_words(reply.code));
    return reply_about_request(service, id, &reply, out);
}
