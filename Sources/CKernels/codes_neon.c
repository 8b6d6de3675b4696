// NEON (64-bit ARM): one row at a time, products of codes widened to 16 bits.
#if defined(__aarch64__)
#include "codes.h"
#include <arm_neon.h>

static void gather(const uint8_t *base, size_t stride, const ck_code_query *query, const uint32_t *ids, size_t n,
                   float *out) {
    for (size_t i = 0; i < n; i++) {
        const uint8_t *row = base + ids[i] * stride;
        if (i + 4 < n) ck_prefetch_codes(base + ids[i + 4] * stride, stride);
        int32x4_t a = vdupq_n_s32(0), b = a;
        for (size_t j = 0; j < stride; j += 16) {
            uint8x16_t x = vld1q_u8(row + j);
            int8x16_t q = vld1q_s8(query->codes + j);
            int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(x))), high = vreinterpretq_s16_u16(vmovl_high_u8(x));
            int16x8_t q_low = vmovl_s8(vget_low_s8(q)), q_high = vmovl_high_s8(q);
            a = vmlal_high_s16(vmlal_s16(a, vget_low_s16(low), vget_low_s16(q_low)), low, q_low);
            b = vmlal_high_s16(vmlal_s16(b, vget_low_s16(high), vget_low_s16(q_high)), high, q_high);
        }
        out[i] = ck_codes_score(vaddvq_s32(vaddq_s32(a, b)), query, row, stride);
    }
}

#define CODES_TABLE ck_codes_neon
#include "codes_body.h"
#endif
