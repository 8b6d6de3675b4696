// NEON (64-bit ARM): four rows, or four trees, at a time.
#if defined(__aarch64__)
#include "trees.h"
#include <arm_neon.h>

enum { W = 4 };
typedef float32x4_t vf;
typedef uint32x4_t vu;
CKT_INLINE vf vf_load(const float *p) { return vld1q_f32(p); }
CKT_INLINE vf vf_set(float a) { return vdupq_n_f32(a); }
CKT_INLINE vu vu_set(uint32_t a) { return vdupq_n_u32(a); }
CKT_INLINE void vu_store(uint32_t *p, vu a) { vst1q_u32(p, a); }
CKT_INLINE vu without(vu acc, vu right, vu out) { return vbicq_u32(acc, vandq_u32(right, out)); }
CKT_INLINE vu keep_below(vu acc, vf x, vf t, vu out) { return without(acc, vcgeq_f32(x, t), out); }
CKT_INLINE vu keep_not_above(vu acc, vf x, vf t, vu out) { return without(acc, vmvnq_u32(vcltq_f32(x, t)), out); }

static void slots(const ck_trees *trees, size_t from, size_t to, const float *columns, uint32_t *left) {
    static const uint32_t bits[4] = {1, 2, 4, 8};
    const vu bit = vld1q_u32(bits);
    vu acc[4] = {vu_set(0xFFFFFFFFu), vu_set(0xFFFFFFFFu), vu_set(0xFFFFFFFFu), vu_set(0xFFFFFFFFu)};
    for (size_t s = from; s < to; s++)
        for (int h = 0; h < 4; h++) {
            size_t at = s * CK_TREE_LANES + (size_t)h * 4;
            const uint32_t *c = trees->columns + at;
            float few[4] = {columns[c[0]], columns[c[1]], columns[c[2]], columns[c[3]]};
            vf x = vld1q_f32(few);
            vu missing = vandq_u32(
                vmvnq_u32(vceqq_f32(x, x)), vtstq_u32(vu_set((uint32_t)trees->nan_right[s] >> (h * 4)), bit));
            vu right = vorrq_u32(vcgeq_f32(x, vld1q_f32(trees->thresholds + at)), missing);
            acc[h] = without(acc[h], right, vmvnq_u32(vld1q_u32(trees->masks + at)));
        }
    for (int h = 0; h < 4; h++) vu_store(left + h * 4, acc[h]);
}

#define TREES_TABLE ck_trees_neon
#include "trees_body.h"
#endif
