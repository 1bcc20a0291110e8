/* A server for tests of the network layer, whose app lets everybody in, and a client of few words.
 */
#ifndef SEALMQ_TEST_NET_SERVED_H
#define SEALMQ_TEST_NET_SERVED_H

#include "net/net_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

/* The context of a worker is its place in here. */
extern struct net_worker *workers_of_context[8];
/* A write to "hold" stops the worker at that place: 1 while it is held, 2 to let it go. */
extern atomic_uint hold;

void let_in(void *worker_context, const struct broker_auth_request *request);
/* An auth_begin for the method "m". */
bool challenge(void *worker_context, const struct broker_auth_request *request);
/* Two workers; with a context, an atomic_uint, the second of them cannot start. */
struct net_server_options options_of(const struct net_listener *listeners, size_t count);
struct net_server *serve(const struct net_server_options *options);
struct net_server *serve_loopback(void);

int dial(uint16_t port);
void say(int fd, const struct mqtt_packet *packet);
void say_connect(int fd, const char *id);
/* The type of the next packet, or 0 when the server has closed. *value: its reason or payload. */
int hear(int fd, uint8_t *value);
int dial_in(struct net_server *server, const char *id);
void subscribe(int fd, const char *filter);
void publish(int fd, const char *topic, uint8_t payload);
/* An id that the worker owns. */
void id_for(unsigned worker, unsigned workers, char *out, size_t size);

#endif
