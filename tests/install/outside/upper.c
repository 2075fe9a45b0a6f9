/* tests/install/outside/upper.c: a program that calls nothing of the seam, so that what it needs of a backend it needs
 * by way of libpalio alone. Prints "ok BACKEND", which it knows from a failure. */
#include <palio/address.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    palio_address addr;
    if (palio_address_parse(&addr, "fe80::1%no-such-interface") == 0)
        return EXIT_FAILURE;
    printf("ok %s\n", palio_last_error()->backend);
    return EXIT_SUCCESS;
}
