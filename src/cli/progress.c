/* Bars on a terminal, lines elsewhere. */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/output.h"

#include "base/banned.h"

enum { BAR_CELLS = 28, QUIET_SECONDS = 15 };

void progress_begin(Progress *progress, const char *label, const char *unit) {
    bool quiet = progress->quiet;
    double now = clock_monotonic();
    *progress = (Progress){.label = label, .unit = unit, .quiet = quiet, .terminal = isatty(STDERR_FILENO), .start = now,
                           .shown = now, .total = -1, .first = -1};
}

static void format_amount(const Progress *progress, char out[32], int64_t value) {
    if (text_equal(progress->unit, "B")) output_size(out, value);
    else snprintf(out, 32, "%lld", (long long)value);
}

/* A percentage comes from elsewhere, with its own estimate in the note. */
static bool print_percent(const Progress *progress) {
    if (!text_equal(progress->unit, "%")) return false;
    fprintf(stderr, "%lld %%%s%s", (long long)progress->done, progress->note[0] ? "  " : "", progress->note);
    return true;
}

static void print_state(const Progress *progress) {
    if (print_percent(progress)) return;
    char done[32], total[32], rate[32];
    double seconds = clock_monotonic() - progress->start;
    double speed = seconds > 0 ? (double)(progress->done - progress->first) / seconds : 0;
    format_amount(progress, done, progress->done);
    format_amount(progress, total, progress->total);
    if (text_equal(progress->unit, "B")) output_size(rate, (int64_t)speed);
    else snprintf(rate, sizeof rate, "%.1f", speed);
    bool bytes = text_equal(progress->unit, "B");
    fprintf(stderr, "%s%s%s%s%s", done, progress->total > 0 ? "/" : "", progress->total > 0 ? total : "", bytes ? "" : " ",
            bytes ? "" : progress->unit);
    if (speed > 0) fprintf(stderr, ", %s/s", rate);
    if (speed > 0 && progress->total > progress->done) fprintf(stderr, ", %.0f s left", (double)(progress->total - progress->done) / speed);
    if (progress->note[0]) fprintf(stderr, "  %s", progress->note);
}

static void draw_bar(const Progress *progress) {
    int filled = progress->total > 0 ? (int)(BAR_CELLS * progress->done / progress->total) : 0;
    fprintf(stderr, "\r\033[K%-14s [", progress->label);
    for (int i = 0; i < BAR_CELLS; i++) fputc(i < filled ? '#' : '.', stderr);
    fputs("] ", stderr);
    print_state(progress);
    fflush(stderr);
}

void progress_update(void *context, int64_t done, int64_t total, const char *name) {
    Progress *progress = context;
    (void)name;
    double now = clock_monotonic();
    if (progress->first < 0) progress->first = done > 1 && total > 0 && done < total ? done : 0;
    progress->done = done;
    progress->total = total;
    if (progress->quiet) return;
    if (progress->terminal) {
        if (now - progress->shown < 0.05 && done != total) return;
        draw_bar(progress);
        progress->shown = now;
        return;
    }
    int quarter = total > 0 ? (int)(4 * done / total) : 0;
    if (quarter <= progress->quarter && now - progress->shown < QUIET_SECONDS) return;
    fprintf(stderr, "%s: ", progress->label);
    print_state(progress);
    fputc('\n', stderr);
    progress->quarter = quarter;
    progress->shown = now;
}

double progress_end(Progress *progress) {
    if (progress->terminal && !progress->quiet && progress->shown > progress->start) {
        draw_bar(progress);
        fputc('\n', stderr);
    }
    return clock_monotonic() - progress->start;
}
