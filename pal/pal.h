/* pal/pal.h: the whole seam. Each header also stands alone. The contract behind them is docs/seam.md. */
#ifndef PAL_PAL_H
#define PAL_PAL_H

#include "address.h"
#include "card.h"
#include "context.h"
#include "error.h"
#include "file.h"
#include "lease.h"
#include "mmap.h"
#include "options.h"
#include "os.h"
#include "poll.h"
#include "process.h"
#include "signal.h"
#include "sim.h"
#include "socket.h"
#include "types.h"

#endif
