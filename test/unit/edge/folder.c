/* The stores' fixture, for what is kept on disk here. */
#include "../store/folder.c"
