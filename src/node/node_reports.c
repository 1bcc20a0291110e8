/* The way of a report through a node: opened and verified here, on the worker that read it; stored
 * by the historian; answered, acknowledged and republished here again when it is durable. */
#include "base/log.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "device/report.h"
#include "node/node_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COMPONENT       "device"
#define MEMBER_TRIES    100
#define MEMBER_RETRY_NS 10000000

static void reply_all(struct node_worker *worker, struct broker_conn conn,
                      const struct device_output *output)
{
    struct broker *broker = net_worker_broker(worker->net);
    for (size_t i = 0; i < output->reply_count; i++) {
        const struct broker_outgoing message = {
            .topic = output->replies[i].topic,
            .payload = output->replies[i].payload,
            .qos = 1,
        };
        int error = broker_reply(broker, conn, &message, net_worker_now_ms(worker->net));
        if (error != 0)
            log_debug(COMPONENT, "a reply on %.*s was not sent: %s", (int)message.topic.n,
                      (const char *)message.topic.p, sealmq_error_text(error));
    }
}

static void show_stats(struct node_worker *worker)
{
    pthread_mutex_lock(&worker->stats_lock);
    device_service_stats_get(worker->devices, &worker->stats);
    pthread_mutex_unlock(&worker->stats_lock);
}

/* The MQTT reason code that says what the sealed answer or the hint says in full. */
static uint8_t reason_of(int error)
{
    switch (error) {
    case 0:
        return MQTT_REASON_SUCCESS;
    case SEALMQ_E_UNKNOWN:
    case SEALMQ_E_REVOKED:
    case SEALMQ_E_DENIED:
    case SEALMQ_E_EXPIRED:
        return MQTT_REASON_NOT_AUTHORIZED;
    case SEALMQ_E_LIMIT:
    case SEALMQ_E_BUSY:
    case SEALMQ_E_FULL:
    case SEALMQ_E_IO:
    case SEALMQ_E_CORRUPT:
    case SEALMQ_E_CLOSED:
    case SEALMQ_E_NOMEM:
        return MQTT_REASON_QUOTA_EXCEEDED;
    case SEALMQ_E_CONFLICT:
        return MQTT_REASON_IMPLEMENTATION_SPECIFIC_ERROR;
    default:
        return MQTT_REASON_PAYLOAD_FORMAT_INVALID;
    }
}

/* Gives the report to the historian; on failure the gateway is told at once. */
static enum broker_verdict store_report(struct node_worker *worker, const struct broker_publish *in,
                                        uint64_t ticket, const struct device_report *report,
                                        uint8_t *reason)
{
    struct historian_job *job;
    struct device_report rows_only = *report;
    rows_only.json = (struct bytes){0};
    int error = historian_job_new(&rows_only, &job);
    if (error == 0) {
        job->worker = worker->net;
        job->conn = in->conn;
        job->ticket = ticket;
        job->received_us = node_wall_us();
        error = historian_submit(worker->node->historian, job);
        if (error == 0)
            return BROKER_DEFER;
        historian_job_free(job);
    }
    struct device_output output;
    device_service_stored(worker->devices,
                          &(struct device_stored){
                              .id = report->head.gateway,
                              .topic = report->head.topic,
                              .n = report->head.n,
                              .rows = report->head.rows,
                              .hash = report->hash,
                              .error = error,
                              .now_ms = net_worker_now_ms(worker->net),
                          },
                          &output);
    show_stats(worker);
    refusals_log(&worker->refusals, net_worker_now_ms(worker->net), COMPONENT,
                 "refused report %llu of %.*s: %s", (unsigned long long)report->head.n,
                 node_shown(in->client_id), (const char *)in->client_id.p,
                 sealmq_error_text(error));
    reply_all(worker, in->conn, &output);
    *reason = reason_of(error);
    return BROKER_TAKEN;
}

enum broker_verdict node_device_message(struct node_worker *worker, const struct broker_publish *in,
                                        uint64_t ticket, uint8_t *reason)
{
    struct device_input input = {
        .id = in->client_id,
        .account = in->user_name,
        .topic = in->topic,
        .payload = in->payload,
        .now_ms = net_worker_now_ms(worker->net),
        .wall_us = node_wall_us(),
    };
    random_bytes(input.random, sizeof input.random);
    struct device_output output;
    device_service_input(worker->devices, &input, &output);
    secret_wipe(input.random, sizeof input.random); /* it may have made a session key */
    show_stats(worker);
    if (output.error != 0)
        refusals_log(&worker->refusals, net_worker_now_ms(worker->net), COMPONENT,
                     "refused from %.*s on %.*s: %s%s%s", node_shown(in->client_id),
                     (const char *)in->client_id.p, node_shown(in->topic),
                     (const char *)in->topic.p, sealmq_error_text(output.error),
                     output.why[0] != '\0' ? ": " : "", output.why);
    reply_all(worker, in->conn, &output);
    *reason = reason_of(output.error);
    if (output.has_report)
        return store_report(worker, in, ticket, &output.report, reason);
    if (output.has_request) {
        int error = agreement_request(worker->node->agreement, in->client_id, output.request);
        *reason = reason_of(error);
    }
    return BROKER_TAKEN;
}

