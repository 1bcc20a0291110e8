/* Numeric addresses in configurations. */
#ifndef SEALMQ_CONFIG_ADDRESS_H
#define SEALMQ_CONFIG_ADDRESS_H

#include <stdbool.h>

bool address_is_numeric(const char *address);
/* 127.0.0.0/8 or ::1 */
bool address_is_loopback(const char *address);
/* Whether two sockets cannot listen on both with one port: they are the same, or one of them is all
 * of their kind (IPv4 and IPv6 do not meet). False for what is not numeric. */
bool address_meets(const char *a, const char *b);

#endif
