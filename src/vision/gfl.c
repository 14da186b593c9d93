#include "vision/gfl.h"

#include <math.h>
#include "base/banned.h"

static int cells(int side, int stride) { return (side + stride - 1) / stride; }

int64_t gfl_rows(const GflHead *head) {
    int64_t rows = 0;
    for (int i = 0; i < head->stride_count; i++) rows += (int64_t)cells(head->width, head->strides[i]) * cells(head->height, head->strides[i]);
    return rows;
}

int gfl_columns(const GflHead *head) { return head->classes + 4 * head->bins; }

/* Mean of a distribution that is given by its logits. */
static double mean_of(const float *logits, int bins) {
    double most = logits[0], sum = 0, weighted = 0;
    for (int i = 1; i < bins; i++) most = fmax(most, logits[i]);
    for (int i = 0; i < bins; i++) {
        double weight = exp(logits[i] - most);
        sum += weight;
        weighted += i * weight;
    }
    return weighted / sum;
}

static Box read_box(const GflHead *head, const float *distances, double x, double y, int stride, double scale) {
    double edge[4];
    for (int i = 0; i < 4; i++) edge[i] = stride * mean_of(distances + (size_t)i * (size_t)head->bins, head->bins);
    return (Box){(x - edge[0]) / scale, (y - edge[1]) / scale, (edge[0] + edge[2]) / scale, (edge[1] + edge[3]) / scale};
}

/* Appends what one row says. The box is worked out only where a class is likely. */
static size_t read_row(const GflHead *head, const float *row, double threshold, double x, double y, int stride, double scale, Box full, Detection *out, size_t room) {
    size_t count = 0;
    Box box = {0};
    for (int c = 0; c < head->classes && count < room; c++) {
        if (!(row[c] >= threshold)) continue;
        if (count == 0) {
            box = read_box(head, row + head->classes, x, y, stride, scale);
            if (!isfinite(box.x) || !isfinite(box.y) || !isfinite(box.w) || !isfinite(box.h)) return 0;
            box = box_intersection(box, full);
            if (box.w <= 0 || box.h <= 0) return 0;
        }
        out[count++] = (Detection){.box = box, .class_index = c, .confidence = fmin(row[c], 1)};
    }
    return count;
}

size_t gfl_read(const GflHead *head, const float *rows, double threshold, double scale, Box full, Detection *out, size_t maximum) {
    size_t count = 0, columns = (size_t)gfl_columns(head);
    for (int i = 0; i < head->stride_count; i++) {
        int stride = head->strides[i], across = cells(head->width, stride), down = cells(head->height, stride);
        for (int y = 0; y < down; y++)
            for (int x = 0; x < across; x++, rows += columns)
                count += read_row(head, rows, threshold, (x + 0.5) * stride, (y + 0.5) * stride, stride, scale, full, out + count, maximum - count);
    }
    return count;
}