/* The plain report for ordinary clients, on verified/<gateway>/<topic>: made of the rows, since a
 * member of the JSON that is no part of them bears no signature. */
static void republish(struct node_worker *worker, const struct device_report *report)
{
    struct buf topic = {0}, json = {0};
    buf_append_cstr(&topic, "verified/");
    buf_append_bytes(&topic, report->head.gateway);
    buf_append_u8(&topic, '/');
    buf_append_bytes(&topic, report->head.topic);
    int error = buf_status(&topic);
    if (error == 0)
        error = report_format(report->rows, report->head.rows, &json);
    if (error == 0)
        error = broker_publish(net_worker_broker(worker->net),
                               &(struct broker_outgoing){
                                   .topic = buf_bytes(&topic),
                                   .payload = buf_bytes(&json),
                                   .qos = 1,
                               },
                               net_worker_now_ms(worker->net));
    if (error != 0)
        log_warn(COMPONENT, "a stored report could not be republished: %s",
                 sealmq_error_text(error));
    buf_close(&topic);
    buf_close(&json);
}

void node_report_stored(void *worker_context, struct historian_job *job)
{
    struct node_worker *worker = worker_context;
    const struct report_head *head = &job->report.head;
    struct device_output output;
    device_service_stored(worker->devices,
                          &(struct device_stored){
                              .id = head->gateway,
                              .topic = head->topic,
                              .n = head->n,
                              .rows = head->rows,
                              .hash = job->report.hash,
                              .error = job->error,
                              .recorded = job->error == SEALMQ_E_CONFLICT ? &job->recorded : NULL,
                              .now_ms = net_worker_now_ms(worker->net),
                          },
                          &output);
    show_stats(worker);
    bool is_durable = job->error == 0 || job->error == SEALMQ_E_EXISTS;
    if (!is_durable)
        refusals_log(&worker->refusals, net_worker_now_ms(worker->net), COMPONENT,
                     "refused report %llu of %.*s: %s", (unsigned long long)head->n,
                     node_shown(head->gateway), (const char *)head->gateway.p,
                     job->error == SEALMQ_E_CONFLICT
                         ? "another report with this capture number is stored"
                         : sealmq_error_text(job->error));
    reply_all(worker, job->conn, &output);
    broker_acknowledge(net_worker_broker(worker->net), job->conn, job->ticket,
                       reason_of(is_durable ? 0 : job->error));
    if (job->error == 0)
        republish(worker, &job->report);
    historian_job_free(job);
}

/* ---- from the agreement thread to the worker that owns the gateway ---- */

enum notice_kind { NOTICE_MEMBER, NOTICE_RECEIPT, NOTICE_REFUSED };

struct notice {
    enum notice_kind kind;
    char id[ID_MAX + 1];
    bool is_active;
    struct public_key key;
    uint64_t number;
    int error;
    size_t proof_size;
    uint8_t proof[];
};

static void take_notice(struct node_worker *worker, const struct notice *notice)
{
    struct bytes id = bytes_str(notice->id);
    struct broker *broker = net_worker_broker(worker->net);
    struct broker_conn conn;
    struct device_output output = {0};
    int error = 0;
    bool is_here = broker_find(broker, id, &conn) == 0;
    switch (notice->kind) {
    case NOTICE_MEMBER:
        error = device_service_member(worker->devices, id, notice->is_active ? &notice->key : NULL);
        /* What it may do was decided when it logged in: it has to log in anew. */
        if (is_here)
            broker_disconnect(broker, conn, MQTT_REASON_ADMINISTRATIVE_ACTION,
                              notice->is_active ? "registered: log in again" : "revoked",
                              net_worker_now_ms(worker->net));
        break;
    case NOTICE_RECEIPT:
        error = device_service_receipt(worker->devices, id, notice->number,
                                       bytes_of(notice->proof, notice->proof_size), &output);
        break;
    case NOTICE_REFUSED:
        error = device_service_request_refused(worker->devices, id, notice->number, notice->error,
                                               &output);
        break;
    }
    if (error != 0 && error != SEALMQ_E_AGAIN) /* without a session key the gateway asks again */
        log_error(COMPONENT, "%s could not be told what became of it: %s", notice->id,
                  sealmq_error_text(error));
    if (error == 0 && is_here)
        reply_all(worker, conn, &output);
}

