/* address.c: addresses to and from text: pal/address.h, plus interfaces by name and error detail. */
#include <string.h>

#include <pal/address.h>
#include <pal/os.h>
#include <palio/address.h>

#include "assertion.h"
#include "error.h"

PAL_STATIC_ASSERT((int)PALIO_ADDRESS_TEXT_SIZE == (int)PAL_ADDR_TEXT_SIZE, "room for the text of any address");

/* Where in a text the name of an interface stands: "eth0" in "[fe80::1%eth0]:80". */
struct scope_name {
    const char *at;
    size_t size; /* bytes */
};

/* False when there is no scope, or a number, which pal/address.h reads itself. */
static bool find_scope_name(const char *text, struct scope_name *name)
{
    const char *percent = strchr(text, '%');

    if (percent == NULL || strncmp(text, "unix:", 5) == 0)
        return false;
    name->at = percent + 1;
    name->size = strcspn(name->at, "]");
    return strspn(name->at, "0123456789") < name->size;
}

static int read_numeric(palio_address *address, const char *text, const uint16_t *port)
{
    return port != NULL ? pal_addr_from_host(address, text, *port) : pal_addr_parse(address, text);
}

/* Reads the text with a 1 in the name's place. The interface is looked up only for what is an address otherwise. */
static int read_around_name(palio_address *address, const char *text, const struct scope_name *name,
                            const uint16_t *port)
{
    char numeric[80]; /* more than the longest text of an IPv6 address with a scope and a port */
    size_t before = (size_t)(name->at - text);
    const char *rest = name->at + name->size;
    size_t rest_size = strlen(rest) + 1;

    if (before >= sizeof(numeric) || rest_size >= sizeof(numeric) - before)
        return PALIO_EINVAL;
    memcpy(numeric, text, before);
    numeric[before] = '1';
    memcpy(numeric + before + 1, rest, rest_size);
    return read_numeric(address, numeric, port);
}

static int look_up_interface(const struct scope_name *name, uint32_t *ifindex)
{
    char key[sizeof(((struct pal_interface *)NULL)->name)];
    int result;

    if (name->size >= sizeof(key))
        return PALIO_ENONAME;
    memcpy(key, name->at, name->size);
    key[name->size] = '\0';
    result = pal_names(PAL_NAMES_INTERFACE_INDEX, key, ifindex, sizeof(*ifindex));
    return result < 0 ? result : 0;
}

/* port: of a host alone; NULL when the text has it. */
static int read_address(palio_address *address, const char *operation, const char *text, const uint16_t *port)
{
    struct scope_name name;
    palio_address read;
    int error;

    PALIO__ASSERT(address != NULL && text != NULL, "palio_address: NULL for an address or its text");
    if (find_scope_name(text, &name)) {
        error = read_around_name(&read, text, &name, port);
        if (error == 0) {
            error = look_up_interface(&name, &read.scope);
            if (error != 0)
                return palio__fail(error, operation, "interface of %s", text);
        }
    } else {
        error = read_numeric(&read, text, port);
    }
    if (error != 0)
        return palio__refuse(error, operation, "\"%s\"", text);
    *address = read;
    return 0;
}

int palio_address_parse(palio_address *address, const char *text)
{
    return read_address(address, "address_parse", text, NULL);
}

int palio_address_from_host(palio_address *address, const char *numeric_host, uint16_t port)
{
    return read_address(address, "address_from_host", numeric_host, &port);
}

const char *palio_address_format(const palio_address *address, char buffer[], size_t size)
{
    PALIO__ASSERT(address != NULL && buffer != NULL && size > 0, "palio_address_format: no address or no room");
    (void)pal_addr_format(address, buffer, size);
    return buffer;
}

bool palio_address_equal(const palio_address *a, const palio_address *b)
{
    PALIO__ASSERT(a != NULL && b != NULL, "palio_address_equal: NULL for an address");
    return pal_addr_equal(a, b);
}
