/* Assertions on what must be true inside the program. They stay on in release builds. Never assert
 * on anything that came from outside: that is checked and refused with an error. */
#ifndef SEALMQ_BASE_ASSERT_H
#define SEALMQ_BASE_ASSERT_H

/* Prints the place and the expression on standard error, then aborts. */
_Noreturn void assert_failed(const char *file, int line, const char *expression);

#define ASSERT(expression)                                                                         \
    do {                                                                                           \
        if (__builtin_expect(!(expression), 0))                                                    \
            assert_failed(__FILE__, __LINE__, #expression);                                        \
    } while (0)

#endif