static void on_notice(void *worker_context, void *arg)
{
    struct notice *notice = arg;
    take_notice(worker_context, notice);
    free(notice);
}

static int post_notice(struct node *node, struct bytes id, const struct notice *like,
                       struct bytes proof)
{
    struct notice *notice = malloc(sizeof *notice + proof.n);
    if (notice == NULL)
        return SEALMQ_E_NOMEM;
    *notice = *like;
    notice->proof_size = proof.n;
    if (proof.n != 0)
        memcpy(notice->proof, proof.p, proof.n);
    int error = bytes_to_cstr(id, notice->id, sizeof notice->id);
    if (error == 0)
        error = net_worker_post(net_server_owner(node->server, id), on_notice, notice);
    if (error != 0)
        free(notice);
    return error;
}

/* An answer that is lost is asked for again. */
static void send_notice(struct node *node, struct bytes id, const struct notice *like,
                        struct bytes proof)
{
    int error = post_notice(node, id, like, proof);
    if (error != 0)
        log_debug(COMPONENT, "%.*s is not told what became of request %llu: %s", (int)id.n,
                  (const char *)id.p, (unsigned long long)like->number, sealmq_error_text(error));
}

/* A revocation that is lost would leave its gateway connected, and its key in use. */
static void send_member(struct node *node, struct bytes id, const struct notice *like)
{
    int error;
    for (unsigned tries = 0; tries < MEMBER_TRIES; tries++) {
        error = post_notice(node, id, like, (struct bytes){0});
        if (error != SEALMQ_E_NOMEM)
            return; /* sent, or the worker has stopped */
        nanosleep(&(struct timespec){.tv_nsec = MEMBER_RETRY_NS}, NULL);
    }
    log_error(COMPONENT, "there is no memory to tell what %.*s may do now: this node ends",
              (int)id.n, (const char *)id.p);
    node_fail(node, error);
}

void node_member_changed(void *context, const struct member *member)
{
    struct node *node = context;
    if (node->server == NULL) /* still starting: the workers ask the registry when they start */
        return;
    send_member(node, bytes_str(member->id),
                &(struct notice){
                    .kind = NOTICE_MEMBER,
                    .is_active = member->status == MEMBER_ACTIVE,
                    .key = member->key,
                });
    node_members_changed(node);
}

static bool is_admin(struct node *node, struct bytes id)
{
    struct registry_entry entry;
    return registry_find(node->registry, id, &entry) == 0 && entry.kind == REGISTRY_ADMIN;
}

/* Operators' tools get plain JSON. */
static void tell_admin(struct node *node, struct bytes id, uint64_t number, uint64_t height,
                       int error)
{
    struct buf topic = {0}, payload = {0};
    buf_printf(&topic, "%sreply/%.*s", node->chain_prefix, (int)id.n, (const char *)id.p);
    if (error == 0)
        buf_printf(&payload, "{\"request\":%llu,\"height\":%llu}", (unsigned long long)number,
                   (unsigned long long)height);
    else
        buf_printf(&payload, "{\"request\":%llu,\"error\":\"%s\",\"words\":\"%s\"}",
                   (unsigned long long)number, sealmq_error_name(error), sealmq_error_text(error));
    if (buf_status(&topic) == 0 && buf_status(&payload) == 0)
        node_send(node, id, buf_bytes(&topic), buf_bytes(&payload));
    buf_close(&topic);
    buf_close(&payload);
}

void node_receipt(void *context, const struct receipt *receipt)
{
    struct node *node = context;
    if (is_admin(node, receipt->client)) {
        tell_admin(node, receipt->client, receipt->number, receipt->height, 0);
        return;
    }
    send_notice(node, receipt->client,
                &(struct notice){.kind = NOTICE_RECEIPT, .number = receipt->number},
                receipt->proof);
}

void node_request_refused(void *context, struct bytes client, uint64_t number, int error)
{
    struct node *node = context;
    if (is_admin(node, client)) {
        tell_admin(node, client, number, 0, error);
        return;
    }
    send_notice(node, client,
                &(struct notice){.kind = NOTICE_REFUSED, .number = number, .error = error},
                (struct bytes){0});
}
