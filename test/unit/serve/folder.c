/* The stores' fixture, for rules on disk. */
#include "../store/folder.c"
