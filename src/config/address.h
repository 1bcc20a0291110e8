/* Numeric addresses in configurations. */
#ifndef SEALMQ_CONFIG_ADDRESS_H
#define SEALMQ_CONFIG_ADDRESS_H

#include <stdbool.h>

bool address_is_numeric(const char *address);
/* 127.0.0.0/8 or ::1 */
bool address_is_loopback(const char *address);

#endif
