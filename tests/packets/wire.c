/* wire.c: what lies between the stack and the port of a script: nothing. tests/dpdk/wire_dpdk.c, linked instead, puts
 * ports of DPDK there. */
#include "packets.h"

bool wire_begin(void)
{
    return true;
}

void wire_end(void)
{
}

struct nic *wire_wrap(struct port *port)
{
    return &port->nic;
}

void wire_unwrap(struct port *port)
{
    (void)port;
}
