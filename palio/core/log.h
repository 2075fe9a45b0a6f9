/* palio/core/log.h: what Palio has to say that is nobody's return value. Where it goes is palio_set_log's business. */
#ifndef PALIO_CORE_LOG_H
#define PALIO_CORE_LOG_H

#include <palio/base.h>

/* One line, at most PALIO_LOG_TEXT_SIZE bytes, no newline. Any thread; takes no lock of its own and allocates nothing;
 * about 1.5 KiB of stack besides vsnprintf's. Nothing is formatted when nobody listens at this level. */
void palio__log(int level, const char *format, ...) PALIO_PRINTF(2, 3);

#endif
