/* palio/address.h: addresses of all families by value, to and from text. No sockaddr, no byte order to remember.
 *
 * Looking names up is not here: the text is numeric, but for the interface that a link-local address belongs to. */
#ifndef PALIO_ADDRESS_H
#define PALIO_ADDRESS_H

#include <pal/types.h>
#include <palio/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PALIO_AF_UNSPEC = PAL_AF_UNSPEC,
    PALIO_AF_UNIX = PAL_AF_UNIX,
    PALIO_AF_INET = PAL_AF_INET,
    PALIO_AF_INET6 = PAL_AF_INET6,
    PALIO_AF_PACKET = PAL_AF_PACKET,
    PALIO_AF_VSOCK = PAL_AF_VSOCK
};

/* The seam's own struct: family, port (host byte order), scope, flow, size and bytes[]; see pal/types.h. Zero it before
 * you fill it in by hand. */
typedef struct pal_addr palio_address;

enum { PALIO_ADDRESS_TEXT_SIZE = 464 }; /* bytes of a buffer for the text of any address, with its terminator */

/* Reads "10.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", "10.0.0.1", "::1", and unix names: "unix:/run/x", or abstract
 * "unix:@name". No port is port 0. The scope behind % is an interface's number or name. 0, or, with *address untouched:
 * PALIO_EINVAL: not such a text; PALIO_ENAMETOOLONG: a unix name of more than 107 bytes; PALIO_ENONAME: no interface of
 * that name, or why it could not be looked up. Costs a system call when an interface is named, else none. */
int palio_address_parse(palio_address *address, const char *text);

/* The same for a host alone, "10.0.0.1", "::1" or "fe80::1%eth0", without brackets, and a port. */
int palio_address_from_host(palio_address *address, const char *numeric_host, uint16_t port);

/* Writes the text that palio_address_parse reads back as an equal address (RFC 5952; a scope is a number), cut to size
 * bytes, terminator included. Returns buffer, so that it can stand in the arguments of a printf. */
const char *palio_address_format(const palio_address *address, char buffer[], size_t size);

/* Same family, port, name and, for IPv6, scope. */
bool palio_address_equal(const palio_address *a, const palio_address *b);

#ifdef __cplusplus
}
#endif
#endif
