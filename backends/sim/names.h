/* names.h: pal_resolve and pal_names in a simulated world.
 *
 * Names of hosts are the world's; services and protocols are the system's tables, which are files. No name server is
 * ever asked, and nothing depends on the addresses and interfaces of the machine. */
#ifndef PAL__SIM_NAMES_H
#define PAL__SIM_NAMES_H

#include <pal/os.h>

/* As pal_resolve. Hosts of the world (without regard to case), localhost, no host, and numeric ones; PAL_ENONAME for
 * all others. A host has one address of a family here, its first; of two families that comes first which the caller's
 * host has, then the one that RFC 6724 prefers. A scope may be an interface's name. Called by whoever has the baton. */
int pal__s_resolve(const struct pal_query *query, struct pal_addr *out, int max);

/* As pal_names. The host is the one that the caller is on; every host has lo and eth0. */
int pal__s_names(int kind, const char *key, void *out, size_t size);

#endif
