/* Inside src/ledger only. */
#ifndef SEALMQ_LEDGER_MERKLE_INT_H
#define SEALMQ_LEDGER_MERKLE_INT_H

#include "ledger/merkle.h"

/* The root of the empty tree. */
void merkle_empty_root(struct hash *out);

#endif
