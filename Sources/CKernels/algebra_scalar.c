// The twin that every machine can run: one float at a time.
#include "algebra.h"

#define TILE_ROWS 2
#define TILE_PANELS 1
enum { W = 1, GRAM_ROWS = 2 };
typedef float vf;
CKA_INLINE vf vf_load(const float *p) { return *p; }
CKA_INLINE void vf_store(float *p, vf a) { *p = a; }
CKA_INLINE vf vf_set(float a) { return a; }
CKA_INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
CKA_INLINE vf vf_max(vf a, vf b) { return a > b ? a : b; }
CKA_INLINE float vf_sum(vf a) { return a; }
CKA_INLINE void vf_sums8(const vf *a, float *out) { memcpy(out, a, 8 * sizeof(float)); }
CKA_INLINE vf vf_load_half(const uint16_t *p) { return ck_half_to_float(*p); }
CKA_INLINE vf vf_sqrt(vf a) { return sqrtf(a); }

#define ALGEBRA_TABLE ck_algebra_scalar
#include "algebra_body.h"
#define EMBEDDINGS_TABLE ck_embeddings_scalar
#include "embedding_body.h"
