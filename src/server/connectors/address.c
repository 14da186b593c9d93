/* Which addresses of the internet are public. Source: the special-purpose registries of IANA (RFC 6890 and its updates). */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "server/connectors/remote.h"
#include "base/banned.h"

typedef struct Block {
    unsigned char prefix[16];
    int bits;
} Block;

static const Block PRIVATE_4[] = {
    {{0}, 8},            {{10}, 8},         {{100, 64}, 10},  {{127}, 8},      {{169, 254}, 16}, {{172, 16}, 12}, {{192, 0, 0}, 24},
    {{192, 0, 2}, 24},   {{192, 88, 99}, 24}, {{192, 168}, 16}, {{198, 18}, 15}, {{198, 51, 100}, 24}, {{203, 0, 113}, 24}, {{224}, 3},
};
static const Block PRIVATE_6[] = {
    {{0}, 128},        {{[15] = 1}, 128},  {{0x01, 0x00}, 64}, {{0x20, 0x01, 0x0d, 0xb8}, 32}, {{0x20, 0x02}, 16}, {{0xfc}, 7},
    {{0xfe, 0x80}, 10}, {{0xfe, 0xc0}, 10}, {{0xff}, 8},
};
/* Blocks of IPv6 that hold an IPv4 address in their last four bytes. */
static const Block EMBEDDED_4[] = {{{[10] = 0xff, 0xff}, 96}, {{0x00, 0x64, 0xff, 0x9b}, 96}, {{0}, 96}};

static bool within(const unsigned char *address, const Block *block) {
    int bytes = block->bits / 8, rest = block->bits % 8;
    if (memcmp(address, block->prefix, (size_t)bytes) != 0) return false;
    unsigned mask = rest ? 0xffu << (8 - rest) : 0;
    return rest == 0 || ((address[bytes] ^ block->prefix[bytes]) & mask & 0xff) == 0;
}

static bool in_any(const unsigned char *address, const Block *blocks, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (within(address, &blocks[i])) return true;
    return false;
}
#define IN_ANY(address, blocks) in_any((address), (blocks), sizeof(blocks) / sizeof *(blocks))

bool address_is_public(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        return !IN_ANY((const unsigned char *)&v4->sin_addr, PRIVATE_4);
    }
    if (address->sa_family != AF_INET6) return false;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    const unsigned char *bytes = v6->sin6_addr.s6_addr;
    if (IN_ANY(bytes, PRIVATE_6)) return false;
    return !IN_ANY(bytes, EMBEDDED_4) || !IN_ANY(bytes + 12, PRIVATE_4);
}
