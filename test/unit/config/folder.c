/* The stores' fixture, for configurations on disk. */
#include "../store/folder.c"
