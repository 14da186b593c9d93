#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

int64_t clock_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

double clock_monotonic(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

char *clock_format(int64_t ms, char out[CLOCK_TEXT_SIZE]) {
    time_t seconds = (time_t)(ms / 1000);
    int rest = (int)(ms % 1000);
    if (rest < 0) {
        rest += 1000;
        seconds--;
    }
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(out, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, CLOCK_TEXT_SIZE - n, ".%03dZ", rest);
    return out;
}

/* Whether text begins like the pattern, in which 9 is any digit and T what may stand between day and time. */
static bool begins_like(const char *text, const char *pattern) {
    for (; *pattern; text++, pattern++) {
        bool fits = *pattern == '9' ? *text >= '0' && *text <= '9' : *pattern == 'T' ? *text == 'T' || *text == 't' || *text == ' ' : *text == *pattern;
        if (!fits) return false;
    }
    return true;
}

bool clock_parse(const char *text, int64_t *out_ms) {
    static const char PATTERN[] = "9999-99-99T99:99:99";
    int year, month, day, hour, minute, second;
    if (strlen(text) > 40 || !begins_like(text, PATTERN)) return false; /* sscanf alone takes signs and blanks */
    if (sscanf(text, "%4d-%2d-%2d%*c%2d:%2d:%2d", &year, &month, &day, &hour, &minute, &second) != 6) return false;
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return false;
    const char *at = text + sizeof PATTERN - 1;
    int64_t ms = 0;
    if (begins_like(at, ".9")) {
        int scale = 100;
        for (at++; *at >= '0' && *at <= '9'; at++, scale /= 10) ms += (*at - '0') * scale;
    }
    int64_t offset_minutes = 0;
    if (*at == '+' || *at == '-') {
        int h, m;
        if (!begins_like(at + 1, "99:99") || at[6] != '\0' || sscanf(at + 1, "%2d:%2d", &h, &m) != 2 || h > 23 || m > 59) return false;
        offset_minutes = (*at == '+' ? 1 : -1) * (h * 60 + m);
    } else if ((*at != 'Z' && *at != 'z') || at[1] != '\0') {
        return false;
    }
    int leap = second == 60;
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute, .tm_sec = second - leap};
    time_t seconds = timegm(&tm);
    if (tm.tm_mday != day) return false; /* 30 February */
    *out_ms = ((int64_t)seconds + leap - offset_minutes * 60) * 1000 + ms;
    return true;
}

void clock_sleep(double seconds) {
    struct timespec t = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
}
