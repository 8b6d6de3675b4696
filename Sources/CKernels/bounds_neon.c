// NEON (64-bit ARM): four rows at a time, products of codes widened to 16 bits.
#if defined(__aarch64__)
#include "bounds.h"
#include <arm_neon.h>

/// Adds the products of four codes of each of four rows (16 codes).
CK_INLINE int32x4_t add_group(int32x4_t sum, uint8x16_t codes, int16x4_t probe) {
    int16x8_t twice = vcombine_s16(probe, probe);
    int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes)));    // rows 0 and 1
    int16x8_t high = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(codes)));  // rows 2 and 3
    int32x4_t a = vmull_s16(vget_low_s16(low), vget_low_s16(twice)), b = vmull_high_s16(low, twice);
    int32x4_t c = vmull_s16(vget_low_s16(high), vget_low_s16(twice)), d = vmull_high_s16(high, twice);
    return vaddq_s32(sum, vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)));
}

CK_INLINE int16x4_t widened(const ck_probe *probe, size_t g) {
    int16_t four[4];
    for (int j = 0; j < 4; j++) four[j] = probe->codes[g * 4 + (size_t)j];
    return vld1_s16(four);
}

CK_INLINE float32x4_t halves(const uint8_t *place) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)(const void *)place)));
}

CK_INLINE float32x4_t known(const uint8_t *block, const ck_level *level, size_t quarter) {
    const ck_probe *probe = level->probe;
    int32x4_t sum = vdupq_n_s32(probe->bias);
    for (size_t g = 0; g < probe->groups; g++) {
        uint8x16_t codes = vld1q_u8(block + 64 + (level->nibbles ? g / 2 : g) * 64 + quarter * 16);
        if (level->nibbles) codes = g % 2 ? vshrq_n_u8(codes, 4) : vandq_u8(codes, vdupq_n_u8(15));
        sum = add_group(sum, codes, widened(probe, g));
    }
    return vmulq_f32(vmulq_n_f32(vcvtq_f32_s32(sum), probe->scale), halves(block + quarter * 8));
}

static size_t scan(const ck_level *levels, size_t level_count, const float *offsets, size_t from, size_t to,
                   float threshold, uint32_t *hits) {
    size_t count = 0;
    for (size_t i = from; i < to; i++) {
        for (size_t quarter = 0; quarter < 4; quarter++) {
            float32x4_t score = offsets ? vld1q_f32(offsets + i * CK_BLOCK_ROWS + quarter * 4) : vdupq_n_f32(0);
            unsigned hit = 0xF;
            for (size_t level = 0; level < level_count && hit; level++) {
                const ck_probe *probe = levels[level].probe;
                const uint8_t *block = levels[level].blocks + i * ck_block_bytes(probe->groups, levels[level].nibbles);
                score = vaddq_f32(score, known(block, &levels[level], quarter));
                float bound[4];
                vst1q_f32(bound, vfmaq_n_f32(score, halves(block + 32 + quarter * 8), probe->rest));
                for (unsigned lane = 0; lane < 4; lane++) hit &= ~((unsigned)(bound[lane] < threshold) << lane);
            }
            for (; hit; hit &= hit - 1)
                hits[count++] = (uint32_t)(i * CK_BLOCK_ROWS + quarter * 4) + (uint32_t)__builtin_ctz(hit);
        }
    }
    return count;
}

static size_t rows(const uint8_t *codes, size_t stride, const float *scales, const float *offsets,
                   const ck_probe *probe, const uint32_t *positions, size_t n, float threshold, uint32_t *hits) {
    size_t bytes = probe->groups * 4, whole = bytes & ~(size_t)7, count = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t position = positions[i];
        const uint8_t *x = codes + position * stride;
        if (i + 8 < n) __builtin_prefetch(codes + positions[i + 8] * stride);
        int32x4_t sum = vdupq_n_s32(0);
        for (size_t j = 0; j < whole; j += 8) {
            int16x8_t a = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(x + j))), b = vmovl_s8(vld1_s8(probe->codes + j));
            sum = vmlal_high_s16(vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b)), a, b);
        }
        int32_t dot = vaddvq_s32(sum) + probe->bias;
        for (size_t j = whole; j < bytes; j++) dot += x[j] * probe->codes[j];
        float bound = (float)dot * probe->scale * scales[position];
        if (offsets) bound += offsets[position];
        hits[count] = position;
        count += !(bound < threshold);
    }
    return count;
}

const ck_bounds ck_bounds_neon = {.scan = scan, .rows = rows};
#endif
