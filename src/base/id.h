/* Names: ids ("broker/a"), networks ("plant"), and names of devices, services and items. */
#ifndef SEALMQ_BASE_ID_H
#define SEALMQ_BASE_ID_H

#include "base/bytes.h"
#include "base/limits.h"

/* Two words of [A-Za-z0-9_-]{1,64} with a slash between. */
bool id_is_valid(struct bytes id);
/* [a-z0-9-]{1,32} */
bool network_name_is_valid(struct bytes name);
/* [A-Za-z0-9_.-]{1,64} */
bool item_name_is_valid(struct bytes name);

#endif
