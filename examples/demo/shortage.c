/* examples/demo/shortage.c: see shortage.h. */
#include "shortage.h"

#include <pal/error.h>
#include <pal/os.h>
#include <pal/socket.h>

enum { PAUSE_NS = 1000000 };

bool is_shortage(int code)
{
    return code == PAL_EMFILE || code == PAL_ENFILE || code == PAL_ENOBUFS || code == PAL_ENOMEM;
}

/* True: there was a shortage, a while has passed, and it is worth another try. */
static bool wait_a_while(int code, uint64_t until_ns)
{
    if (!is_shortage(code)) {
        return false;
    }
    uint64_t now_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    if (now_ns >= until_ns) {
        return false;
    }
    (void)pal_sock_wait(NULL, 0, now_ns + PAUSE_NS);
    return true;
}

int open_poll(uint64_t until_ns, pal_poll **out)
{
    int code;
    do {
        code = pal_poll_open(out, NULL);
    } while (wait_a_while(code, until_ns));
    return code;
}

int open_sock(pal_poll *poll, int family, int type, uint64_t until_ns, pal_sock *out)
{
    int code;
    do {
        code = pal_sock_open(poll, family, type, PAL_IPPROTO_DEFAULT, out);
    } while (wait_a_while(code, until_ns));
    return code;
}
