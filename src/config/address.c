#include "config/address.h"

#include <arpa/inet.h>
#include <string.h>

bool address_is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool address_is_numeric(const char *address)
{
    unsigned char any[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, address, any) == 1 || inet_pton(AF_INET6, address, any) == 1;
}

bool address_meets(const char *a, const char *b)
{
    static const unsigned char any[sizeof(struct in6_addr)];
    static const struct {
        int family;
        size_t size;
    } kinds[] = {{AF_INET, sizeof(struct in_addr)}, {AF_INET6, sizeof(struct in6_addr)}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        unsigned char left[sizeof any], right[sizeof any];
        size_t n = kinds[i].size;
        if (inet_pton(kinds[i].family, a, left) == 1 && inet_pton(kinds[i].family, b, right) == 1)
            return memcmp(left, right, n) == 0 || memcmp(left, any, n) == 0 ||
                   memcmp(right, any, n) == 0;
    }
    return false;
}
