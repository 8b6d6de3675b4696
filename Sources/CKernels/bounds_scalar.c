// Bounds one row at a time: what the other instruction sets must agree with, and the fallback.
#include "bounds.h"
#include "half.h"
#include <string.h>

/// Dot of a row's codes in a block with the probe's, without the bias.
static int32_t block_dot(const uint8_t *codes, const ck_level *level, size_t lane) {
    const ck_probe *probe = level->probe;
    int32_t sum = 0;
    for (size_t g = 0; g < probe->groups; g++) {
        const uint8_t *group = codes + (level->nibbles ? g / 2 : g) * 64 + lane * 4;
        for (size_t j = 0; j < 4; j++) {
            int32_t code = !level->nibbles ? group[j] : g % 2 ? group[j] >> 4 : group[j] & 15;
            sum += code * probe->codes[g * 4 + j];
        }
    }
    return sum;
}

static float half_at(const uint8_t *place, size_t lane) {
    uint16_t bits;
    memcpy(&bits, place + lane * 2, 2);
    return ck_half_to_float(bits);
}

static size_t scan(const ck_level *levels, size_t level_count, const float *offsets, size_t from, size_t to,
                   float threshold, uint32_t *hits) {
    size_t count = 0;
    for (size_t block = from; block < to; block++) {
        for (size_t lane = 0; lane < CK_BLOCK_ROWS; lane++) {
            float known = offsets ? offsets[block * CK_BLOCK_ROWS + lane] : 0;
            size_t level = 0;
            for (; level < level_count; level++) {
                const ck_probe *probe = levels[level].probe;
                const uint8_t *x = levels[level].blocks + block * ck_block_bytes(probe->groups, levels[level].nibbles);
                known += (float)(block_dot(x + 64, &levels[level], lane) + probe->bias) * probe->scale * half_at(x, lane);
                if (known + probe->rest * half_at(x + 32, lane) < threshold) break;
            }
            if (level == level_count) hits[count++] = (uint32_t)(block * CK_BLOCK_ROWS + lane);
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
