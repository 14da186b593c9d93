/* Networks as 128 bits: an IPv4 address is its mapped form. */
#include "server/http/client_address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"

#include "base/banned.h"

typedef struct Network {
    unsigned char address[16];
    int bits; /* of the prefix */
} Network;

struct ProxyList {
    int count;
    Network networks[PROXIES_MAXIMUM];
};

static bool parse_address(const char *text, unsigned char out[16], bool *is_v4) {
    static const unsigned char MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    *is_v4 = inet_pton(AF_INET, text, out + 12) == 1;
    if (*is_v4) memcpy(out, MAPPED, sizeof MAPPED);
    return *is_v4 || inet_pton(AF_INET6, text, out) == 1;
}

static bool parse_network(Network *out, const char *text, Arena *arena) {
    const char *slash = strchr(text, '/');
    bool is_v4;
    if (!parse_address(slash ? arena_strndup(arena, text, (size_t)(slash - text)) : text, out->address, &is_v4)) return false;
    int64_t bits, whole = is_v4 ? 32 : 128;
    if (!slash) bits = whole;
    else if (!text_to_int(slash + 1, &bits) || bits < 0 || bits > whole) return false;
    out->bits = (int)(is_v4 ? bits + 96 : bits);
    return true;
}

/* The piece between commas that ends at end, without blanks. */
static const char *piece(const char *start, const char *end, Arena *arena) {
    while (start < end && (*start == ' ' || *start == '\t')) start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t')) end--;
    return arena_strndup(arena, start, (size_t)(end - start));
}

Status proxy_list_parse(const ProxyList **out, const char *text, Arena *arena, Error *err) {
    ProxyList *list = arena_new(arena, ProxyList);
    *list = (ProxyList){0};
    for (const char *p = text; p;) {
        const char *comma = strchr(p, ','), *name = piece(p, comma ? comma : p + strlen(p), arena);
        p = comma ? comma + 1 : NULL;
        if (!name[0]) continue;
        if (list->count == PROXIES_MAXIMUM) return error_set(err, STATUS_CONFIGURATION, "at most %d proxies", PROXIES_MAXIMUM);
        if (!parse_network(&list->networks[list->count++], name, arena))
            return error_set(err, STATUS_CONFIGURATION, "addresses such as 127.0.0.1 or 10.0.0.0/8 are needed, not '%s'", name);
    }
    *out = list;
    return STATUS_OK;
}

static bool network_has(const Network *network, const unsigned char address[16]) {
    int bytes = network->bits / 8, rest = network->bits % 8;
    if (memcmp(network->address, address, (size_t)bytes) != 0) return false;
    return rest == 0 || (network->address[bytes] ^ address[bytes]) >> (8 - rest) == 0;
}

static bool is_trusted(const ProxyList *proxies, const unsigned char address[16]) {
    for (int i = 0; i < proxies->count; i++)
        if (network_has(&proxies->networks[i], address)) return true;
    return false;
}

const char *client_address(const ProxyList *proxies, const char *peer, const char *forwarded, Arena *arena) {
    unsigned char address[16];
    bool is_v4;
    if (!proxies || !forwarded || !parse_address(peer, address, &is_v4)) return peer;
    const char *client = peer, *end = forwarded + strlen(forwarded);
    while (is_trusted(proxies, address) && end > forwarded) {
        const char *start = end;
        while (start > forwarded && start[-1] != ',') start--;
        const char *name = piece(start, end, arena);
        if (!parse_address(name, address, &is_v4)) break;
        client = name;
        end = start > forwarded ? start - 1 : forwarded;
    }
    return client;
}
