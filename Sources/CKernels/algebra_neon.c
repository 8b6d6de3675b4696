// NEON (64-bit ARM): four floats at a time, four rows of a product at once.
#if defined(__aarch64__)
#include "algebra.h"
#include <arm_neon.h>

enum { W = 4, TILE_ROWS = 4 };
typedef float32x4_t vf;
CKA_INLINE vf vf_load(const float *p) { return vld1q_f32(p); }
CKA_INLINE void vf_store(float *p, vf a) { vst1q_f32(p, a); }
CKA_INLINE vf vf_set(float a) { return vdupq_n_f32(a); }
CKA_INLINE vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
CKA_INLINE float vf_sum(vf a) { return vaddvq_f32(a); }
CKA_INLINE void vf_sums8(const vf *a, float *out) {
    vst1q_f32(out, vpaddq_f32(vpaddq_f32(a[0], a[1]), vpaddq_f32(a[2], a[3])));
    vst1q_f32(out + 4, vpaddq_f32(vpaddq_f32(a[4], a[5]), vpaddq_f32(a[6], a[7])));
}

#define ALGEBRA_TABLE ck_algebra_neon
#include "algebra_body.h"
#endif
