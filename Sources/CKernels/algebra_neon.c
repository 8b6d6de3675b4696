// NEON (64-bit ARM): four floats at a time, six rows of a product at once.
#if defined(__aarch64__)
#include "algebra.h"
#include <arm_neon.h>

#define TILE_ROWS 6
#define TILE_PANELS 1
enum { W = 4, GRAM_ROWS = 4 };
typedef float32x4_t vf;
CKA_INLINE vf vf_load(const float *p) { return vld1q_f32(p); }
CKA_INLINE void vf_store(float *p, vf a) { vst1q_f32(p, a); }
CKA_INLINE vf vf_set(float a) { return vdupq_n_f32(a); }
CKA_INLINE vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
CKA_INLINE vf vf_max(vf a, vf b) { return vmaxq_f32(a, b); }
CKA_INLINE float vf_sum(vf a) { return vaddvq_f32(a); }
CKA_INLINE void vf_sums8(const vf *a, float *out) {
    vst1q_f32(out, vpaddq_f32(vpaddq_f32(a[0], a[1]), vpaddq_f32(a[2], a[3])));
    vst1q_f32(out + 4, vpaddq_f32(vpaddq_f32(a[4], a[5]), vpaddq_f32(a[6], a[7])));
}
CKA_INLINE vf vf_load_half(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
CKA_INLINE vf vf_sqrt(vf a) { return vsqrtq_f32(a); }

#define ALGEBRA_TABLE ck_algebra_neon
#include "algebra_body.h"
#define EMBEDDINGS_TABLE ck_embeddings_neon
#include "embedding_body.h"
#endif
