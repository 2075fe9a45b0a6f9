/* fuzz/fuzz_sockaddr.c: addresses on their way to the kernel and back (backends/posix/sockaddr.c) under libFuzzer.
 *
 * The input is a struct pal_addr, or what the kernel wrote as a sockaddr and how long it says that this is; its first
 * byte tells which. An address that the kernel's form can hold comes back equal; one that it cannot hold is refused;
 * and nothing beyond the given size is looked at. Corpus: fuzz/corpus/sockaddr/. */
#include "../backends/posix/sockaddr.h"

#include <pal/address.h>
#include <pal/pal.h>
#include <stddef.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

static bool family_is_known(int family)
{
    return family == PAL_AF_INET || family == PAL_AF_INET6 || family == PAL_AF_UNIX;
}

static void check_outward(const uint8_t *data, size_t size)
{
    union sockaddr_any name;
    struct pal_addr addr, back;
    socklen_t length = 0;
    int error;

    memset(&addr, 0, sizeof(addr));
    memcpy(&addr, data, size < sizeof(addr) ? size : sizeof(addr));
    if (addr.family == PAL_AF_UNIX)
        addr.port = 0; /* it has none */
    memset(&name, 0xa5, sizeof(name));
    error = sockaddr_of(&addr, &name, &length);
    if (error != 0) {
        check(pal_reason()[0] != '\0');
        check(!family_is_known(addr.family) ? error == PAL_EAFNOSUPPORT
                                            : error == PAL_EINVAL || error == PAL_ENAMETOOLONG);
        return;
    }
    check(length <= sizeof(name) && family_is_known(addr.family) && name.any.sa_family == addr.family);
    addr_of(&back, &name, length);
    check(pal_addr_equal(&addr, &back));
    check(addr.family != PAL_AF_INET6 || addr.flow == back.flow);
}

/* The kernel writes at most what it is given room for, and may say that there was more of a unix name. */
static void check_inward(const uint8_t *data, size_t size)
{
    union sockaddr_any name, again;
    struct pal_addr addr, other;
    socklen_t length = (socklen_t)(size < sizeof(name) ? size : sizeof(name)), written = 0;

    memset(&name, 0, sizeof(name));
    memcpy(&name, data, length);
    if ((name.any.sa_family == AF_INET && length != sizeof(name.in)) ||
        (name.any.sa_family == AF_INET6 && length != sizeof(name.in6)))
        return; /* these have one size each */
    if (name.any.sa_family > UINT8_MAX)
        return; /* the kernel has no such families */
    addr_of(&addr, &name, length);
    check(addr.size <= sizeof(addr.bytes));
    memset((uint8_t *)&name + length, 0x5a, sizeof(name) - length);
    addr_of(&other, &name, length);
    check(addr.family == other.family && (length < sizeof(name.any.sa_family) || pal_addr_equal(&addr, &other)));
    if (family_is_known(addr.family))
        check(sockaddr_of(&addr, &again, &written) == 0 || addr.family == PAL_AF_UNIX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        check_outward(data + 1, size - 1);
    else
        check_inward(data + 1, size - 1);
    return 0;
}
