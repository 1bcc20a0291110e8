/* For measuring what durability costs: preloaded into a program, it makes every sync of the disk
 * return at once. What such a program calls durable is not. */
#include <unistd.h>

int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}
