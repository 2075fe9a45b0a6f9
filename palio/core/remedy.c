/* remedy.c: what a user can do about an error: one table from code and operation to a sentence.
 *
 * Only what is true on every backend and helps somebody who reads it in a log is here; the seam's own reasons, which
 * error.c prefers where there are any, know the backend. Rows with an operation come before those for any. */
#include <string.h>

#include "error.h"

struct remedy {
    int code;
    const char *operation; /* NULL: any */
    const char *text;
};

static const struct remedy remedies[] = {
    {PALIO_EADDRINUSE, "bind",
     "another socket has this port: choose another, or set reuse_address; "
     "a unix path may be left over from a former run: remove it"},
    {PALIO_EADDRINUSE, "listen", "another socket listens on this port: choose another, or set reuse_address"},
    {PALIO_EADDRINUSE, "connect", "every local port for this peer is taken: close connections, or bind to port 0"},
    {PALIO_EADDRNOTAVAIL, "bind",
     "no interface of this machine has this address: bind to one of its own, or to 0.0.0.0 or ::"},
    {PALIO_EADDRNOTAVAIL, "connect",
     "no local address or port is free for this peer: close connections, or check the interfaces"},
    {PALIO_EACCES, "bind",
     "ports below 1024 need a privilege: choose a higher one; a unix path needs write permission on its directory"},
    {PALIO_EACCES, "connect", "a broadcast address needs the broadcast option, and a unix path write permission"},
    {PALIO_EACCES, "open", "sockets of this kind need a privilege"},
    {PALIO_EPERM, "open", "sockets of this kind need a privilege"},
    {PALIO_ENOENT, "bind", "the directory of this path is not there: create it first"},
    {PALIO_ENOENT, "connect", "no socket at this path: is the server running?"},
    {PALIO_ENOENT, "layout", "name a public type as its header does, for instance palio_error"},
    {PALIO_EINVAL, "address_parse",
     "write it like 10.0.0.1:80, [::1]:80, [fe80::1%eth0]:80 or unix:/run/x; names of hosts have to be looked up"},
    {PALIO_EINVAL, "address_from_host",
     "write it like 10.0.0.1, ::1 or fe80::1%eth0; names of hosts have to be looked up"},
    {PALIO_EINVAL, "set_allocator", "give it both alloc and free"},
    {PALIO_EBUSY, "set_allocator", "call it once, before anything else of Palio"},
    {PALIO_ENONAME, "address_parse", "no interface has this name: check the part behind %"},
    {PALIO_ENONAME, "address_from_host", "no interface has this name: check the part behind %"},
    {PALIO_EMSGSIZE, "send", "more than one datagram holds: send less at once, or use a stream"},
    {PALIO_EMSGSIZE, "sendto", "more than one datagram holds: send less at once, or use a stream"},
    {PALIO_ENOTCONN, "send", "connect first, or use sendto"},
    {PALIO_EDESTADDRREQ, "send", "connect first, or use sendto"},
    {PALIO_ENOTSUP, "sim_open", "link the program with libpal-sim"},
    {PALIO_ENOTSUP, "sim_sweep", "link the program with libpal-sim"},
    {PALIO_ENOTSUP, "sim_explore", "link the program with libpal-sim"},
    {PALIO_EDEADLK, "sim_run", "somebody waits for what never comes: who, and for what, is on the error stream"},
    {PALIO_EBUSY, "sim_close", "close them before the function returns, or set leftovers"},

    {PALIO_ECONNREFUSED, NULL, "nothing listens there: is the server running, on this address and port?"},
    {PALIO_EMFILE, NULL, "raise the descriptor limit (ulimit -n) or close what is no longer needed"},
    {PALIO_ENFILE, NULL, "the whole system is out of descriptors: close some, or raise its limit"},
    {PALIO_ENOBUFS, NULL, "a capacity fixed at set-up is used up: raise it there, or release sooner"},
    {PALIO_ENOMEM, NULL, "free memory, or lower the capacities asked for"},
    {PALIO_ENETUNREACH, NULL, "no route to this network: check the interfaces and routes of this machine"},
    {PALIO_EHOSTUNREACH, NULL, "no way to this host: is it up, and does a firewall stand between?"},
    {PALIO_ENETDOWN, NULL, "the interface is down: bring it up"},
    {PALIO_EAFNOSUPPORT, NULL, "this system or socket does not speak the address's family (is IPv6 switched off?)"},
    {PALIO_ENAMETOOLONG, NULL, "a unix path has at most 107 bytes: use a shorter one"},
    {PALIO_ENONAME, NULL, "check the spelling, and the resolver's configuration"},
    {PALIO_EBADF, NULL, "the handle has been closed: look for a use after close, or a second close"},
    {PALIO_EDEADLK, NULL, "this call waits, and a callback must not: pass PALIO_NOW, or call it from a task"},
    {PALIO_EOTHERTHREAD, NULL, "use a socket on the thread that opened it"},
    {PALIO_ENOWORKER, NULL, "set workers_max in pal_setup"},
    {PALIO_EFORKED, NULL, "open a new one in the child process"},
    {PALIO_ENOTSUP, NULL, "link a backend that can; palio_last_error()->backend is the one linked now"},
    {PALIO_ENOSYS, NULL, "this needs a newer system"},
    {PALIO_ELIMIT, NULL, "raise the limit, or read in smaller pieces"},
    {PALIO_ETLSCERT, NULL, "check the host name, the trusted authorities and this machine's clock"},
};

const char *palio__remedy(int code, const char *operation)
{
    for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++) {
        const struct remedy *row = &remedies[i];

        if (row->code == code && (row->operation == NULL || strcmp(row->operation, operation) == 0))
            return row->text;
    }
    return "";
}
