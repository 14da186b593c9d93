/* Questions about a mask; contours are in trace.c. */
#include "geometry/mask.h"

#include <math.h>

#include "base/banned.h"

size_t mask_area(const Mask *mask) {
    size_t area = 0, size = (size_t)mask->width * mask->height;
    for (size_t i = 0; i < size; i++) area += mask->pixels[i] != 0;
    return area;
}

Box mask_box(const Mask *mask) {
    uint32_t left = mask->width, right = 0, top = mask->height, bottom = 0;
    for (uint32_t y = 0; y < mask->height; y++) {
        const uint8_t *row = mask->pixels + (size_t)y * mask->width;
        for (uint32_t x = 0; x < mask->width; x++) {
            if (!row[x]) continue;
            if (x < left) left = x;
            if (x >= right) right = x + 1;
            if (y < top) top = y;
            bottom = y + 1;
        }
    }
    return right ? (Box){left, top, right - left, bottom - top} : (Box){0};
}

bool mask_inside_point(const Mask *mask, Point *out) {
    double area = 0, sum_x = 0, sum_y = 0;
    for (uint32_t y = 0; y < mask->height; y++) {
        const uint8_t *row = mask->pixels + (size_t)y * mask->width;
        double in_row = 0;
        for (uint32_t x = 0; x < mask->width; x++) {
            if (!row[x]) continue;
            in_row++;
            sum_x += x + 0.5;
        }
        area += in_row;
        sum_y += in_row * (y + 0.5);
    }
    if (area == 0) return false;
    double cx = sum_x / area, cy = sum_y / area, best = INFINITY;
    for (uint32_t y = 0; y < mask->height; y++) {
        const uint8_t *row = mask->pixels + (size_t)y * mask->width;
        double dy = y + 0.5 - cy;
        if (dy * dy >= best) continue;
        for (uint32_t x = 0; x < mask->width; x++) {
            double dx = x + 0.5 - cx, d = dx * dx + dy * dy;
            if (!row[x] || d >= best) continue;
            best = d;
            *out = (Point){x + 0.5, y + 0.5};
        }
    }
    return true;
}
