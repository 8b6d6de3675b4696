// Bounds one row at a time: what the other instruction sets must agree with, and the fallback.
#include "bounds.h"
#include "half.h"
#include <string.h>

/// Dot of a row's codes in a block with the probe's, without the bias.
static int32_t block_dot(const uint8_t *codes, const ck_probe *probe, size_t lane) {
    int32_t sum = 0;
    for (size_t g = 0; g < probe->groups; g++)
        for (size_t j = 0; j < 4; j++) sum += codes[g * 64 + lane * 4 + j] * probe->codes[g * 4 + j];
    return sum;
}

static float half_at(const uint8_t *place, size_t lane) {
    uint16_t bits;
    memcpy(&bits, place + lane * 2, 2);
    return ck_half_to_float(bits);
}

static size_t scan(const uint8_t *coarse, const ck_probe *a, const uint8_t *fine, const ck_probe *b,
                   const float *offsets, size_t blocks, float threshold, uint32_t first, uint32_t *hits) {
    size_t count = 0;
    for (size_t block = 0; block < blocks; block++) {
        const uint8_t *x = coarse + block * ck_block_bytes(a->groups);
        const uint8_t *y = fine ? fine + block * ck_block_bytes(b->groups) : NULL;
        for (size_t lane = 0; lane < CK_BLOCK_ROWS; lane++) {
            float known = (float)(block_dot(x + 64, a, lane) + a->bias) * a->scale * half_at(x, lane);
            if (offsets) known += offsets[block * CK_BLOCK_ROWS + lane];
            if (known + a->rest * half_at(x + 32, lane) < threshold) continue;
            if (y) {
                known += (float)(block_dot(y + 64, b, lane) + b->bias) * b->scale * half_at(y, lane);
                if (known + b->rest * half_at(y + 32, lane) < threshold) continue;
            }
            hits[count++] = first + (uint32_t)(block * CK_BLOCK_ROWS + lane);
        }
    }
    return count;
}

static size_t rows(const uint8_t *codes, size_t stride, const float *scales, const float *offsets,
                   const ck_probe *probe, const uint32_t *positions, size_t n, float threshold, uint32_t *hits) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t position = positions[i];
        const uint8_t *x = codes + position * stride;
        int32_t sum = probe->bias;
        for (size_t j = 0; j < probe->groups * 4; j++) sum += x[j] * probe->codes[j];
        float bound = (float)sum * probe->scale * scales[position];
        if (offsets) bound += offsets[position];
        if (bound < threshold) continue;
        hits[count++] = position;
    }
    return count;
}

const ck_bounds ck_bounds_scalar = {.scan = scan, .rows = rows};
