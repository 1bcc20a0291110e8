/* The ledger's test network: one fixture for both folders' tests. */
#include "unit/ledger/network.c"
